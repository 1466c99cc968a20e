package store

import (
	"context"
	"crypto/rand"
	"fmt"

	"pinwheel/internal/farm"
)

// Status is the farm now, in numbers; its JSON is what `master status --json`
// prints and /api/v1/status answers, there without the slaves that do not work.
type Status struct {
	Schema int `json:"schema"`
	Counts
	StalePages int64      `json:"stale_pages"`
	Unserved   []Unserved `json:"unserved"` // queued jobs that no live slave takes
	Slaves     []SlaveRow `json:"slaves"`
	UpstreamStatus
}

// Status counts, or takes the kept counts where counting takes long.
func (s *Store) Status(ctx context.Context) (Status, error) {
	st := Status{Schema: 1}
	var err error
	if st.Counts, err = s.counts(ctx); err != nil {
		return Status{}, err
	}
	if err := s.pool.QueryRow(ctx, `select count(*) from stale_pages`).Scan(&st.StalePages); err != nil {
		return Status{}, fmt.Errorf("count stale pages: %w", translate(err))
	}
	if st.UpstreamStatus, err = s.upstreamStatus(ctx); err != nil {
		return Status{}, err
	}
	if st.Unserved, err = s.unservedNow(ctx, st.Counts); err != nil {
		return Status{}, err
	}
	st.Slaves, err = s.Slaves(ctx)
	return st, err
}

// unservedNow asks of all active targets.
func (s *Store) unservedNow(ctx context.Context, c Counts) ([]Unserved, error) {
	list, err := s.Targets(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, t := range list {
		names = append(names, t.Target.String())
	}
	return unserved(ctx, s.pool, names, func(name string) int64 { return c.Jobs[name][string(farm.Queued)] })
}

// Secret returns the farm's secret of that name, 32 random bytes that are made
// on the first call and the same ever after, for every master of the database.
func (s *Store) Secret(ctx context.Context, name string) ([]byte, error) {
	fresh := make([]byte, 32)
	rand.Read(fresh)
	const q = `
with made as (
    insert into secrets (name, value) values ($1, $2) on conflict (name) do nothing returning value
)
select value from made union all select value from secrets where name = $1 limit 1`
	var v []byte
	if err := s.pool.QueryRow(ctx, q, name, fresh).Scan(&v); err != nil {
		return nil, fmt.Errorf("read the secret %s: %w", name, translate(err))
	}
	return v, nil
}
