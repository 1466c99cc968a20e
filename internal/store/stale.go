package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// RootScope is the scope of the root index among the stale pages.
const RootScope = ""

const markStale = `insert into stale_pages (scope) select $1`

// markProject says, in the transaction that changed it, that a project's page
// no longer agrees with its rows, and wakes whoever writes pages.
func markProject(ctx context.Context, tx pgx.Tx, name string) error {
	const q = `
insert into stale_pages (scope) select unnest($1::text[])
on conflict (scope) do update set generation = stale_pages.generation + 1`
	if _, err := tx.Exec(ctx, q, []string{name, RootScope}); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `select pg_notify($1, $2)`, StaleChannel, name)
	return err
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

// PageWritten forgets a stale page unless it changed since it was listed.
func (s *Store) PageWritten(ctx context.Context, p StalePage) error {
	const q = `delete from stale_pages where scope = $1 and generation = $2`
	if _, err := s.pool.Exec(ctx, q, p.Scope, p.Generation); err != nil {
		return fmt.Errorf("forget stale page %q: %w", p.Scope, translate(err))
	}
	return nil
}

// MarkAllStale says that every page is to be written again. It returns how many.
func (s *Store) MarkAllStale(ctx context.Context) (int64, error) {
	const q = `
insert into stale_pages (scope)
select name from packages p
where exists (select 1 from releases r join wheels w on w.release_id = r.id where r.package_id = p.id)
union all select ''
on conflict (scope) do update set generation = stale_pages.generation + 1`
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
