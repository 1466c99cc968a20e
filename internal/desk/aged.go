package desk

import (
	"context"
	"sync"
	"time"
)

// patience is how many times as old as reading took something may be: looking is then
// a twentieth of what the database does, however many look.
const patience = 20

// aged is something that was read from the database a moment ago.
type aged[T any] struct {
	mu    sync.Mutex
	value T
	until time.Time
}

// get returns what is younger than least, or than reading it is worth, or reads it.
// Who comes meanwhile waits for that, and has it too.
func (a *aged[T]) get(ctx context.Context, least time.Duration, read func(context.Context) (T, error)) (T, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	began := time.Now()
	if began.Before(a.until) {
		return a.value, nil
	}
	value, err := read(ctx)
	if err != nil {
		return value, err
	}
	a.value, a.until = value, time.Now().Add(max(least, patience*time.Since(began)))
	return value, nil
}
