package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
)

// TargetRow is a target as the farm keeps it.
type TargetRow struct {
	ID     int64
	Target farm.Target
	Facts  farm.Facts
	Active bool
}

// AddTarget registers a target, or activates it again; facts that are given
// replace what was known, facts that are not stay.
func (s *Store) AddTarget(ctx context.Context, t farm.Target, f farm.Facts) error {
	const q = `
insert into targets (name, abi, platform, rank, python, glibc, codename)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (name) do update set
    active   = true,
    python   = coalesce(nullif(excluded.python, ''), targets.python),
    glibc    = coalesce(nullif(excluded.glibc, ''), targets.glibc),
    codename = coalesce(nullif(excluded.codename, ''), targets.codename)`
	_, err := s.pool.Exec(ctx, q, t.String(), t.ABI, t.Platform, t.PythonRank(), f.Python, f.Glibc, f.Codename)
	if err != nil {
		return fmt.Errorf("add target %s: %w", t, translate(err))
	}
	return nil
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

// Targets lists the active targets, lowest Python first.
func (s *Store) Targets(ctx context.Context) ([]TargetRow, error) {
	const q = `
select id, abi, platform, python, glibc, codename, active
from targets where active
order by rank, name -- the lowest Python builds first: its pure wheels serve all`
	rows, err := s.pool.Query(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("list targets: %w", translate(err))
	}
	out, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (TargetRow, error) {
		var t TargetRow
		err := r.Scan(&t.ID, &t.Target.ABI, &t.Target.Platform, &t.Facts.Python, &t.Facts.Glibc, &t.Facts.Codename, &t.Active)
		return t, err
	})
	if err != nil {
		return nil, fmt.Errorf("list targets: %w", translate(err))
	}
	return out, nil
}
