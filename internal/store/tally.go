package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
)

// Counts is how much of everything the farm has.
type Counts struct {
	Jobs       map[string]map[string]int64 `json:"jobs"` // target → state → jobs: all states, of targets that are active or have jobs
	Packages   int64                       `json:"packages"`
	Releases   int64                       `json:"releases"`
	Wheels     int64                       `json:"wheels"`
	WheelBytes int64                       `json:"wheel_bytes"`
	NotYet     int64                       `json:"not_yet"`    // of the waiting jobs: for a build requirement
	Counted    *time.Time                  `json:"counted_at"` // null: just now
}

// Counting a full index takes seconds, and everybody who opens the start page would
// have it done. What took longer than slowCount, and not because the machine was busy,
// is kept, and counted again when somebody has looked and it is tallyYoung old, or so
// many times as old as counting took that counting is a hundredth of what the database
// does.
const (
	slowCount  = 100 * time.Millisecond
	manyCount  = 100_000 // releases; fewer are counted in no time
	patientFor = 100
	tallyYoung = time.Minute
	// tallyLife is how old kept counts may be where no daemon renews them.
	tallyLife = time.Hour
)

func staleAfter(took time.Duration) time.Duration { return max(tallyYoung, patientFor*took) }

// counts are the kept ones, if counting took long when they were made, else new ones.
func (s *Store) counts(ctx context.Context) (Counts, error) {
	kept, err := s.kept(ctx)
	if err != nil {
		return Counts{}, err
	}
	if kept.took >= slowCount && kept.Releases >= manyCount && kept.age < max(tallyLife, 2*staleAfter(kept.took)) {
		s.looked.Store(true)
		return kept.Counts, nil
	}
	return s.count(ctx)
}

// Tally counts all anew and keeps it, if what is kept is too old for those who look;
// fresh says whether it did. Of several masters one counts at a time.
func (s *Store) Tally(ctx context.Context) (fresh bool, err error) {
	kept, err := s.kept(ctx)
	if err != nil || kept.Counted != nil && (kept.age < staleAfter(kept.took) || !s.looked.Load()) {
		return false, err
	}
	s.looked.Store(false)
	err = s.inTx(ctx, "keep the counts", func(tx pgx.Tx) error {
		const lock = `select pg_try_advisory_xact_lock($1, $2)`
		if err := tx.QueryRow(ctx, lock, attendSpace, tallyKey).Scan(&fresh); err != nil || !fresh {
			return err
		}
		began := time.Now()
		c, err := count(ctx, tx)
		if err != nil {
			return err
		}
		const keep = `
insert into tally (counted_at, took, counts) values (now(), $1, $2)
on conflict (one) do update set counted_at = excluded.counted_at, took = excluded.took, counts = excluded.counts`
		_, err = tx.Exec(ctx, keep, time.Since(began), c)
		return err
	})
	return fresh, err
}

// keptCounts are counts that were kept; the zero one: there are none.
type keptCounts struct {
	Counts
	age, took time.Duration
}

func (s *Store) kept(ctx context.Context) (keptCounts, error) {
	const q = `select counts, counted_at, clock_timestamp() - counted_at, took from tally`
	var k keptCounts
	var at time.Time
	err := s.pool.QueryRow(ctx, q).Scan(&k.Counts, &at, &k.age, &k.took)
	if errors.Is(err, pgx.ErrNoRows) {
		return keptCounts{}, nil
	}
	if err != nil {
		return keptCounts{}, fmt.Errorf("read the kept counts: %w", translate(err))
	}
	k.Counted = &at
	return k, nil
}

func (s *Store) count(ctx context.Context) (c Counts, err error) {
	err = s.inTx(ctx, "count", func(tx pgx.Tx) error {
		c, err = count(ctx, tx)
		return err
	})
	return c, err
}

func count(ctx context.Context, tx pgx.Tx) (Counts, error) {
	c := Counts{Jobs: map[string]map[string]int64{}}
	const sums = `
select (select count(*) from packages), (select count(*) from releases), count(*), coalesce(sum(size), 0)::bigint,
       (select count(*) from jobs where waits_package <> '')
from wheels`
	if err := tx.QueryRow(ctx, sums).Scan(&c.Packages, &c.Releases, &c.Wheels, &c.WheelBytes, &c.NotYet); err != nil {
		return c, err
	}
	rows, err := tx.Query(ctx, `
select target, state, jobs from queue_counts
union all select name, '', 0 from targets where active`)
	if err != nil {
		return c, err
	}
	var target, state string
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&target, &state, &n}, func() error {
		if c.Jobs[target] == nil {
			c.Jobs[target] = map[string]int64{}
			for _, s := range farm.States() {
				c.Jobs[target][string(s)] = 0
			}
		}
		if state != "" {
			c.Jobs[target][state] = n
		}
		return nil
	})
	return c, err
}
