package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
)

// Uncopied is a wheel for linux_armv7l of which nobody has said yet whether it gets a
// copy for armv6l.
type Uncopied struct {
	ID       int64
	Filename string
	SHA256   string
	Size     int64
	Package  string // normalized (PEP 503)
	Version  string // normalized (PEP 440)
	Target   farm.Target
	Glibc    string // of the target; "" is not known
	Vouches  bool   // the target, for its compiler
}

// Uncopied lists up to limit such wheels whose ids are above after, by id.
func (s *Store) Uncopied(ctx context.Context, after int64, limit int) ([]Uncopied, error) {
	// The pattern is the index's own.
	const q = `
select w.id, w.filename, w.sha256, w.size, p.name, r.version, t.abi, t.platform, t.glibc, t.vouches_armv6
from wheels w
join builds b on b.id = w.build_id
join jobs j on j.id = b.job_id
join targets t on t.id = j.target_id
join releases r on r.id = w.release_id
join packages p on p.id = r.package_id
where w.no_armv6l is null and w.filename like '%-linux\_armv7l.whl' and w.id > $1
order by w.id
limit $2`
	rows, err := s.pool.Query(ctx, q, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list the wheels without a word about armv6l: %w", translate(err))
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (u Uncopied, err error) {
		err = row.Scan(&u.ID, &u.Filename, &u.SHA256, &u.Size, &u.Package, &u.Version, &u.Target.ABI, &u.Target.Platform, &u.Glibc, &u.Vouches)
		return u, err
	})
	if err != nil {
		return nil, fmt.Errorf("list the wheels without a word about armv6l: %w", translate(err))
	}
	return out, nil
}

// NoCopy says why a wheel gets no copy for armv6l.
func (s *Store) NoCopy(ctx context.Context, wheel int64, why string) error {
	if _, err := s.pool.Exec(ctx, `update wheels set no_armv6l = $2 where id = $1 and no_armv6l is null`, wheel, why); err != nil {
		return fmt.Errorf("note that wheel %d has no copy: %w", wheel, translate(err))
	}
	return nil
}

// AddCopy publishes the copy of a wheel: its name among those that are never used again,
// its row beside the wheel's with all that the page says of it, and the page marked stale,
// in one transaction. It is false if nothing was added: the wheel is gone, or has its copy,
// or the name was published before, which is kept as the reason.
func (s *Store) AddCopy(ctx context.Context, wheel int64, file farm.File, tags []string) (added bool, err error) {
	// Who removes a wheel has its job locked, and so sees the copy or keeps us from it.
	const lock = `
select w.filename from jobs j join builds b on b.job_id = j.id join wheels w on w.build_id = b.id where w.id = $1
for share of j`
	const add = `
with original as (
    select * from wheels where id = $1 and no_armv6l is null for update
), named as (
    insert into published_names (filename, sha256, size) select $2::text, $3::text, $4::bigint from original
    on conflict (filename) do nothing returning filename
), copied as (
    insert into wheels (release_id, build_id, filename, sha256, size, metadata_sha256, metadata, requires_python, tags, copy_of, no_armv6l)
    select release_id, build_id, $2::text, $3::text, $4::bigint, metadata_sha256, metadata, requires_python, $5::text[], id, ''
    from original, named
    returning release_id
), said as (
    update wheels set no_armv6l = case when exists (select from named) then '' else 'the file name ' || $2::text || ' was published before' end
    where id in (select id from original)
)
select p.name from copied c join releases r on r.id = c.release_id join packages p on p.id = r.package_id`
	err = s.inTx(ctx, "publish the copy "+file.Name, func(tx pgx.Tx) error {
		added = false
		if _, err := tx.Exec(ctx, lock, wheel); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, add, wheel, file.Name, file.SHA256, file.Size, tags)
		if err != nil {
			return err
		}
		pages, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil || len(pages) == 0 {
			return err
		}
		added = true
		return markProject(ctx, tx, pages[0])
	})
	return added, err
}

// CopiedFrom is the file of the wheel that another is a copy of; farm.ErrNotFound: it is
// no copy.
func (s *Store) CopiedFrom(ctx context.Context, filename string) (f farm.File, err error) {
	const q = `select w.filename, w.sha256, w.size from wheels c join wheels w on w.id = c.copy_of where c.filename = $1`
	if err := s.pool.QueryRow(ctx, q, filename).Scan(&f.Name, &f.SHA256, &f.Size); err != nil {
		return f, fmt.Errorf("look what %s is a copy of: %w", filename, translate(err))
	}
	return f, nil
}

// VouchARMv6 says of a target that its compiler makes code for ARMv6 with VFPv2, whatever
// is missing from what its files say, or takes that back. Said anew, wheels that had no
// copy are looked at again. Copies that were made stay: a published file does.
// farm.ErrNotFound: there is no such target.
func (s *Store) VouchARMv6(ctx context.Context, t farm.Target, vouches bool, actor string) error {
	return s.inTx(ctx, "vouch for target "+t.String(), func(tx pgx.Tx) error {
		const vouch = `
update targets t set vouches_armv6 = $2 from (select id, vouches_armv6 from targets where name = $1 for update) old
where t.id = old.id returning t.id, old.vouches_armv6`
		var id int64
		var before bool
		if err := tx.QueryRow(ctx, vouch, t.String(), vouches).Scan(&id, &before); err != nil {
			return err
		}
		if before == vouches {
			return nil
		}
		const again = `
update wheels w set no_armv6l = null from builds b join jobs j on j.id = b.job_id
where b.id = w.build_id and j.target_id = $1 and w.no_armv6l <> ''`
		if vouches {
			if _, err := tx.Exec(ctx, again, id); err != nil {
				return err
			}
		}
		return note(ctx, tx, actor, "vouch for ARMv6", t.String(), map[string]any{"vouches": vouches})
	})
}
