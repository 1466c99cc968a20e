package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

func (a *agreeing) updateReleases(ctx context.Context) error {
	const q = `
update releases r set
    raw = x.raw, released_at = coalesce(x.released_at, r.released_at), yanked = x.yanked, yank_reason = x.yank_reason,
    requires_python = x.requires_python, sdist_filename = x.sdist_filename, sdist_url = x.sdist_url,
    sdist_sha256 = x.sdist_sha256, sdist_size = x.sdist_size, wheels = x.wheels, quarantined = x.quarantined
from unnest($1::bigint[], $2::text[], $3::timestamptz[], $4::bool[], $5::text[], $6::text[], $7::text[], $8::text[],
            $9::text[], $10::bigint[], $11::text[], $12::bool[])
    as x (id, raw, released_at, yanked, yank_reason, requires_python, sdist_filename, sdist_url, sdist_sha256, sdist_size, wheels,
          quarantined)
where r.id = x.id and r.id = any($1)`
	var ids, sizes []int64
	var raws, reasons, pythons, files, urls, hashes, wheels []string
	var times []*time.Time
	var yanked, held []bool
	for _, g := range a.batch {
		for _, r := range g.Update {
			ids, raws, times = append(ids, r.ID), append(raws, r.Raw), append(times, knownTime(r.Released))
			yanked, reasons, pythons = append(yanked, r.Yanked), append(reasons, r.YankReason), append(pythons, r.RequiresPython)
			files, urls = append(files, r.Sdist.Filename), append(urls, r.Sdist.URL)
			hashes, sizes, wheels = append(hashes, r.Sdist.SHA256), append(sizes, r.Sdist.Size), append(wheels, r.Wheels)
			held = append(held, r.Quarantined)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	_, err := a.tx.Exec(ctx, q, ids, raws, times, yanked, reasons, pythons, files, urls, hashes, sizes, wheels, held)
	if err != nil {
		return err
	}
	const copies = `
update jobs j set released_at = r.released_at, rank = -floor(extract(epoch from r.released_at) * 1000)::bigint
from releases r where r.id = any($1) and j.release_id = r.id and j.released_at <> r.released_at`
	_, err = a.tx.Exec(ctx, copies, ids)
	return err
}

// knownTime is a time for a statement; the zero time is not known.
func knownTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// addReleases inserts releases under ids that it draws itself, so that their jobs
// need not be looked up.
func (a *agreeing) addReleases(ctx context.Context) error {
	type row struct {
		pkg  int64
		name string
		*NewRelease
	}
	var rows []row
	for _, g := range a.batch {
		for i := range g.Add {
			rows = append(rows, row{g.id, g.Known.Name, &g.Add[i]})
		}
	}
	if len(rows) == 0 {
		return nil
	}
	ids, err := a.draw(ctx, len(rows))
	if err != nil {
		return err
	}
	columns := []string{"id", "package_id", "version", "raw", "released_at", "yanked", "yank_reason", "requires_python",
		"sdist_filename", "sdist_url", "sdist_sha256", "sdist_size", "wheels"}
	_, err = a.tx.CopyFrom(ctx, pgx.Identifier{"releases"}, columns, pgx.CopyFromSlice(len(rows), func(i int) ([]any, error) {
		r := rows[i]
		released := r.Released
		if released.IsZero() {
			released = a.now
		}
		for _, j := range r.Jobs {
			a.fresh = append(a.fresh, freshJob{r.pkg, r.name, ids[i], r.Version, j.Target, released, j.Planned})
		}
		return []any{ids[i], r.pkg, r.Version, r.Raw, released, r.Yanked, r.YankReason, r.RequiresPython,
			r.Sdist.Filename, r.Sdist.URL, r.Sdist.SHA256, r.Sdist.Size, r.Wheels}, nil
	}))
	a.out.Releases += int64(len(rows))
	return err
}

func (a *agreeing) draw(ctx context.Context, n int) ([]int64, error) {
	const q = `select nextval(pg_get_serial_sequence('releases', 'id')), now() from generate_series(1, $1)`
	rows, err := a.tx.Query(ctx, q, n)
	if err != nil {
		return nil, err
	}
	ids := make([]int64, 0, n)
	var id int64
	_, err = pgx.ForEachRow(rows, []any{&id, &a.now}, func() error { ids = append(ids, id); return nil })
	return ids, err
}
