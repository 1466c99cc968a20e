package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
)

// TargetRow is a target as the farm keeps it.
type TargetRow struct {
	ID     int64
	Target farm.Target
	Facts  farm.Facts
	Active bool

	VouchesARMv6 bool // its compiler is said to make code for ARMv6
}

// AddTarget registers a target, or activates it again; facts that are given
// replace what was known, facts that are not stay. The actor is for the audit trail.
func (s *Store) AddTarget(ctx context.Context, t farm.Target, f farm.Facts, actor string) error {
	const q = `
insert into targets (name, abi, platform, rank, python, glibc, codename)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (name) do update set
    active   = true,
    python   = coalesce(nullif(excluded.python, ''), targets.python),
    glibc    = coalesce(nullif(excluded.glibc, ''), targets.glibc),
    codename = coalesce(nullif(excluded.codename, ''), targets.codename)`
	return s.inTx(ctx, "add target "+t.String(), func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, q, t.String(), t.ABI, t.Platform, t.PythonRank(), f.Python, f.Glibc, f.Codename)
		if err != nil {
			return err
		}
		return note(ctx, tx, actor, "add target", t.String(), f)
	})
}

// FillTargetFacts completes what is not known of a target; what is known stays.
func (s *Store) FillTargetFacts(ctx context.Context, t farm.Target, f farm.Facts) error {
	const q = `
update targets set
    python   = coalesce(nullif(python, ''), $2),
    glibc    = coalesce(nullif(glibc, ''), $3),
    codename = coalesce(nullif(codename, ''), $4)
where name = $1 and '' in (python, glibc, codename)`
	if _, err := s.pool.Exec(ctx, q, t.String(), f.Python, f.Glibc, f.Codename); err != nil {
		return fmt.Errorf("fill the facts of target %s: %w", t, translate(err))
	}
	return nil
}

// Retired is what a retirement leaves as it is.
type Retired struct {
	Queued int64 `json:"queued"` // jobs that nobody is given now
	Leased int64 `json:"leased"` // builds under way; what comes of them counts
}

// RetireTarget makes the farm build for a target no more, until AddTarget: it gets
// no new jobs, and those that it has are given to nobody. Its wheels stay. It may
// be said twice. farm.ErrNotFound: there is no such target.
func (s *Store) RetireTarget(ctx context.Context, t farm.Target, actor string) (r Retired, err error) {
	err = s.inTx(ctx, "retire target "+t.String(), func(tx pgx.Tx) error {
		const retire = `update targets set active = false where name = $1 returning id`
		var id int64
		if err := tx.QueryRow(ctx, retire, t.String()).Scan(&id); err != nil {
			return err
		}
		// Two questions, each for the partial index of its state.
		const count = `
select (select count(*) from jobs where target_id = $1 and state = 'queued'),
       (select count(*) from jobs where target_id = $1 and state = 'leased')`
		if err := tx.QueryRow(ctx, count, id).Scan(&r.Queued, &r.Leased); err != nil {
			return err
		}
		return note(ctx, tx, actor, "retire", t.String(), r)
	})
	return r, err
}

// Targets lists the active targets, lowest Python first.
func (s *Store) Targets(ctx context.Context) ([]TargetRow, error) {
	return s.targets(ctx, false)
}

// TargetsHeard tells, by the target's key, how long ago a slave was heard that
// builds for it. Revoked slaves do not count, nor what one says while it is paused:
// it may be so for weeks, and gets no job.
func (s *Store) TargetsHeard(ctx context.Context) (map[int64]time.Duration, error) {
	const q = `
select t.id, clock_timestamp() - max(case when s.paused then least(s.last_seen, s.paused_at) else s.last_seen end)
from slaves s
cross join lateral jsonb_array_elements(
    case when jsonb_typeof(s.hello -> 'targets') = 'array' then s.hello -> 'targets' else '[]' end) served
join targets t on t.name = served ->> 'target'
where s.revoked_at is null and s.last_seen is not null
group by t.id`
	rows, err := s.pool.Query(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("look which targets have slaves: %w", translate(err))
	}
	out := map[int64]time.Duration{}
	var id int64
	var ago time.Duration
	if _, err := pgx.ForEachRow(rows, []any{&id, &ago}, func() error { out[id] = ago; return nil }); err != nil {
		return nil, fmt.Errorf("look which targets have slaves: %w", translate(err))
	}
	return out, nil
}

// AllTargets lists the retired targets too. Those who ask at the same time share a
// query.
func (s *Store) AllTargets(ctx context.Context) ([]TargetRow, error) {
	a := &listed{}
	err := s.listing.together(ctx, a, func(list []*listed) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishWithin)
		defer cancel()
		rows, err := s.targets(ctx, true)
		for _, a := range list {
			a.rows, a.err = slices.Clone(rows), err
		}
	})
	return a.rows, cmp.Or(err, a.err)
}

// listed is one who asks for all targets.
type listed struct {
	rows []TargetRow
	err  error
}

func (s *Store) targets(ctx context.Context, retired bool) ([]TargetRow, error) {
	const q = `
select id, abi, platform, python, glibc, codename, active, vouches_armv6
from targets where active or $1
order by rank, name collate "C" -- the lowest Python builds first: its pure wheels serve all`
	rows, err := s.pool.Query(ctx, q, retired)
	if err != nil {
		return nil, fmt.Errorf("list targets: %w", translate(err))
	}
	out, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (TargetRow, error) {
		var t TargetRow
		err := r.Scan(&t.ID, &t.Target.ABI, &t.Target.Platform, &t.Facts.Python, &t.Facts.Glibc, &t.Facts.Codename, &t.Active, &t.VouchesARMv6)
		return t, err
	})
	if err != nil {
		return nil, fmt.Errorf("list targets: %w", translate(err))
	}
	return out, nil
}
