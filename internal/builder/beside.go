package builder

import (
	"context"
	"sync"
	"time"
)

// beside is a count that goes on beside the looks at a build, one at a time: what a
// build has, it may have so that counting takes long, and all its other limits are to be
// watched meanwhile.
type beside[T any] struct {
	result  chan T // gives it; nil: no count is under way
	began   time.Time
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// begin starts a count that has so much time.
func (b *beside[T]) begin(within time.Duration, count func(context.Context) T) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	b.result, b.began, b.cancel = make(chan T, 1), time.Now(), cancel
	result := b.result
	b.running.Go(func() { result <- count(ctx) })
}

// busy says whether one is under way, or its result not taken.
func (b *beside[T]) busy() bool { return b.result != nil }

// take gives the result of one that is over.
func (b *beside[T]) take() (result T, ok bool) {
	select {
	case result = <-b.result:
		b.cancel()
		b.result = nil
		return result, true
	default:
		return result, false
	}
}

// close ends one under way.
func (b *beside[T]) close() {
	if b.busy() {
		b.cancel()
	}
	b.running.Wait()
}
