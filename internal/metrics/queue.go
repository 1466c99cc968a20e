package metrics

import (
	"context"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"pinwheel/internal/service"
	"pinwheel/internal/store"
)

// Counting the queue of a full index takes seconds, so it is done in the background:
// not sooner after the last time than countEvery, nor than so many times as long as
// that took that counting is a hundredth of what the database does.
const (
	countEvery = 15 * time.Second
	patientFor = 100
)

// queue is what was counted last.
type queue struct {
	mu      sync.Mutex
	depths  []store.Depth
	counted time.Time // by this process; zero: not yet
	took    time.Duration
}

func (q *queue) last() ([]store.Depth, time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.depths, q.counted
}

// due says whether it is time to count again.
func (q *queue) due(now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.counted.IsZero() || now.Sub(q.counted) >= max(countEvery, patientFor*q.took)
}

func (q *queue) keep(depths []store.Depth, began, ended time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.depths, q.counted, q.took = depths, ended, ended.Sub(began)
}

// Count keeps the counts of the queue fresh until ctx ends.
func (m *Metrics) Count(ctx context.Context, s Store, log zerolog.Logger) error {
	if m == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	return service.Loop{Every: countEvery, Log: log.With().Str("part", "metrics").Logger(), Do: func(ctx context.Context) error {
		began := time.Now()
		if !m.queue.due(began) {
			return nil
		}
		depths, err := s.QueueDepths(ctx)
		if err == nil {
			m.queue.keep(depths, began, time.Now())
		}
		return err
	}}.Run(ctx)
}
