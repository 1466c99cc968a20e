package store

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Status is the farm now, in numbers; its JSON is what `master status --json`
// prints and /api/v1/status answers, there without the slaves that do not work.
type Status struct {
	Schema     int                         `json:"schema"`
	Jobs       map[string]map[string]int64 `json:"jobs"` // target → state → jobs
	Packages   int64                       `json:"packages"`
	Releases   int64                       `json:"releases"`
	Wheels     int64                       `json:"wheels"`
	WheelBytes int64                       `json:"wheel_bytes"`
	StalePages int64                       `json:"stale_pages"`
	Slaves     []SlaveRow                  `json:"slaves"`
}

// Status counts.
func (s *Store) Status(ctx context.Context) (Status, error) {
	st := Status{Schema: 1, Jobs: map[string]map[string]int64{}}
	err := s.inTx(ctx, "count", func(tx pgx.Tx) error {
		const sums = `
select (select count(*) from packages), (select count(*) from releases),
       count(*), coalesce(sum(size), 0)::bigint, (select count(*) from stale_pages)
from wheels`
		if err := tx.QueryRow(ctx, sums).Scan(&st.Packages, &st.Releases, &st.Wheels, &st.WheelBytes, &st.StalePages); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `select target, state, jobs from queue_counts`)
		if err != nil {
			return err
		}
		var target, state string
		var n int64
		_, err = pgx.ForEachRow(rows, []any{&target, &state, &n}, func() error {
			if st.Jobs[target] == nil {
				st.Jobs[target] = map[string]int64{}
			}
			st.Jobs[target][state] = n
			return nil
		})
		return err
	})
	if err != nil {
		return Status{}, err
	}
	st.Slaves, err = s.Slaves(ctx)
	return st, err
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
