package store

import (
	"context"
	"fmt"
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
	Metadata       []byte
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

// Page reads a project's wheels, ordered by version as text and file name: an
// order that never changes, so that the same rows give the same bytes.
func (s *Store) Page(ctx context.Context, name string) (Page, error) {
	p := Page{Package: name}
	const q = `
select p.name, r.version, w.filename, w.sha256, w.size, w.metadata_sha256, w.metadata, w.requires_python, w.tags,
       r.yanked, r.yank_reason, w.published_at
from wheels w
join releases r on r.id = w.release_id
join packages p on p.id = r.package_id
where p.name = $1
order by w.filename`
	err := s.inTx(ctx, "read the page of "+name, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, `select display from packages where name = $1`, name).Scan(&p.Display); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, q, name)
		if err != nil {
			return err
		}
		p.Wheels, err = pgx.CollectRows(rows, pgx.RowToStructByPos[WheelRow])
		return err
	})
	return p, err
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
