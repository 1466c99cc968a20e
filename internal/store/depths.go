package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
)

// Depth is how much is queued of one priority on one target.
type Depth struct {
	Target   string
	Priority farm.Priority
	Jobs     int64
	Oldest   time.Time // when the one that waits longest was queued
}

// QueueDepths counts the queue; an active target with nothing queued has a row with no jobs. It reads every queued job, which takes seconds where
// there are millions: whoever asks remembers the answer.
func (s *Store) QueueDepths(ctx context.Context) ([]Depth, error) {
	const q = `
select t.name, coalesce(d.priority, $1), coalesce(d.jobs, 0), coalesce(d.oldest, now())
from targets t left join (select target_id, priority, count(*) as jobs, min(changed_at) as oldest
      from jobs where state = 'queued' group by target_id, priority) d
on t.id = d.target_id
where t.active or d.jobs > 0`
	rows, err := s.pool.Query(ctx, q, farm.PriorityBacklog)
	if err != nil {
		return nil, fmt.Errorf("count the queue: %w", translate(err))
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Depth])
	if err != nil {
		return nil, fmt.Errorf("count the queue: %w", translate(err))
	}
	return list, nil
}

// Waiting is what the farm has under way: cheap to ask, whatever its size.
type Waiting struct {
	Leases      map[string]int64 // by target, of those that have any
	StalePages  int64            // to be written
	OldestStale time.Duration    // since the first of them was marked; 0: there is none
}

// UnderWay asks for what lies between two stages.
func (s *Store) UnderWay(ctx context.Context) (Waiting, error) {
	w := Waiting{Leases: map[string]int64{}}
	const stale = `select count(*), coalesce(clock_timestamp() - min(marked_at), interval '0') from stale_pages`
	if err := s.pool.QueryRow(ctx, stale).Scan(&w.StalePages, &w.OldestStale); err != nil {
		return w, fmt.Errorf("count stale pages: %w", translate(err))
	}
	const leases = `
select t.name, count(*) from jobs j join targets t on t.id = j.target_id where j.state = 'leased' group by t.name`
	rows, err := s.pool.Query(ctx, leases)
	if err != nil {
		return w, fmt.Errorf("count leases: %w", translate(err))
	}
	var target string
	var n int64
	if _, err = pgx.ForEachRow(rows, []any{&target, &n}, func() error { w.Leases[target] = n; return nil }); err != nil {
		return w, fmt.Errorf("count leases: %w", translate(err))
	}
	return w, nil
}
