package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// MaxLosses is how often a job may lose its slave before it is failed.
const MaxLosses = 3

// lost sends leased jobs back to the queue, or fails those that were lost too
// often. The CTE `gone` that comes before it names the jobs' ids and whether the
// loss counts against the job: then the slave that lost it leaves it to others, if another
// live one serves the target, as after a fault of its own (farm.DecideRetry). What is lost
// without counting comes later each time, by the ledger, so that it cannot keep a farm's one
// slave for itself.
const lost = `
, moved as (
    update jobs j set
        state = case when gone.counts and j.losses + 1 >= $1 then 'failed' else 'queued' end,
        cause = case when gone.counts and j.losses + 1 >= $1 then 'slave-lost' else '' end,
        detail = '', hint = '',
        losses = j.losses + case when gone.counts then 1 else 0 end,
        avoids_slave_id = case when gone.counts and exists (
                select 1 from slaves o join targets t on t.id = j.target_id
                where o.id <> j.lease_slave_id and ` + livesFor + `t.name)))
            then j.lease_slave_id else j.avoids_slave_id end,
        lease_token = null, lease_slave_id = null, lease_deadline = null,
        not_before = now() + case when gone.counts then interval '0' else (
            select interval '10 seconds' * (3 ^ least(count(*), 6) - 1) -- at once, 20 s, 80 s … 2 hours
            from builds b where b.job_id = j.id and b.outcome = 'lost') end,
        changed_at = now()
    from gone where j.id = gone.id
    returning j.id, j.state, gone.token
), ended as (
    update builds b set outcome = 'lost', ended_at = now()
    from moved where b.token = moved.token and b.outcome is null
), woken as (
    select pg_notify('farm_queue', '') from moved where state = 'queued' limit 1
)
select (select count(*) from moved) + 0 * (select count(*) from woken),
       array(select id from moved where state = 'failed' order by id)`

// takeBack runs a statement that ends with lost. What failed by it is an outcome
// that others may wait for.
func takeBack(ctx context.Context, tx pgx.Tx, q string, args ...any) (n int64, err error) {
	var failed []int64
	if err := tx.QueryRow(ctx, q, args...).Scan(&n, &failed); err != nil || len(failed) == 0 {
		return n, err
	}
	if err := decide(ctx, tx, failed, nil, ""); err != nil {
		return n, err
	}
	const needed = `
select distinct p.name from jobs j join releases r on r.id = j.release_id join packages p on p.id = r.package_id
where j.id = any($1) and ` + awaited + `
order by p.name`
	rows, err := tx.Query(ctx, needed, failed)
	if err != nil {
		return n, err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(names) == 0 {
		return n, err
	}
	return n, lookAfterWaiting(ctx, tx, names...)
}

// Sweep takes back the leases whose deadline has passed by Postgres's clock. A
// loss counts against the job only if another slave was heard within the
// lease's length: else it is the network or the farm that was away.
func (s *Store) Sweep(ctx context.Context, length time.Duration) (int64, error) {
	const q = `
with gone as (
    select j.id, j.lease_token as token,
        exists (select 1 from slaves o where o.id <> j.lease_slave_id and o.last_seen > now() - $2::interval) as counts
    from jobs j where j.state = 'leased' and j.lease_deadline < now()
    for update of j skip locked
)` + lost
	var n int64
	err := untangled(func() error {
		return s.inTx(ctx, "sweep expired leases", func(tx pgx.Tx) (err error) {
			n, err = takeBack(ctx, tx, q, MaxLosses, length)
			return err
		})
	})
	return n, err
}
