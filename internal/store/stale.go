package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// RootScope is the scope of the root index among the stale pages.
const RootScope = ""

// Marks take the rows' locks in one order everywhere, projects by name and the
// root last: two that take them crosswise would end in a deadlock.
const (
	markStale = `insert into stale_pages (scope) select $1`
	markAgain = ` on conflict (scope) do update set generation = excluded.generation`
)

// publishedPackage is what packages p have that have a page.
const publishedPackage = `exists (select 1 from releases r join wheels w on w.release_id = r.id where r.package_id = p.id)`

// markProject says, in the transaction that changed it, that a project's page
// no longer agrees with its rows, and wakes whoever writes pages.
func markProject(ctx context.Context, tx pgx.Tx, name string) error {
	if err := markScope(ctx, tx, name); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `select pg_notify($1, $2)`, StaleChannel, name)
	return err
}

// queueMarks marks projects, and the root index too if one of them had no wheel
// before: all others leave it as it is. Of two transactions at once each may take its own
// for the first, which is harmless; that one brings a wheel while another removes
// the last is not seen here, but by the publisher, which finds no page.
func queueMarks(writes *pgx.Batch, names []string, first bool) {
	if first {
		names = append(names, RootScope)
	}
	writes.Queue(markList, names)
	writes.Queue(`select pg_notify($1, $2)`, StaleChannel, names[0])
}

// markList is of projects that are named, and of the root by its name.
const markList = `
insert into stale_pages (scope)
select scope from (select distinct unnest($1::text[])) as marked (scope) order by scope = '', scope collate "C"
on conflict (scope) do update set generation = excluded.generation`

// markRemoved marks the root index too: what went may have been the last.
func markRemoved(ctx context.Context, tx pgx.Tx, name string) error {
	if err := markProject(ctx, tx, name); err != nil {
		return err
	}
	return markScope(ctx, tx, RootScope)
}

// markScope is for a transaction, or for none.
func markScope(ctx context.Context, db interface {
	Exec(context.Context, string, ...any) (pgconn.CommandTag, error)
}, scope string) error {
	_, err := db.Exec(ctx, markStale+`::text`+markAgain, scope)
	return err
}

// MarkRootStale says that the root index is to be written again.
func (s *Store) MarkRootStale(ctx context.Context) error {
	if err := markScope(ctx, s.pool, RootScope); err != nil {
		return fmt.Errorf("mark the root index stale: %w", translate(err))
	}
	return nil
}

// StalePage is a page to be written; Generation is handed back when it is.
type StalePage struct {
	Scope      string
	Generation int64
}

// StalePages lists up to limit pages to be written, projects before the root:
// an index must not name a page that is not there yet.
func (s *Store) StalePages(ctx context.Context, limit int) ([]StalePage, error) {
	const q = `
select scope, generation from stale_pages
order by scope = '', marked_at -- the root last, then the longest stale
limit $1`
	rows, err := s.pool.Query(ctx, q, limit)
	if err != nil {
		return nil, fmt.Errorf("list stale pages: %w", translate(err))
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[StalePage])
	if err != nil {
		return nil, fmt.Errorf("list stale pages: %w", translate(err))
	}
	return out, nil
}

// StaleProjects streams the projects whose pages are to be written.
func (s *Store) StaleProjects(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		rows, err := s.pool.Query(ctx, `select scope from stale_pages where scope <> ''`)
		if err != nil {
			yield("", fmt.Errorf("list stale projects: %w", translate(err)))
			return
		}
		defer rows.Close()
		var name string
		for rows.Next() {
			if err := rows.Scan(&name); err != nil {
				yield("", fmt.Errorf("list stale projects: %w", translate(err)))
				return
			}
			if !yield(name, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield("", fmt.Errorf("list stale projects: %w", translate(err)))
		}
	}
}

// StaleRoot is the root index if it is to be written, else nil.
func (s *Store) StaleRoot(ctx context.Context) (*StalePage, error) {
	p := StalePage{Scope: RootScope}
	err := s.pool.QueryRow(ctx, `select generation from stale_pages where scope = $1`, RootScope).Scan(&p.Generation)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("is the root index stale: %w", translate(err))
	}
	return &p, nil
}

// PagesWritten forgets stale pages, but for those that changed since they were
// listed. One that is being changed right now is left without waiting: it stays
// stale, and nobody can wait for us who holds what we wait for.
func (s *Store) PagesWritten(ctx context.Context, pages ...StalePage) error {
	const q = `
with written as (
    select s.scope from stale_pages s join unnest($1::text[], $2::bigint[]) as w (scope, generation) using (scope, generation)
    for update of s skip locked
)
delete from stale_pages s using written where s.scope = written.scope`
	scopes, generations := make([]string, len(pages)), make([]int64, len(pages))
	for i, p := range pages {
		scopes[i], generations[i] = p.Scope, p.Generation
	}
	if _, err := s.pool.Exec(ctx, q, scopes, generations); err != nil {
		return fmt.Errorf("forget %d stale pages: %w", len(pages), translate(err))
	}
	return nil
}

// MarkAllStale says that every page is to be written again. It returns how many.
func (s *Store) MarkAllStale(ctx context.Context) (int64, error) {
	const q = `
insert into stale_pages (scope)
select scope from (
    select name from packages p where ` + publishedPackage + `
    union select package from withdrawn
    union all select ''
) as marked (scope)
order by scope = '', scope collate "C"
on conflict (scope) do update set generation = excluded.generation`
	var n int64
	err := s.inTx(ctx, "mark all pages stale", func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, q)
		if err != nil {
			return err
		}
		n = tag.RowsAffected()
		_, err = tx.Exec(ctx, `select pg_notify($1, '')`, StaleChannel)
		return err
	})
	return n, err
}

// MarkStale says that the pages of these projects are to be written again, and
// none else: not the root index, which does not depend on their content.
func (s *Store) MarkStale(ctx context.Context, names []string) error {
	return s.inTx(ctx, "mark pages stale", func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, markList, names); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `select pg_notify($1, '')`, StaleChannel)
		return err
	})
}

// Unwritten is how much is left to be written.
type Unwritten struct {
	Pages int64    // of projects
	Root  bool     // the root index
	First []string // a few of the projects, by name
}

// Unwritten looks for pages that were stale at a time of the database's clock
// (Now) and have not been written since: all, or those of the named projects.
func (s *Store) Unwritten(ctx context.Context, names []string, since time.Time) (Unwritten, error) {
	const q = `
with left_over as (
    select scope from stale_pages where marked_at <= $1 and ($2::text[] is null or scope = any($2))
)
select count(*) filter (where scope <> ''), count(*) filter (where scope = '') > 0,
       array(select scope from left_over where scope <> '' order by scope limit 5)
from left_over`
	var u Unwritten
	if err := s.pool.QueryRow(ctx, q, since, names).Scan(&u.Pages, &u.Root, &u.First); err != nil {
		return Unwritten{}, fmt.Errorf("count stale pages: %w", translate(err))
	}
	return u, nil
}

// StaleFor says which pages are stale, and for how long.
func (s *Store) StaleFor(ctx context.Context) (map[string]time.Duration, error) {
	rows, err := s.pool.Query(ctx, `select scope, clock_timestamp() - marked_at from stale_pages`)
	if err != nil {
		return nil, fmt.Errorf("list stale pages: %w", translate(err))
	}
	out := map[string]time.Duration{}
	var scope string
	var age time.Duration
	_, err = pgx.ForEachRow(rows, []any{&scope, &age}, func() error { out[scope] = age; return nil })
	if err != nil {
		return nil, fmt.Errorf("list stale pages: %w", translate(err))
	}
	return out, nil
}

// Now is the time by the database's clock, the only one that all of a farm share.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	var now time.Time
	if err := s.pool.QueryRow(ctx, `select clock_timestamp()`).Scan(&now); err != nil {
		return now, fmt.Errorf("ask the database for the time: %w", translate(err))
	}
	return now, nil
}
