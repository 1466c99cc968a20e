package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
)

// Word is what a slave says of itself and of its leases, in a hello or a beat.
// Either Machine or Pulse is set.
type Word struct {
	Slave   int64
	Machine *farm.Machine // of a hello
	Pulse   *farm.Pulse   // of a beat
	Held    []string      // tokens of leases that it holds: they are renewed
	Asking  string        // request that it will put again: its lease stays; "" for none
	Grace   time.Duration // younger leases stay too: their reply may still be on its way
	Length  time.Duration // of a lease
}

// Heard keeps a slave's word, renews the leases that it holds and takes back its
// others, all at once. It returns the tokens of w.Held that are leases of this
// slave no longer.
func (s *Store) Heard(ctx context.Context, w Word) (gone []string, err error) {
	if w.Held == nil {
		w.Held = []string{}
	}
	err = untangled(func() error {
		return s.inBrief(ctx, "keep the word of a slave", func(tx pgx.Tx) error {
			// In this order: the second waits for no job's row, so that whoever holds
			// several of them, as removal does, cannot wait for us while we wait for him;
			// but for those that wait for a job that is lost for good, hence for nobody.
			if gone, err = renew(ctx, tx, w); err != nil {
				return err
			}
			return freeOthers(ctx, tx, w)
		})
	})
	return gone, err
}

func renew(ctx context.Context, tx pgx.Tx, w Word) (gone []string, err error) {
	const q = `
with seen as (
    update slaves set last_seen = now(), doing = $4, hello = coalesce($5, hello), beat = $6,
        packages     = case when $5::jsonb is null then packages else $7 end,
        packages_key = case when $5::jsonb is null then packages_key else $8 end
    where id = $1
    returning id -- joined below, so that it is locked before its jobs, as by those who revoke
), renewed as (
    update jobs set lease_deadline = now() + $3::interval
    from seen where lease_slave_id = seen.id and lease_slave_id = $1 and state = 'leased' and lease_token = any($2)
    returning lease_token
)
select h from unnest($2::text[]) h where h not in (select lease_token from renewed)`
	var doing string
	if w.Pulse != nil {
		doing = w.Pulse.Doing
	}
	packages := []string{}
	if w.Machine != nil {
		packages = packageColumn(*w.Machine)
	}
	rows, err := tx.Query(ctx, q, w.Slave, w.Held, w.Length, doing, w.Machine, w.Pulse, packages, packagesKey(packages))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// freeOthers counts a loss against the job only if another slave was heard since
// the lease began: else it may be the farm that was away, or its one slave that
// was switched off. What then goes round and round, because it is what ends the
// slave, comes later each time, so that it does not keep the others waiting.
func freeOthers(ctx context.Context, tx pgx.Tx, w Word) error {
	const q = `
with gone as (
    select j.id, j.lease_token as token,
        exists (select 1 from slaves o where o.id <> $2 and o.last_seen > b.started_at) as counts
    from jobs j join builds b on b.token = j.lease_token
    where j.lease_slave_id = $2 and j.state = 'leased'
    and not j.lease_token = any($3) and b.request <> $5 and b.started_at <= now() - $4::interval
    for update of j skip locked
)` + lost
	_, err := takeBack(ctx, tx, q, MaxLosses, w.Slave, w.Held, w.Grace, w.Asking)
	return err
}
