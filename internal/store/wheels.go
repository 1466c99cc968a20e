package store

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
)

// WheelRow is one published wheel with what its page says of it.
type WheelRow struct {
	Package        string // normalized name
	Version        string // normalized version
	Filename       string
	SHA256         string
	Size           int64
	MetadataSHA256 string
	Metadata       []byte // from PageFacts nil, if the wheel is not new
	MetadataSize   int64
	RequiresPython string
	Tags           []string
	Yanked         bool
	YankReason     string
	Published      time.Time
	Quarantined    bool // its release is

	Record *farm.BuildRecord `db:"-"` // how it was made; from PageFacts nil, if the wheel is not new
}

// Page is everything that one project's page is made of.
type Page struct {
	Package      string
	Display      string
	Status       string // PEP 792
	StatusReason string
	Wheels       []WheelRow
}

// Withheld says whether all of the project's wheels are kept back: no page may name
// them and nobody may have them, until the upstream takes its word back (PEP 792).
// They stay in the depot, and their rows stay.
func (p Page) Withheld() bool { return p.Status == "quarantined" }

// Offered are the wheels that are not kept back, be it with the project or with
// their release.
func (p Page) Offered() []WheelRow {
	if p.Withheld() {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(p.Wheels), func(w WheelRow) bool { return w.Quarantined })
}

// pageQuery reads wheels as pageRow has them; %s is the METADATA.
const pageQuery = `
select p.display, p.status, p.status_reason, p.name, r.version, w.filename, w.sha256, w.size, w.metadata_sha256, %s, octet_length(w.metadata),
       w.requires_python, w.tags, r.yanked, r.yank_reason, w.published_at, r.quarantined
from wheels w
join releases r on r.id = w.release_id
join packages p on p.id = r.package_id
where p.name = any($1)
order by p.name, w.filename`

type pageRow struct {
	Display, Status, StatusReason string
	WheelRow
}

func (r pageRow) page() Page {
	return Page{Package: r.Package, Display: r.Display, Status: r.Status, StatusReason: r.StatusReason}
}

// Page reads a project's wheels, ordered by file name: an order that never
// changes, so that the same rows give the same bytes.
func (s *Store) Page(ctx context.Context, name string) (Page, error) {
	p := Page{Package: name}
	err := s.inTx(ctx, "read the page of "+name, func(tx pgx.Tx) error {
		// The status is read again with the wheels: this is of two moments.
		const q = `select display, status, status_reason from packages where name = $1`
		if err := tx.QueryRow(ctx, q, name).Scan(&p.Display, &p.Status, &p.StatusReason); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, fmt.Sprintf(pageQuery, "w.metadata"), []string{name})
		if err != nil {
			return err
		}
		found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[pageRow])
		if err != nil {
			return err
		}
		if len(found) > 0 {
			p = found[0].page()
		}
		p.Wheels = pluck(found, func(r pageRow) WheelRow { return r.WheelRow })
		return addBuildRecords(ctx, tx, &p)
	})
	return p, err
}

// PageFacts gives the wheels of several projects, each project's as Page has them
// and all of it at once, but for METADATA and build records, of which it has those of new
// wheels only, and the sizes: a project of many wheels has megabytes of it, and its page
// needs none. A project without wheels is not given. An error ends it. A connection is
// held until the end.
func (s *Store) PageFacts(ctx context.Context, names []string) iter.Seq2[Page, error] {
	return func(yield func(Page, error) bool) {
		news, err := s.news(ctx, names)
		if err != nil {
			yield(Page{}, fmt.Errorf("read pages: %w", translate(err)))
			return
		}
		rows, err := s.pool.Query(ctx, fmt.Sprintf(pageQuery, "null::bytea"), names)
		if err != nil {
			yield(Page{}, fmt.Errorf("read pages: %w", translate(err)))
			return
		}
		defer rows.Close()
		var one Page
		for rows.Next() {
			r, err := pgx.RowToStructByPos[pageRow](rows)
			if err != nil {
				yield(Page{}, fmt.Errorf("read pages: %w", translate(err)))
				return
			}
			if one.Package != r.Package {
				if len(one.Wheels) > 0 && !yield(one, nil) {
					return
				}
				one = r.page()
			}
			n := news[r.Filename]
			r.Metadata, r.Record = n.Metadata, n.Record
			one.Wheels = append(one.Wheels, r.WheelRow)
		}
		if err := rows.Err(); err != nil {
			yield(Page{}, fmt.Errorf("read pages: %w", translate(err)))
		} else if len(one.Wheels) > 0 {
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
where ` + publishedPackage + `
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
where ` + publishedPackage + `
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
