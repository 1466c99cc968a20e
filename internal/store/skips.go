package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
)

// Skip is a maintainer's word that something is not to be built.
type Skip struct {
	Package string    `json:"package"` // normalized (PEP 503)
	Version string    `json:"version"` // "" : all
	Target  string    `json:"target"`  // by name; "" : all
	Reason  string    `json:"reason"`
	Author  string    `json:"author"`
	At      time.Time `json:"at"`
	Removed bool      `json:"removed"` // by Remove: adding it again lifts it
}

const skipColumns = `package, version, target, reason, author, at, removed`

// Skips lists what maintainers said of these packages.
func (s *Store) Skips(ctx context.Context, packages []string) ([]Skip, error) {
	const q = `select ` + skipColumns + ` from skips where package = any($1) order by package, version, target`
	return s.skips(ctx, q, packages)
}

// AllSkips lists what maintainers will not have built.
func (s *Store) AllSkips(ctx context.Context) ([]Skip, error) {
	const q = `select ` + skipColumns + ` from skips order by package, version, target`
	return s.skips(ctx, q)
}

func (s *Store) skips(ctx context.Context, q string, args ...any) ([]Skip, error) {
	rows, err := s.pool.Query(ctx, q, args...)
	if err != nil {
		return nil, fmt.Errorf("list skips: %w", translate(err))
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Skip])
	if err != nil {
		return nil, fmt.Errorf("list skips: %w", translate(err))
	}
	return out, nil
}

// saidSkips is what the audit trail keeps of a skip or an unskip, to take it back.
type saidSkips struct {
	Kept   []Skip `json:"kept"`   // that were said
	Lifted []Skip `json:"lifted"` // that are not meant any more, those that were replaced too
}

// keepSkips writes what is to be skipped, in place of what was said of the same, and
// puts into the list since when.
func keepSkips(ctx context.Context, tx pgx.Tx, list []Skip) error {
	const q = `
insert into skips (package, version, target, reason, author, at, removed) values ($1, $2, $3, $4, $5, coalesce($6, now()), $7)
on conflict (package, version, target) do update set
    reason = excluded.reason, author = excluded.author, at = excluded.at, removed = excluded.removed
returning at`
	for i, k := range list {
		row := tx.QueryRow(ctx, q, k.Package, k.Version, k.Target, k.Reason, k.Author, knownTime(k.At), k.Removed)
		if err := row.Scan(&list[i].At); err != nil {
			return err
		}
	}
	return nil
}

// liftSkips takes back what was said by the same author for the same reason: what
// somebody else said of it meanwhile stays.
func liftSkips(ctx context.Context, tx pgx.Tx, list []Skip) (lifted []Skip, err error) {
	const q = `delete from skips where package = $1 and version = $2 and target = $3 and reason = $4 and author = $5`
	for _, k := range list {
		tag, err := tx.Exec(ctx, q, k.Package, k.Version, k.Target, k.Reason, k.Author)
		if err != nil {
			return nil, err
		}
		if tag.RowsAffected() > 0 {
			lifted = append(lifted, k)
		}
	}
	return lifted, nil
}

// takeSkipsBack undoes the words of a skip or an unskip. The package's revision
// grows, so that nobody writes what he decided by them.
func (u *Undone) takeSkipsBack(ctx context.Context, tx pgx.Tx, said saidSkips) error {
	if len(said.Kept)+len(said.Lifted) == 0 {
		return nil
	}
	const turn = `update packages set revision = revision + 1 where name = $1`
	if _, err := tx.Exec(ctx, turn, u.Of.Subject); err != nil {
		return err
	}
	var err error
	if u.Lifted, err = liftSkips(ctx, tx, said.Kept); err != nil {
		return err
	}
	if u.Kept, err = returnSkips(ctx, tx, said.Lifted); err != nil {
		return err
	}
	return rereadPackage(ctx, tx, u.Of.Subject)
}

// returnSkips says again what was lifted, but where somebody has said something else
// of the same since.
func returnSkips(ctx context.Context, tx pgx.Tx, list []Skip) (kept []Skip, err error) {
	const q = `
insert into skips (package, version, target, reason, author, at, removed) values ($1, $2, $3, $4, $5, coalesce($6, now()), $7)
on conflict (package, version, target) do nothing`
	for _, k := range list {
		tag, err := tx.Exec(ctx, q, k.Package, k.Version, k.Target, k.Reason, k.Author, knownTime(k.At), k.Removed)
		if err != nil {
			return nil, err
		}
		if tag.RowsAffected() > 0 {
			kept = append(kept, k)
		}
	}
	return kept, nil
}

// rereadPackage has a project that the farm knows read and planned again: releases
// that came meanwhile were planned by what is not said any more.
func rereadPackage(ctx context.Context, tx pgx.Tx, name string) error {
	const q = `
with put as (
    insert into reading (name, urgency, follow)
    select name, $2, followed from packages where name = $1
    on conflict (name) do update set
        urgency = least(reading.urgency, excluded.urgency), not_before = now(), revision = reading.revision + 1
    returning name
)
select pg_notify($3, '') from put`
	_, err := tx.Exec(ctx, q, name, int16(farm.UrgencyEvent), ReadingChannel)
	return err
}
