package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
)

// MaxLosses is how often a job may lose its slave, or meet a fault that is not
// its own, before it is failed.
const MaxLosses = 3

// ClaimRequest asks for one job for a slave.
type ClaimRequest struct {
	Slave   int64
	Request string // a repeat gets the same lease
	Token   string // the lease's, random, of the caller
	Targets []int64
	Length  time.Duration
}

// Claim leases the first queued job of the first target that has one; ok is
// false when there is none, or when the slave is paused or revoked.
func (s *Store) Claim(ctx context.Context, c ClaimRequest) (l farm.Lease, ok bool, err error) {
	// One index scan per target: `target in (…)` would sort the whole queue.
	for _, t := range c.Targets {
		l, ok, err = s.claimOn(ctx, c, t)
		if errors.Is(err, farm.ErrConflict) {
			break // the request had its lease before: its token is in the ledger
		}
		if ok || err != nil {
			return l, ok, err
		}
	}
	return s.claimed(ctx, c)
}

// claimOn starts behind the entries that earlier claims left dead. When nothing
// is there, it looks at the whole queue once: something may have been queued
// before that place.
func (s *Store) claimOn(ctx context.Context, c ClaimRequest, target int64) (farm.Lease, bool, error) {
	from := s.heads.get(target)
	l, at, ok, err := s.claimOne(ctx, c, target, from.place)
	if err == nil && !ok && from.known {
		l, at, ok, err = s.claimOne(ctx, c, target, queueStart())
	}
	if ok {
		s.heads.moved(target, from, at)
	}
	return l, ok, err
}

const leaseColumns = `b.token, j.id, b.id, p.name, r.version, t.abi, t.platform,
       r.sdist_filename, r.sdist_url, r.sdist_sha256, r.sdist_size`

// leaseOf is where the columns of a lease are scanned to.
func leaseOf(l *farm.Lease) []any {
	return []any{&l.Token, &l.Job, &l.Build, &l.Package, &l.Version, &l.Target.ABI, &l.Target.Platform,
		&l.Sdist.Filename, &l.Sdist.URL, &l.Sdist.SHA256, &l.Sdist.Size}
}

func found(err error) (bool, error) {
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("claim a job: %w", translate(err))
	}
	return true, nil
}

// claimed finds the lease that an earlier copy of the same request was given.
func (s *Store) claimed(ctx context.Context, c ClaimRequest) (farm.Lease, bool, error) {
	const q = `
select ` + leaseColumns + `
from builds b
join jobs j on j.id = b.job_id and j.lease_token = b.token
join releases r on r.id = j.release_id
join packages p on p.id = r.package_id
join targets t on t.id = j.target_id
where b.slave_id = $1 and b.request = $2`
	l := farm.Lease{Length: c.Length}
	ok, err := found(s.pool.QueryRow(ctx, q, c.Slave, c.Request).Scan(leaseOf(&l)...))
	return l, ok, err
}

func (s *Store) claimOne(ctx context.Context, c ClaimRequest, target int64, from queuePlace) (farm.Lease, queuePlace, bool, error) {
	// The slave's row is locked as the foreign keys below lock it anyway: who
	// pauses or revokes the slave waits for the claims under way, and those behind
	// him see what he did. Not before a job is found: a lock is a write.
	const q = `
with picked as (
    select id, priority, rank from jobs
    where target_id = $1 and state = 'queued' and not_before <= now() and (priority, rank, id) >= ($6, $7, $8)
    order by priority, rank, id -- policy: design 4, newest release first
    limit 1 for update skip locked
), me as (
    select id from slaves where id = $3 and not paused and revoked_at is null
    and exists (select 1 from picked) for key share
), j as (
    update jobs set state = 'leased', lease_token = $2, lease_slave_id = me.id,
        lease_deadline = now() + $4::interval, changed_at = now()
    from picked cross join me where jobs.id = picked.id
    returning jobs.id, jobs.release_id, jobs.target_id, picked.priority, picked.rank
), b as (
    insert into builds (job_id, slave_id, token, request)
    select id, $3, $2, $5 from j
    returning id, token
)
select ` + leaseColumns + `, j.priority, j.rank
from j cross join b
join releases r on r.id = j.release_id
join packages p on p.id = r.package_id
join targets t on t.id = j.target_id`
	l := farm.Lease{Length: c.Length}
	var at queuePlace
	row := s.pool.QueryRow(ctx, q, target, c.Token, c.Slave, c.Length, c.Request, from.priority, from.rank, from.id)
	ok, err := found(row.Scan(append(leaseOf(&l), &at.priority, &at.rank)...))
	at.id = l.Job
	return l, at, ok, err
}

// Renew extends the leases that a slave says it holds and keeps its heartbeat.
// It returns the tokens of held that are leases of this slave no longer.
func (s *Store) Renew(ctx context.Context, slave int64, held []string, length time.Duration, doing string, beat any) (gone []string, err error) {
	body, err := json.Marshal(beat)
	if err != nil {
		return nil, fmt.Errorf("renew leases: %w", err)
	}
	const q = `
with seen as (
    update slaves set last_seen = now(), doing = $4, beat = $5 where id = $1
    returning id -- joined below, so that it is locked before its jobs, as by those who revoke
), renewed as (
    update jobs set lease_deadline = now() + $3::interval
    from seen where lease_slave_id = seen.id and state = 'leased' and lease_token = any($2)
    returning lease_token
)
select h from unnest($2::text[]) h where h not in (select lease_token from renewed)`
	rows, err := s.pool.Query(ctx, q, slave, held, length, doing, body)
	if err != nil {
		return nil, fmt.Errorf("renew leases: %w", translate(err))
	}
	gone, err = pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("renew leases: %w", translate(err))
	}
	return gone, nil
}

// lost sends leased jobs back to the queue, or fails those that were lost too
// often. The CTE `gone` that comes before it names the jobs' ids and whether the
// loss counts against the job.
const lost = `
, moved as (
    update jobs j set
        state = case when gone.counts and j.losses + 1 >= $1 then 'failed' else 'queued' end,
        cause = case when gone.counts and j.losses + 1 >= $1 then 'slave-lost' else '' end,
        detail = '', hint = '',
        losses = j.losses + case when gone.counts then 1 else 0 end,
        lease_token = null, lease_slave_id = null, lease_deadline = null,
        not_before = now(), changed_at = now()
    from gone where j.id = gone.id
    returning j.id, j.state, gone.token
), ended as (
    update builds b set outcome = 'lost', ended_at = now()
    from moved where b.token = moved.token and b.outcome is null
), woken as (
    select pg_notify('farm_queue', '') from moved where state = 'queued' limit 1
)
select (select count(*) from moved) + 0 * (select count(*) from woken)`

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
	if err := s.pool.QueryRow(ctx, q, MaxLosses, length).Scan(&n); err != nil {
		return 0, fmt.Errorf("sweep expired leases: %w", translate(err))
	}
	return n, nil
}

// FreeOthers takes back a slave's leases that it does not say it holds, but for
// that of the request asking, which it will put again: "" if there is none. Leases
// younger than grace are left: their reply may still be on its way.
func (s *Store) FreeOthers(ctx context.Context, slave int64, held []string, asking string, grace time.Duration) (int64, error) {
	const q = `
with gone as (
    select j.id, j.lease_token as token, true as counts
    from jobs j join builds b on b.token = j.lease_token
    where j.lease_slave_id = $2 and j.state = 'leased'
    and not j.lease_token = any($3) and b.request <> $5 and b.started_at <= now() - $4::interval
    for update of j skip locked
)` + lost
	if held == nil {
		held = []string{}
	}
	var n int64
	if err := s.pool.QueryRow(ctx, q, MaxLosses, slave, held, grace, asking).Scan(&n); err != nil {
		return 0, fmt.Errorf("free the other leases of slave %d: %w", slave, translate(err))
	}
	return n, nil
}
