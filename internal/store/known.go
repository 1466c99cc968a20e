package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

const knownColumns = `
select p.id, p.name, p.display, p.status, p.status_reason, p.serial, p.etag, p.followed, p.revision, p.spellings,
       p.asked > 0 or p.missed > 0 or p.listed or ` + awaited + `, p.read_at
from packages p `

// awaited says whether builds wait for a wheel of the package p. What a master of before
// counted in packages.needed is not read: who stopped waiting otherwise stayed in it.
const awaited = `exists (select 1 from jobs w where w.waits_package <> '' and w.waits_package = p.name)`

// KnownProjects reads what the farm holds of projects, by normalized name; one
// that it does not know is absent. What others change meanwhile shows in Agree,
// which refuses what was decided on it.
func (s *Store) KnownProjects(ctx context.Context, names []string) (map[string]Known, error) {
	list, err := s.known(ctx, fmt.Sprintf("read what is known of %d projects", len(names)), `where p.name = any($1)`, names)
	out := make(map[string]Known, len(list))
	for _, k := range list {
		out[k.Name] = k
	}
	return out, err
}

// KnownAfter reads up to limit projects whose id is higher than after, by id: so
// that everything is walked over in pieces.
func (s *Store) KnownAfter(ctx context.Context, after int64, limit int) ([]Known, error) {
	return s.known(ctx, "read what is known of projects", `where p.id > $1 order by p.id limit $2`, after, limit)
}

func (s *Store) known(ctx context.Context, what, which string, args ...any) ([]Known, error) {
	var out []Known
	err := s.inBrief(ctx, what, func(tx pgx.Tx) error {
		// The revisions first: a change that comes between the statements makes
		// them old, never the rows older than they say.
		rows, err := tx.Query(ctx, knownColumns+which, args...)
		if err != nil {
			return err
		}
		if out, err = pgx.CollectRows(rows, scanKnown); err != nil || len(out) == 0 {
			return err // of what a backfill reads first, nothing is known
		}
		if err := addHeld(ctx, tx, out); err != nil {
			return err
		}
		return addReleases(ctx, tx, out)
	})
	return out, err
}

func scanKnown(row pgx.CollectableRow) (Known, error) {
	var k Known
	var read *time.Time
	err := row.Scan(&k.ID, &k.Name, &k.Display, &k.Status, &k.StatusReason, &k.Serial, &k.ETag, &k.Followed,
		&k.Revision, &k.Spellings, &k.Wanted, &read)
	if read != nil {
		k.Read = *read
	}
	return k, err
}

// addReleases reads releases and jobs of all projects by two statements.
func addReleases(ctx context.Context, tx pgx.Tx, projects []Known) error {
	const q = `
select package_id, id, version, raw, released_at, yanked, yank_reason, requires_python,
       sdist_filename, sdist_url, sdist_sha256, sdist_size, wheels, quarantined
from releases where package_id = any($1) order by package_id, released_at, id`
	at := make(map[int64]int, len(projects))
	ids := make([]int64, len(projects))
	for i, k := range projects {
		at[k.ID], ids[i] = i, k.ID
	}
	rows, err := tx.Query(ctx, q, ids)
	if err != nil {
		return err
	}
	var pkg int64
	var r KnownRelease
	_, err = pgx.ForEachRow(rows, append([]any{&pkg}, releaseInto(&r)...), func() error {
		k := &projects[at[pkg]]
		k.Releases = append(k.Releases, r)
		return nil
	})
	if err != nil {
		return err
	}
	return addKnownJobs(ctx, tx, projects, ids)
}

// releaseInto is where the columns of a release are scanned to.
func releaseInto(r *KnownRelease) []any {
	return []any{&r.ID, &r.Version, &r.Raw, &r.Released, &r.Yanked, &r.YankReason, &r.RequiresPython,
		&r.Sdist.Filename, &r.Sdist.URL, &r.Sdist.SHA256, &r.Sdist.Size, &r.Wheels, &r.Quarantined}
}

func addKnownJobs(ctx context.Context, tx pgx.Tx, projects []Known, ids []int64) error {
	// A wheel's build is its job's; few jobs are built, so the wheels are looked up
	// for them only.
	const q = `
select j.release_id, j.id, j.target_id, j.state, j.why, j.reason, j.priority, coalesce(j.waits_target_id, 0),
       coalesce(case when j.state = 'built' then (
           select w.filename || ' ' || w.requires_python from wheels w join builds b on b.id = w.build_id
           where w.release_id = j.release_id and b.job_id = j.id and w.filename like '%-none-any.whl'
           order by w.id desc limit 1) end, '')
from releases r join jobs j on j.release_id = r.id
where r.package_id = any($1) order by j.release_id, j.id`
	of := map[int64]*KnownRelease{}
	for i := range projects {
		for k := range projects[i].Releases {
			r := &projects[i].Releases[k]
			of[r.ID] = r
		}
	}
	rows, err := tx.Query(ctx, q, ids)
	if err != nil {
		return err
	}
	var release int64
	var j KnownJob
	var wheel string
	into := []any{&release, &j.ID, &j.Target, (*string)(&j.State), (*string)(&j.Why), &j.Reason, (*int16)(&j.Priority), &j.Waits, &wheel}
	_, err = pgx.ForEachRow(rows, into, func() error {
		j.Wheel, j.WheelPython, _ = strings.Cut(wheel, " ")
		if r := of[release]; r != nil { // one that was added meanwhile: then the revision is old
			r.Jobs = append(r.Jobs, j)
		}
		return nil
	})
	return err
}
