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
}

const jobColumns = `id, package, version, target, state, reason, priority, cause, detail, hint, coalesce(slave, ''), changed_at`

// Selector picks jobs; an empty field picks all. The target is by its name.
type Selector struct {
	Package, Version, Target string
}

const selected = `$1 in ('', package) and $2 in ('', version, raw) and $3 in ('', target)`

// Jobs lists the jobs that the selector picks.
func (s *Store) Jobs(ctx context.Context, sel Selector) ([]JobRow, error) {
	q := `select ` + jobColumns + ` from job_facts where ` + selected + ` order by package, released_at desc, target`
	rows, err := s.pool.Query(ctx, q, sel.Package, sel.Version, sel.Target)
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", translate(err))
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[JobRow])
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", translate(err))
	}
	return out, nil
}

// Requeue sends failed jobs, and queued ones that were told to wait, back to
// the head of the queue in one transaction. Other states are left alone; the
// caller tells them from Jobs.
func (s *Store) Requeue(ctx context.Context, sel Selector, pr farm.Priority, actor string) ([]JobRow, error) {
	var out []JobRow
	err := s.inTx(ctx, "requeue", func(tx pgx.Tx) error {
		const q = `
with picked as (
    select f.id from job_facts f where ` + selected + `
    and (f.state = 'failed' or f.state = 'queued' and f.not_before > now())
), moved as (
    update jobs j set state = 'queued', reason = '', cause = '', detail = '', hint = '', losses = 0,
        priority = $4, not_before = now(), changed_at = now()
    from picked where j.id = picked.id
    and j.state in ('failed', 'queued') -- again: the row may have moved while we waited for its lock
    returning j.id
)
select coalesce(array_agg(id), '{}') from moved`
		var ids []int64
		if err := tx.QueryRow(ctx, q, sel.Package, sel.Version, sel.Target, int16(pr)).Scan(&ids); err != nil {
			return err
		}
		// A statement of its own: the one above sees the rows as they were.
		rows, err := tx.Query(ctx, `select `+jobColumns+` from job_facts where id = any($1) order by package, released_at desc, target`, ids)
		if err != nil {
			return err
		}
		if out, err = pgx.CollectRows(rows, pgx.RowToStructByPos[JobRow]); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `select pg_notify($1, '')`, QueueChannel); err != nil {
			return err
		}
		return note(ctx, tx, actor, "requeue", fmt.Sprintf("%s %s %s", sel.Package, sel.Version, sel.Target),
			map[string]any{"jobs": len(out)})
	})
	return out, err
}
