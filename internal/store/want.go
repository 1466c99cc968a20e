package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
)

// Wanted is what became of names that somebody wants followed.
type Wanted struct {
	Followed int64 // already: their changes come by themselves
	Chosen   int64 // on the worklist now
}

// wantPiece is how many names one transaction puts on the worklist.
const wantPiece = 10_000

// Want puts normalized names (PEP 503) on the worklist that the farm does not know
// or does not follow, with the urgency of a walk. Nothing is read twice for it: a
// second call with the same names leaves alone what was read since the first, and
// what waits after a trouble. Names are put piece by piece; a crash leaves the
// first ones, and in the audit trail how many those are.
func (s *Store) Want(ctx context.Context, names []string, actor string) (Wanted, error) {
	const q = `
with asked as (
    select distinct n as name from unnest($1::text[]) as n
), followed as (
    select count(*) as known from asked join packages p on p.name = asked.name where p.followed
), put as (
    insert into reading (name, urgency)
    select a.name, $2 from asked a
    where not exists (select 1 from packages p where p.name = a.name and p.followed)
    order by a.name collate "C" -- the same for all who lock several
    on conflict (name) do update set
        urgency = least(reading.urgency, excluded.urgency), follow = true, revision = reading.revision + 1
    where not reading.follow or reading.urgency > excluded.urgency
)
select (select count(*) from asked), known, pg_notify($3, '')::text from followed`
	var out Wanted
	var audit int64
	for from := 0; from < len(names); from += wantPiece {
		piece := names[from:min(from+wantPiece, len(names))]
		var asked, followed int64
		err := s.inTx(ctx, fmt.Sprintf("ask for %d projects", len(piece)), func(tx pgx.Tx) error {
			var told string
			if err := tx.QueryRow(ctx, q, piece, int16(farm.UrgencyWalk), ReadingChannel).Scan(&asked, &followed, &told); err != nil {
				return err
			}
			so := map[string]any{"followed": out.Followed + followed, "chosen": out.Chosen + asked - followed}
			if audit != 0 {
				return amend(ctx, tx, audit, so)
			}
			first, err := noted(ctx, tx, actor, ActionBackfill, fmt.Sprintf("%d names", len(names)), so)
			audit = first
			return err
		})
		if err != nil {
			return out, err
		}
		out.Followed += followed
		out.Chosen += asked - followed
	}
	return out, nil
}

// ReadAgain puts known projects on the worklist with the urgency of a walk; those that
// are on it stay as they are.
func (s *Store) ReadAgain(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return nil
	}
	const q = `
with put as (
    insert into reading (name, urgency, follow)
    select name, $2, followed from packages where name = any($1)
    order by name collate "C" -- the same for all who lock several
    on conflict (name) do nothing
    returning 1
)
select pg_notify($3, '') from put limit 1`
	if _, err := s.pool.Exec(ctx, q, names, int16(farm.UrgencyWalk), ReadingChannel); err != nil {
		return fmt.Errorf("have %d projects read again: %w", len(names), translate(err))
	}
	return nil
}

// Unknown lists, of these normalized names, those that the farm neither knows nor
// is going to read: the upstream does not have them.
func (s *Store) Unknown(ctx context.Context, names []string) ([]string, error) {
	const q = `
select distinct n from unnest($1::text[]) as n
where not exists (select 1 from packages p where p.name = n) and not exists (select 1 from reading r where r.name = n)
order by n`
	rows, err := s.pool.Query(ctx, q, names)
	if err != nil {
		return nil, fmt.Errorf("look for unknown projects: %w", translate(err))
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look for unknown projects: %w", translate(err))
	}
	return out, nil
}

// Unread counts, of these normalized names, those that the farm does not follow yet for
// they could not be read, whoever put them on the worklist.
func (s *Store) Unread(ctx context.Context, names []string) (int64, error) {
	const q = `
select count(distinct r.name) from unnest($1::text[]) as n join reading r on r.name = n and r.trouble <> ''
where not exists (select 1 from packages p where p.name = n and p.followed)`
	var count int64
	if err := s.pool.QueryRow(ctx, q, names).Scan(&count); err != nil {
		return 0, fmt.Errorf("count projects that could not be read: %w", translate(err))
	}
	return count, nil
}

// QueueLength counts the jobs that wait for a slave.
func (s *Store) QueueLength(ctx context.Context) (int64, error) {
	var n int64
	if err := s.pool.QueryRow(ctx, `select count(*) from jobs where state = 'queued'`).Scan(&n); err != nil {
		return 0, fmt.Errorf("count the queue: %w", translate(err))
	}
	return n, nil
}
