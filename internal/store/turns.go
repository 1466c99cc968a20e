package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// turns lets calls that come at the same time be done together, for about the price
// of one: the first is done at once, and what comes meanwhile waits and is done
// together after it. One call alone never waits.
type turns[T any] struct {
	most int // together; 0: any number

	// lingers says whether who leads waits a moment for others, who come for the same reason.
	lingers func(T) bool
	sooner  func(a, b T) int // of those who are done together; nil: of their coming

	mu      sync.Mutex
	waiting []*turn[T]
	busy    bool
}

// linger is long enough for goroutines that were woken together, and nothing to who waits.
const linger = time.Millisecond

type turn[T any] struct {
	work T
	word chan word
}

// word is what one who waits is told.
type word int

const (
	lead   word = iota // do it, with those that wait
	done               // it was done
	broken             // whoever did it panicked
)

var errBroken = errors.New("another request broke while it was done together with this one; try again")

// together returns when do has been called with work among others, by this call or
// by another's. It fails if that panicked: then nobody knows how far it came. It fails
// too if ctx ended before the work's turn came: then it will not be done.
func (t *turns[T]) together(ctx context.Context, work T, do func([]T)) error {
	mine := &turn[T]{work: work, word: make(chan word, 1)}
	if !t.leads(mine) {
		told, err := t.wait(ctx, mine)
		switch {
		case err != nil:
			return err
		case told == done:
			return nil
		case told == broken:
			return errBroken
		}
	}
	if t.lingers != nil && t.lingers(work) {
		time.Sleep(linger)
	}
	others := t.gather()
	end := broken
	defer func() { t.pass(others, end) }()
	works := []T{work}
	for _, one := range others {
		works = append(works, one.work)
	}
	if t.sooner != nil {
		slices.SortStableFunc(works, t.sooner)
	}
	do(works)
	end = done
	return nil
}

// wait is for one's turn. Who was called up while ctx ended stays: the others count on it.
func (t *turns[T]) wait(ctx context.Context, mine *turn[T]) (word, error) {
	select {
	case told := <-mine.word:
		return told, nil
	case <-ctx.Done():
	}
	if t.leaves(mine) {
		return 0, fmt.Errorf("wait for those before: %w", ctx.Err())
	}
	return <-mine.word, nil
}

func (t *turns[T]) leaves(mine *turn[T]) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(t.waiting, mine)
	if i < 0 {
		return false
	}
	t.waiting = slices.Delete(t.waiting, i, i+1)
	return true
}

// leads says whether nobody is at it: then it is this call's turn. Else it waits.
func (t *turns[T]) leads(mine *turn[T]) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.busy {
		t.waiting = append(t.waiting, mine)
		return false
	}
	t.busy = true
	return true
}

// gather takes those out who wait longest, to be done with the one that leads: an order of
// theirs is for those who are done together, and keeps nobody waiting who came before.
func (t *turns[T]) gather() []*turn[T] {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(t.waiting)
	if t.most > 0 {
		n = min(n, t.most-1)
	}
	others := t.waiting[:n:n]
	t.waiting = t.waiting[n:]
	return others
}

// pass lets the next one lead, and tells those that were done.
func (t *turns[T]) pass(others []*turn[T], end word) {
	t.mu.Lock()
	if t.busy = len(t.waiting) > 0; t.busy {
		t.waiting[0].word <- lead
		t.waiting = t.waiting[1:]
	}
	t.mu.Unlock()
	for _, one := range others {
		one.word <- end
	}
}
