package store

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
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
			all.Go(func() { turns.together(work, do) })
			synctest.Wait()
		}
		all.Go(func() { turns.together(0, do) })
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
		all.Go(func() { turns.together(9, do) })
		<-begun // whoever comes alone does not wait
		goOn <- struct{}{}
		all.Wait()
		want := [][]int{{0}, {1, 2, 3}, {4}, {9}}
		if !slices.EqualFunc(batches, want, slices.Equal) {
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
		all.Go(func() { turns.together(0, func([]int) { begun <- struct{}{}; <-goOn }) })
		<-begun
		errs := make([]error, 3)
		for work := range errs {
			all.Go(func() {
				defer func() { recover() }()
				errs[work] = turns.together(work+1, func([]int) { panic("broken") })
			})
			synctest.Wait()
		}
		close(goOn)
		all.Wait()
		if errs[1] == nil || errs[2] == nil {
			t.Errorf("who was done together with what panicked hears %v, %v", errs[1], errs[2])
		}
		if err := turns.together(9, func([]int) {}); err != nil {
			t.Errorf("after a panic: %v", err)
		}
	})
}
