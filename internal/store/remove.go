package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

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
// deletion would: releases, jobs, builds and wheels in one transaction. The page is
// stale then, and the wheels withdrawn: see Withdrawn. Builds under way are told to
// stop; what they bring later has no lease any more. What the upstream still has is
// not built when it is read again, until somebody adds it: see Skip.Removed.
// farm.ErrNotFound names what there is not, and then nothing is removed.
func (s *Store) Remove(ctx context.Context, name string, versions []string, actor string) (Removed, error) {
	var r Removed
	err := untangled(func() error {
		return s.inTx(ctx, "remove "+name, func(tx pgx.Tx) error {
			r = Removed{Package: name}
			g := Agreement{Known: Known{ProjectFacts: ProjectFacts{Name: name}}, Gone: len(versions) == 0}
			// Whoever adds releases of the package waits here, or we for him; what he
			// decided before must not count after.
			const lock = `update packages set revision = revision + 1 where name = $1 returning id, revision`
			err := tx.QueryRow(ctx, lock, name).Scan(&g.Known.ID, &g.Known.Revision)
			if errors.Is(err, pgx.ErrNoRows) {
				return fmt.Errorf("the farm has no such package: %w", farm.ErrNotFound)
			}
			if err != nil {
				return err
			}
			releases, err := pickReleases(ctx, tx, g.Known.ID, versions, &r)
			if err != nil {
				return err
			}
			if !g.Gone {
				g.Remove = releases
			}
			if err := r.take(ctx, tx, g); err != nil {
				return err
			}
			if err := keepSkips(ctx, tx, r.lasting(g.Gone, actor)); err != nil {
				return err
			}
			return note(ctx, tx, actor, "remove", name, map[string]any{
				"versions": r.Versions, "jobs": r.Jobs, "wheels": r.Wheels, "aborted": r.Aborted,
			})
		})
	})
	return r, err
}

// lasting is what keeps the upstream from bringing it back.
func (r *Removed) lasting(all bool, actor string) (list []Skip) {
	versions := r.Versions
	if all {
		versions = []string{""}
	}
	for _, v := range versions {
		list = append(list, Skip{Package: r.Package, Version: v, Reason: "removed", Author: actor, Removed: true})
	}
	return list
}

// take removes as the upstream's word does. The page is marked in any case: it may
// be left from wheels that went before.
func (r *Removed) take(ctx context.Context, tx pgx.Tx, g Agreement) error {
	a := newAgreeing(tx, []Agreement{g})
	for _, step := range []func(context.Context) error{a.lockJobs, a.abort, a.remove} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	r.Wheels, r.Jobs, r.Aborted = a.wheels, int64(len(a.jobs)), a.out.Aborted
	return markRemoved(ctx, tx, r.Package)
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

// abort tells whoever builds what goes or moves on to stop, and ends the builds: an
// aborted one never reports.
func (a *agreeing) abort(ctx context.Context) error {
	var tokens []string
	for _, g := range a.batch {
		ended := slices.Clone(g.doomed)
		for _, m := range g.Move {
			if m.From == farm.Leased && m.State != farm.Leased {
				ended = append(ended, m.Job)
			}
		}
		for _, id := range ended {
			o := a.jobs[id].order
			if o.Slave == "" {
				continue
			}
			tokens = append(tokens, o.Token)
			if err := notifyOrder(ctx, a.tx, o); err != nil {
				return err
			}
		}
	}
	if len(tokens) == 0 {
		return nil
	}
	a.out.Aborted = int64(len(tokens))
	const q = `update builds set outcome = 'superseded', ended_at = now() where token = any($1) and outcome is null`
	_, err := a.tx.Exec(ctx, q, tokens)
	return err
}

// remove deletes from the leaves up: wheels name builds, builds name jobs. The
// builds go with their jobs, by the schema. The jobs are locked, so no wheel comes
// meanwhile.
func (a *agreeing) remove(ctx context.Context) error {
	var jobs, releases, packages []int64
	for _, g := range a.batch {
		jobs, releases = append(jobs, g.doomed...), append(releases, g.Remove...)
		if g.Gone && g.id != 0 {
			packages = append(packages, g.id)
		}
	}
	a.wheels = []string{}
	if len(jobs) > 0 {
		if err := a.removeWheels(ctx, jobs); err != nil {
			return err
		}
		if _, err := a.tx.Exec(ctx, `delete from jobs where id = any($1)`, jobs); err != nil {
			return err
		}
	}
	if len(releases)+len(packages) == 0 {
		return nil
	}
	tag, err := a.tx.Exec(ctx, `delete from releases where id = any($1) or package_id = any($2)`, releases, packages)
	if err != nil {
		return err
	}
	a.out.Removed = tag.RowsAffected()
	_, err = a.tx.Exec(ctx, `delete from packages where id = any($1)`, packages)
	return err
}

// removeWheels takes the wheels of jobs away from their releases, which go. Their
// pages still name them, and their files are there: until the publisher has taken
// down both, in this order, they have a row among the withdrawn.
func (a *agreeing) removeWheels(ctx context.Context, jobs []int64) error {
	const q = `
with gone as (
    delete from wheels w using builds b where b.id = w.build_id and b.job_id = any($1)
    returning w.filename, w.sha256, w.size, w.build_id, w.release_id
), kept as (
    insert into withdrawn (filename, package, sha256, size, build_id)
    select g.filename, p.name, g.sha256, g.size, g.build_id
    from gone g join releases r on r.id = g.release_id join packages p on p.id = r.package_id
    order by g.filename collate "C" -- the same for all who lock several
)
select g.filename, r.package_id from gone g join releases r on r.id = g.release_id order by g.filename`
	rows, err := a.tx.Query(ctx, q, jobs)
	if err != nil {
		return err
	}
	var filename string
	var pkg int64
	_, err = pgx.ForEachRow(rows, []any{&filename, &pkg}, func() error {
		a.wheels, a.unwheeled[pkg] = append(a.wheels, filename), true
		return nil
	})
	return err
}
