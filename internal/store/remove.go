package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
	"pinwheel/internal/pep"
)

// Removed is what Remove took away.
type Removed struct {
	Package  string   // normalized name (PEP 503)
	Versions []string // normalized (PEP 440), oldest first
	Wheels   []string // file names; their rows among the published names stay for ever
	Jobs     int64
	Aborted  int64 // of the jobs: builds that were under way
}

// Remove takes a package away, or the named versions of it, as the upstream's
// deletion would: releases, jobs, builds and wheels in one transaction, and the
// page with them by being stale. Builds under way are told to stop; what they
// bring later has no lease any more. farm.ErrNotFound names what there is not,
// and then nothing is removed.
func (s *Store) Remove(ctx context.Context, name string, versions []string, actor string) (Removed, error) {
	r := Removed{Package: name, Wheels: []string{}}
	err := s.inTx(ctx, "remove "+name, func(tx pgx.Tx) error {
		var id int64
		// Whoever adds releases of the package waits here, or we for him.
		err := tx.QueryRow(ctx, `select id from packages where name = $1 for update`, name).Scan(&id)
		if errors.Is(err, pgx.ErrNoRows) {
			return fmt.Errorf("the farm has no such package: %w", farm.ErrNotFound)
		}
		if err != nil {
			return err
		}
		releases, err := pickReleases(ctx, tx, id, versions, &r)
		if err != nil {
			return err
		}
		if err := r.stopBuilds(ctx, tx, releases); err != nil {
			return err
		}
		if err := r.deleteRows(ctx, tx, releases); err != nil {
			return err
		}
		if len(versions) == 0 {
			if _, err := tx.Exec(ctx, `delete from packages where id = $1`, id); err != nil {
				return err
			}
		}
		if err := markRemoved(ctx, tx, name); err != nil {
			return err
		}
		return note(ctx, tx, actor, "remove", name, map[string]any{
			"versions": r.Versions, "jobs": r.Jobs, "wheels": r.Wheels, "aborted": r.Aborted,
		})
	})
	return r, err
}

// pickReleases finds the releases by any spelling of their versions; none asked
// for means all.
func pickReleases(ctx context.Context, tx pgx.Tx, pkg int64, versions []string, r *Removed) (ids []int64, err error) {
	rows, err := tx.Query(ctx, `select id, version, raw from releases where package_id = $1 order by released_at, id`, pkg)
	if err != nil {
		return nil, err
	}
	type release struct {
		ID           int64
		Version, Raw string
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[release])
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	ids, r.Versions = []int64{}, []string{}
	for _, x := range all {
		wanted := len(versions) == 0
		for _, v := range versions {
			if sameVersion(v, x.Version) || v == x.Raw {
				wanted, seen[v] = true, true
			}
		}
		if wanted {
			ids, r.Versions = append(ids, x.ID), append(r.Versions, x.Version)
		}
	}
	for _, v := range versions {
		if !seen[v] {
			return nil, fmt.Errorf("the farm has no version %s of it: %w", v, farm.ErrNotFound)
		}
	}
	return ids, nil
}

// sameVersion holds two spellings of a version to be one (PEP 440); a legacy
// version is itself only.
func sameVersion(a, b string) bool {
	if a == b {
		return true
	}
	v, err := pep.ParseVersion(a)
	if err != nil {
		return false
	}
	w, err := pep.ParseVersion(b)
	return err == nil && v.Equal(w)
}

// stopBuilds locks the jobs, so that a report about one of them is served before
// this transaction or finds nothing after it, and tells who builds one to stop.
func (r *Removed) stopBuilds(ctx context.Context, tx pgx.Tx, releases []int64) error {
	const q = `
with mine as (
    select id, lease_slave_id, lease_token from jobs where release_id = any($1)
    order by id -- the same for all who lock several
    for update
)
select coalesce(s.name, ''), coalesce(m.lease_token, '')
from mine m left join slaves s on s.id = m.lease_slave_id`
	rows, err := tx.Query(ctx, q, releases)
	if err != nil {
		return err
	}
	orders, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Order, error) {
		o := Order{Do: OrderAbort}
		err := row.Scan(&o.Slave, &o.Token)
		return o, err
	})
	if err != nil {
		return err
	}
	r.Jobs = int64(len(orders))
	for _, o := range orders {
		if o.Slave == "" {
			continue
		}
		r.Aborted++
		if err := notifyOrder(ctx, tx, o); err != nil {
			return err
		}
	}
	return nil
}

// deleteRows deletes from the leaves up: wheels name builds, builds name jobs.
// The rest goes with the releases, by the schema.
func (r *Removed) deleteRows(ctx context.Context, tx pgx.Tx, releases []int64) error {
	const wheels = `
with gone as (delete from wheels where release_id = any($1) returning filename)
select filename from gone order by filename`
	rows, err := tx.Query(ctx, wheels, releases)
	if err != nil {
		return err
	}
	if r.Wheels, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `delete from releases where id = any($1)`, releases)
	return err
}
