package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
)

// JobRow is a job as people see it.
type JobRow struct {
	ID       int64         `json:"job"`
	Package  string        `json:"package"`
	Version  string        `json:"version"`
	Target   string        `json:"target"`
	State    farm.State    `json:"state"`
	Reason   string        `json:"reason"`
	Priority farm.Priority `json:"priority"`
	Cause    string        `json:"cause"`
	Detail   string        `json:"detail"`
	Hint     string        `json:"hint"`
	Slave    string        `json:"slave"`
	Changed  time.Time     `json:"changed_at"`
	Begins   time.Time     `json:"not_before"` // of a queued one: nobody gets it before
	Losses   int           `json:"losses"`     // leases lost while other slaves were heard
	Faults   int           `json:"faults"`     // tries that a slave, the network or the upstream spoiled
}

const jobColumns = `j.id, p.name, r.version, t.name, j.state, j.reason, j.priority, j.cause, j.detail, j.hint,
       coalesce((select s.name from slaves s where s.id = j.lease_slave_id), ''), j.changed_at, j.not_before, j.losses, j.faults`

// Jobs lists the jobs that the selector picks.
func (s *Store) Jobs(ctx context.Context, sel Selector) ([]JobRow, error) {
	c := sel.conditions()
	if sel.Failed {
		c.list = append(c.list, `j.state = 'failed'`)
	}
	q := `select ` + jobColumns + selectable + c.String() + ` order by p.name, j.released_at desc, t.name`
	rows, err := s.pool.Query(ctx, q, c.args...)
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", translate(err))
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[JobRow])
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", translate(err))
	}
	return out, nil
}

// jobsByID reads a few jobs, in the order of their ids.
func jobsByID(ctx context.Context, tx pgx.Tx, ids []int64) ([]JobRow, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	q := `
select ` + jobColumns + selectable + `
join unnest($1::bigint[]) with ordinality as x (id, n) on x.id = j.id
order by x.n -- as they are given`
	rows, err := tx.Query(ctx, q, ids)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[JobRow])
}
