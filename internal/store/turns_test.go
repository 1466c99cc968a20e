package store

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns := turns[int]{most: 3}
		var batches [][]int
		begun, goOn := make(chan struct{}), make(chan struct{})
		do := func(works []int) {
			batches = append(batches, slices.Clone(works))
			begun <- struct{}{}
			<-goOn
		}
		var all sync.WaitGroup
		join := func(work int) {
			all.Go(func() { turns.together(t.Context(), work, do) })
			synctest.Wait()
		}
		all.Go(func() { turns.together(t.Context(), 0, do) })
		<-begun
		for work := range 4 {
			join(work + 1)
		}
		for range 2 {
			goOn <- struct{}{}
			<-begun
		}
		goOn <- struct{}{}
		all.Wait()
		all.Go(func() { turns.together(t.Context(), 9, do) })
		<-begun // whoever comes alone does not wait
		goOn <- struct{}{}
		all.Wait()
		want := [][]int{{0}, {1, 2, 3}, {4}, {9}}
		if !slices.EqualFunc(batches, want, slices.Equal) {
			t.Errorf("done together: %v, want %v", batches, want)
		}
	})
}

// TestTurnsInOrder: who lingers has company, in order; those that are too many come later,
// and who came first is not among them, whatever the order.
func TestTurnsInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns := turns[int]{most: 3, lingers: func(work int) bool { return work > 0 }, sooner: func(a, b int) int { return a - b }}
		var batches [][]int
		var all sync.WaitGroup
		for _, work := range []int{4, 2, 5, 1, 3} {
			all.Go(func() {
				turns.together(t.Context(), work, func(works []int) { batches = append(batches, slices.Clone(works)) })
			})
			synctest.Wait()
		}
		all.Wait()
		before := time.Now()
		turns.together(t.Context(), 0, func([]int) {})
		if took := time.Since(before); took != 0 {
			t.Errorf("who does not linger waited %s", took)
		}
		if want := [][]int{{2, 4, 5}, {1, 3}}; !slices.EqualFunc(batches, want, slices.Equal) {
			t.Errorf("done together: %v, want %v", batches, want)
		}
	})
}

// TestTurnsOutliveAPanic: those who wait hear of it, and the next ones go on.
func TestTurnsOutliveAPanic(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var turns turns[int]
		begun, goOn := make(chan struct{}), make(chan struct{})
		var all sync.WaitGroup
		all.Go(func() { turns.together(t.Context(), 0, func([]int) { begun <- struct{}{}; <-goOn }) })
		<-begun
		errs := make([]error, 3)
		for work := range errs {
			all.Go(func() {
				defer func() { recover() }()
				errs[work] = turns.together(t.Context(), work+1, func([]int) { panic("broken") })
			})
			synctest.Wait()
		}
		close(goOn)
		all.Wait()
		if errs[1] == nil || errs[2] == nil {
			t.Errorf("who was done together with what panicked hears %v, %v", errs[1], errs[2])
		}
		if err := turns.together(t.Context(), 9, func([]int) {}); err != nil {
			t.Errorf("after a panic: %v", err)
		}
	})
}

// TestTurnsEndWithTheQuestion: who waits for what hangs waits no longer than he wants to,
// and is not done afterwards; who is called up already is.
func TestTurnsEndWithTheQuestion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var turns turns[int]
		var batches [][]int
		begun, goOn := make(chan struct{}), make(chan struct{})
		do := func(works []int) {
			batches = append(batches, slices.Clone(works))
			begun <- struct{}{}
			<-goOn
		}
		var all sync.WaitGroup
		errs, ends := make([]error, 4), make([]context.CancelFunc, 4)
		for work := range errs {
			ctx, cancel := context.WithCancel(t.Context())
			ends[work] = cancel
			all.Go(func() { errs[work] = turns.together(ctx, work, do) })
			synctest.Wait()
			if work == 0 {
				<-begun
			}
		}
		ends[2]()
		synctest.Wait()
		if !errors.Is(errs[2], context.Canceled) {
			t.Errorf("who gave up hears %v", errs[2])
		}
		goOn <- struct{}{}
		<-begun
		ends[3]()
		synctest.Wait()
		goOn <- struct{}{}
		all.Wait()
		if want := [][]int{{0}, {1, 3}}; !slices.EqualFunc(batches, want, slices.Equal) || errs[3] != nil {
			t.Errorf("done together: %v, want %v; who was called up hears %v", batches, want, errs[3])
		}
		ends[0]()
		ends[1]()
	})
}
