package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
)

// Age puts up to limit projects on the worklist that were not read for so long,
// the longest first: some changes are announced nowhere. It returns how many.
func (s *Store) Age(ctx context.Context, olderThan time.Duration, limit int) (int64, error) {
	const q = `
insert into reading (name, urgency, serial, follow)
select name, $3, serial, followed from (
    select name, serial, followed from packages p
    where (read_at is null or read_at < now() - $1::interval)
    and not exists (select 1 from reading r where r.name = p.name)
    order by read_at nulls first limit $2
) aged
order by name collate "C" -- the same for all who lock several
on conflict (name) do nothing`
	var n int64
	err := s.inTx(ctx, "list projects not read for long", func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, q, olderThan, limit, int16(farm.UrgencyAged))
		n = tag.RowsAffected()
		if err != nil || n == 0 {
			return err
		}
		_, err = tx.Exec(ctx, `select pg_notify($1, '')`, ReadingChannel)
		return err
	})
	return n, err
}

// NewNoMore are up to limit projects, by name, that have a job queued as of a new
// release, though it was released before that time.
func (s *Store) NewNoMore(ctx context.Context, before time.Time, limit int) ([]string, error) {
	const q = `
select name from packages where id in (
    -- One range of the queue's index for each target.
    select old.package_id from targets t cross join lateral (
        select j.package_id from jobs j
        where j.target_id = t.id and j.state = 'queued' and j.priority = $3 and j.rank > $1
        order by j.priority, j.rank, j.id limit $2) old -- the index's order, so that it is used
    where t.active)
order by name limit $2`
	rows, err := s.pool.Query(ctx, q, -before.UnixMilli(), limit, int16(farm.PriorityNew))
	if err != nil {
		return nil, fmt.Errorf("list projects that are new no more: %w", translate(err))
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("list projects that are new no more: %w", translate(err))
	}
	return out, nil
}

// Hasten makes projects due soon that could not be read the last time, but for those
// with one of these troubles: the upstream was away, and their pauses have grown.
func (s *Store) Hasten(ctx context.Context, but ...string) error {
	const q = `
with due as (
    update reading set not_before = now() + random() * interval '30 seconds', tries = 0
    where trouble <> '' and not taken and not_before > now() + interval '30 seconds' and not trouble = any($1)
    returning 1
)
select pg_notify($2, '') from due limit 1`
	if _, err := s.pool.Exec(ctx, q, but, ReadingChannel); err != nil {
		return fmt.Errorf("hasten what could not be read: %w", translate(err))
	}
	return nil
}
