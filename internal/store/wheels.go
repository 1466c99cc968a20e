package store

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/jackc/pgx/v5"
)

// WheelRow is one published wheel with what its page says of it.
type WheelRow struct {
	Package        string // normalized name
	Version        string // normalized version
	Filename       string
	SHA256         string
	Size           int64
	MetadataSHA256 string
	Metadata       []byte // nil from PageFacts
	MetadataSize   int64
	RequiresPython string
	Tags           []string
	Yanked         bool
	YankReason     string
	Published      time.Time
}

// Page is everything that one project's page is made of.
type Page struct {
	Package string
	Display string
	Wheels  []WheelRow
}

// pageQuery reads wheels as WheelRow has them; %s is the METADATA.
const pageQuery = `
select p.name, r.version, w.filename, w.sha256, w.size, w.metadata_sha256, %s, octet_length(w.metadata),
       w.requires_python, w.tags, r.yanked, r.yank_reason, w.published_at
from wheels w
join releases r on r.id = w.release_id
join packages p on p.id = r.package_id
where p.name = any($1)
order by p.name, w.filename`

// Page reads a project's wheels, ordered by file name: an order that never
// changes, so that the same rows give the same bytes.
func (s *Store) Page(ctx context.Context, name string) (Page, error) {
	p := Page{Package: name}
	err := s.inTx(ctx, "read the page of "+name, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, `select display from packages where name = $1`, name).Scan(&p.Display); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, fmt.Sprintf(pageQuery, "w.metadata"), []string{name})
		if err != nil {
			return err
		}
		p.Wheels, err = pgx.CollectRows(rows, pgx.RowToStructByPos[WheelRow])
		return err
	})
	return p, err
}

// PageFacts gives the wheels of several projects, each project's as Page has them
// and all of it at once, but for the METADATA, of which it has the sizes only: a
// project of many wheels has megabytes of it, and its page needs none. A project
// without wheels is not given. An error ends it. A connection is held until the end.
func (s *Store) PageFacts(ctx context.Context, names []string) iter.Seq2[[]WheelRow, error] {
	return func(yield func([]WheelRow, error) bool) {
		rows, err := s.pool.Query(ctx, fmt.Sprintf(pageQuery, "null::bytea"), names)
		if err != nil {
			yield(nil, fmt.Errorf("read pages: %w", translate(err)))
			return
		}
		defer rows.Close()
		var one []WheelRow
		for rows.Next() {
			w, err := pgx.RowToStructByPos[WheelRow](rows)
			if err != nil {
				yield(nil, fmt.Errorf("read pages: %w", translate(err)))
				return
			}
			if len(one) > 0 && one[0].Package != w.Package {
				if !yield(one, nil) {
					return
				}
				one = nil
			}
			one = append(one, w)
		}
		if err := rows.Err(); err != nil {
			yield(nil, fmt.Errorf("read pages: %w", translate(err)))
		} else if len(one) > 0 {
			yield(one, nil)
		}
	}
}

// Metadata reads the METADATA of one wheel; farm.ErrNotFound if there is none.
func (s *Store) Metadata(ctx context.Context, filename string) ([]byte, error) {
	var b []byte
	if err := s.pool.QueryRow(ctx, `select metadata from wheels where filename = $1`, filename).Scan(&b); err != nil {
		return nil, fmt.Errorf("read the METADATA of %s: %w", filename, translate(err))
	}
	return b, nil
}

// Listed is a name that the root index may have.
type Listed struct {
	Name  string // normalized (PEP 503)
	Stale bool   // its page is still to be written
}

// Listing gives the packages that have a wheel, by name, as they were at one
// moment. An error ends it. The names are not held in memory, so a connection is
// held until the end: be quick.
func (s *Store) Listing(ctx context.Context) iter.Seq2[Listed, error] {
	const q = `
select p.name, s.scope is not null
from packages p left join stale_pages s on s.scope = p.name
where exists (select 1 from releases r join wheels w on w.release_id = r.id where r.package_id = p.id)
order by p.name collate "C" -- as Go compares`
	return func(yield func(Listed, error) bool) {
		rows, err := s.pool.Query(ctx, q)
		if err != nil {
			yield(Listed{}, fmt.Errorf("list published packages: %w", translate(err)))
			return
		}
		defer rows.Close()
		for rows.Next() {
			var l Listed
			if err := rows.Scan(&l.Name, &l.Stale); err != nil {
				yield(Listed{}, fmt.Errorf("list published packages: %w", translate(err)))
				return
			}
			if !yield(l, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(Listed{}, fmt.Errorf("list published packages: %w", translate(err)))
		}
	}
}

// PublishedPackage is a name of the root index.
type PublishedPackage struct{ Name, Display string }

// PublishedPackages lists the packages that have a wheel, by name.
func (s *Store) PublishedPackages(ctx context.Context) ([]PublishedPackage, error) {
	const q = `
select name, display from packages p
where exists (select 1 from releases r join wheels w on w.release_id = r.id where r.package_id = p.id)
order by name collate "C"`
	rows, err := s.pool.Query(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("list published packages: %w", translate(err))
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[PublishedPackage])
	if err != nil {
		return nil, fmt.Errorf("list published packages: %w", translate(err))
	}
	return out, nil
}

// PublishedName is one row of the table of names that is never shortened.
type PublishedName struct {
	Filename string
	SHA256   string
	Size     int64
}

// PublishedNames lists every file name ever published.
func (s *Store) PublishedNames(ctx context.Context) ([]PublishedName, error) {
	rows, err := s.pool.Query(ctx, `select filename, sha256, size from published_names order by filename`)
	if err != nil {
		return nil, fmt.Errorf("list published names: %w", translate(err))
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[PublishedName])
	if err != nil {
		return nil, fmt.Errorf("list published names: %w", translate(err))
	}
	return out, nil
}
