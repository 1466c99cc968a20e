package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
)

// QueueOf is the queue of one target.
type QueueOf struct {
	Target  string     `json:"target"`
	Retired bool       `json:"retired"` // nobody is given its jobs
	Queued  int64      `json:"queued"`  // jobs, those that are to wait too; at most QueueCounted
	Leased  []LeaseRow `json:"leased"`  // the longest first
	Next    []QueueRow `json:"next"`    // in the order in which claims take them
	Later   []QueueRow `json:"later"`   // of the first QueueWindow those that nobody gets yet, in the same order
	// Unserved are the parts of it that no live slave takes; none of a retired one.
	Unserved []Unserved `json:"unserved"`
}

// The bounds of what is looked at: a queue may have millions.
const (
	QueueCounted = 1_000_000
	QueueWindow  = 10_000
)

// LeaseRow is a job that a slave has.
type LeaseRow struct {
	Package  string    `json:"package"`
	Version  string    `json:"version"`
	Slave    string    `json:"slave"`
	Since    time.Time `json:"since"`
	Deadline time.Time `json:"deadline"` // it is lost then, unless the slave is heard before
	Build    int64     `json:"build"`
}

// QueueRow is a queued job.
type QueueRow struct {
	Package  string        `json:"package"`
	Version  string        `json:"version"`
	Priority farm.Priority `json:"priority"`
	Released time.Time     `json:"released_at"`
	Since    time.Time     `json:"since"`
	Begins   time.Time     `json:"not_before"`
	Faults   int           `json:"faults"`         // tries that were lost, or spoiled by others
	Leases   int           `json:"project_leases"` // that its project has now
	Memory   int64         `json:"needs_memory"`   // bytes that a slave must have
	Packages []string      `json:"needs_packages"` // Debian packages that it must have
}

// Queue tells what is leased on each target, all active ones or the one that is
// named, and what is next, at most so many.
func (s *Store) Queue(ctx context.Context, target string, limit int) ([]QueueOf, error) {
	out := []QueueOf{}
	opts := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly} // of one moment
	err := pgx.BeginTxFunc(ctx, s.pool, opts, func(tx pgx.Tx) error {
		const q = `
select id, name, not active from targets where name = $1 or $1 = '' and active
order by rank, name collate "C" -- the lowest Python first, as everywhere`
		rows, err := tx.Query(ctx, q, target)
		if err != nil {
			return err
		}
		var ids []int64
		var id int64
		var of QueueOf
		if _, err := pgx.ForEachRow(rows, []any{&id, &of.Target, &of.Retired}, func() error {
			ids, out = append(ids, id), append(out, of)
			return nil
		}); err != nil {
			return err
		}
		for i := range out {
			if err := out[i].read(ctx, tx, ids[i], limit); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the queue: %w", translate(err))
	}
	return out, nil
}

const queueColumns = `
select p.name, r.version, j.priority, j.released_at, j.changed_at, j.not_before, j.losses + j.faults,
    (select count(*) from jobs o where o.lease_slot > 0 and o.package_id = j.package_id), j.needs_memory, coalesce(j.needs_packages, '{}')
from head j join releases r on r.id = j.release_id join packages p on p.id = r.package_id
order by j.priority, j.needs_memory = 0 and j.needs_packages is null, j.rank, j.id -- policy: as claims take them`

// The queue lies in two indexes: the few jobs that need something of a slave stand
// apart, and come first of their priority (see claimKinds).
const (
	queueNext = `
with head as materialized (
    (select * from jobs where target_id = $1 and state = 'queued' and ` + needless + ` and not_before <= now()
    order by priority, rank, id limit $2)
    union all
    (select * from jobs where target_id = $1 and state = 'queued' and ` + needy + ` and not_before <= now()
    order by priority, rank, id limit $2)
)` + queueColumns + `
limit $2`

	queueLater = `
with head as materialized (
    select * from (
        (select * from jobs where target_id = $1 and state = 'queued' and ` + needless + `
        order by priority, rank, id limit $3)
        union all
        (select * from jobs where target_id = $1 and state = 'queued' and ` + needy + `
        order by priority, rank, id limit $3)) near
    where not_before > now()
)` + queueColumns + `
limit $2`

	queueCount = `
select (select count(*) from (select 1 from jobs where target_id = $1 and state = 'queued' and ` + needless + ` limit $2) n)
    + (select count(*) from (select 1 from jobs where target_id = $1 and state = 'queued' and ` + needy + ` limit $2) n)`
)

func (q *QueueOf) read(ctx context.Context, tx pgx.Tx, target int64, limit int) error {
	if err := tx.QueryRow(ctx, queueCount, target, QueueCounted).Scan(&q.Queued); err != nil {
		return err
	}
	const leased = `
select p.name, r.version, s.name, j.changed_at, j.lease_deadline,
    coalesce((select b.id from builds b where b.token = j.lease_token), 0)
from jobs j join releases r on r.id = j.release_id join packages p on p.id = r.package_id
join slaves s on s.id = j.lease_slave_id
where j.state = 'leased' and j.target_id = $1
order by j.changed_at, j.id -- the longest first`
	rows, err := tx.Query(ctx, leased, target)
	if err != nil {
		return err
	}
	if q.Leased, err = pgx.CollectRows(rows, pgx.RowToStructByPos[LeaseRow]); err != nil {
		return err
	}
	if q.Next, err = queueRows(ctx, tx, queueNext, target, limit); err != nil {
		return err
	}
	if q.Later, err = queueRows(ctx, tx, queueLater, target, limit, QueueWindow); err != nil {
		return err
	}
	if q.Unserved = []Unserved{}; q.Retired { // no slave helps
		return nil
	}
	q.Unserved, err = unserved(ctx, tx, []string{q.Target}, func(string) int64 { return q.Queued })
	return err
}

func queueRows(ctx context.Context, tx pgx.Tx, q string, args ...any) ([]QueueRow, error) {
	rows, err := tx.Query(ctx, q, args...)
	if err != nil {
		return nil, err
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[QueueRow])
	return append([]QueueRow{}, out...), err
}

// AheadCounted bounds what Ahead counts.
const AheadCounted = 10_000

// Ahead counts the jobs that a claim takes before a queued one, at most AheadCounted
// of them; those that are to wait count too, and the few that need something of a
// slave do not.
func (s *Store) Ahead(ctx context.Context, job int64) (n int64, err error) {
	const q = `
select (select count(*) from (
    select 1 from jobs o where o.target_id = j.target_id and o.state = 'queued' and ` + needless + `
    and (o.priority, o.rank, o.id) < (j.priority, j.rank, j.id) limit $2) ahead)
from jobs j where j.id = $1`
	if err := s.pool.QueryRow(ctx, q, job, AheadCounted).Scan(&n); err != nil {
		return 0, fmt.Errorf("count what is before job %d: %w", job, translate(err))
	}
	return n, nil
}
