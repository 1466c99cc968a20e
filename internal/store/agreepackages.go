package store

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// packageColumns are the facts of packages as the statements take them.
const packageColumns = `
from unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bool[], $7::bigint[], $8::text[], $9::bool[])
    as x (id, name, display, status, status_reason, followed, serial, etag, unread)
`

func packageArrays(batch []*agreement) []any {
	var ids, serials []int64
	var names, displays, statuses, reasons, etags []string
	var followed, unread []bool
	for _, g := range batch {
		f := g.Facts
		ids, names, displays = append(ids, g.id), append(names, g.Known.Name), append(displays, g.spelling())
		statuses, reasons = append(statuses, cmp.Or(f.Status, "active")), append(reasons, f.StatusReason)
		followed, unread = append(followed, f.Followed), append(unread, g.Unread)
		serials, etags = append(serials, f.Serial), append(etags, f.ETag)
	}
	return []any{ids, names, displays, statuses, reasons, followed, serials, etags, unread}
}

// spelling is what is to be shown of the name.
func (g *agreement) spelling() string { return cmp.Or(g.Facts.Display, g.Known.Name) }

// addPackages inserts the new ones. One that somebody else inserts at the same time
// is waited for, and then it has changed.
func (a *agreeing) addPackages(ctx context.Context) error {
	const q = `
with made as (
    insert into packages (name, display, spellings, status, status_reason, followed, serial, etag, read_at, revision)
    select name, display, array[display], status, status_reason, followed, serial, etag, case when not unread then now() end, 1
    ` + packageColumns + `
    order by name collate "C" -- the same for all
    on conflict (name) do nothing
    returning name, id
)
select name, id from made`
	var fresh []*agreement
	for _, g := range a.batch {
		if g.id == 0 && !g.Gone {
			fresh = append(fresh, g)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	rows, err := a.tx.Query(ctx, q, packageArrays(fresh)...)
	if err != nil {
		return err
	}
	made := map[string]int64{}
	var name string
	var id int64
	if _, err := pgx.ForEachRow(rows, []any{&name, &id}, func() error { made[name] = id; return nil }); err != nil {
		return err
	}
	a.keep(func(g *agreement) bool {
		if g.id != 0 || g.Gone {
			return true
		}
		g.id, g.added, g.display = made[g.Known.Name], true, g.spelling()
		return g.id != 0
	})
	return nil
}

// spellings are those of a package p that is to be shown as x has it: the last
// hundred, which bounds what an owner can make a row grow to.
const spellings = `
    case
        when x.display = any(p.spellings) then p.spellings
        when p.spellings = '{}' and p.display <> x.display then array[p.display, x.display] -- a row from before
        else (p.spellings || x.display)[greatest(1, cardinality(p.spellings) - 98):] end`

func (a *agreeing) updatePackages(ctx context.Context) error {
	const q = `
update packages p set
    display = x.display, status = x.status, status_reason = x.status_reason,
    spellings = ` + spellings + `,
    followed = p.followed or x.followed, -- who is named by hand later is followed all the same
    serial = x.serial, etag = x.etag, revision = p.revision + 1,
    read_at = case when x.unread then p.read_at else now() end
` + packageColumns + `
where p.id = x.id and p.id = any($1)`
	var known []*agreement
	for _, g := range a.batch {
		if !g.added && !g.Gone {
			known = append(known, g)
		}
	}
	if len(known) == 0 {
		return nil
	}
	_, err := a.tx.Exec(ctx, q, packageArrays(known)...)
	return err
}

// markPages marks the pages that do not agree with the rows any more: of projects
// that have wheels, or had some, and then the root index too.
func (a *agreeing) markPages(ctx context.Context) error {
	const q = `
insert into stale_pages (scope)
select scope from (
    select p.name from packages p where p.id = any($1) and ` + publishedPackage + `
    union select unnest($2::text[])
) as marked (scope)
order by scope = '', scope collate "C" -- the same for all: markStale
on conflict (scope) do update set generation = excluded.generation`
	var look []int64
	var marked []string
	for _, g := range a.batch {
		switch {
		case a.unwheeled[g.id]:
			marked = append(marked, g.Known.Name)
		case !g.Gone && !g.added && (g.Page || g.display != g.spelling()):
			look = append(look, g.id)
		}
	}
	if len(marked) > 0 {
		marked = append(marked, RootScope) // what went may have been the last
	}
	if len(look)+len(marked) == 0 {
		return nil
	}
	tag, err := a.tx.Exec(ctx, q, look, marked)
	if err != nil || tag.RowsAffected() == 0 {
		return err
	}
	a.marked = true
	_, err = a.tx.Exec(ctx, `select pg_notify($1, '')`, StaleChannel)
	return err
}

// forget takes what was read off the worklist. Nobody waits for the disk then: if the
// commit is lost with Postgres, so is this, and the projects are read again; whatever
// stands on it is in the log behind it. Slaves that ask for work meanwhile would wait for
// each of these flushes. But what takes something away, or changes what a page may show, is
// kept before files and pages do; and what a person asked for before he is told.
func (a *agreeing) forget(ctx context.Context, done []Reading) error {
	const q = `
with read as (
    select r.name from reading r
    -- since: a row that went and came back has its first revision again
    join unnest($1::text[], $2::bigint[], $3::timestamptz[]) as d (name, revision, since) using (name, revision, since)
    where r.name = any($1)
    order by r.name collate "C" -- the same for all who lock several
    for update of r
), gone as (
    delete from reading r using read where r.name = read.name
)
select set_config('synchronous_commit', case when $4 then 'off' else current_setting('synchronous_commit') end, true)`
	changed := map[string]bool{}
	for _, name := range a.out.Changed {
		changed[name] = true
	}
	var names []string
	var revisions []int64
	var since []time.Time
	for _, d := range done {
		if !changed[d.Name] {
			names, revisions, since = append(names, d.Name), append(revisions, d.Revision), append(since, d.Since)
		}
	}
	if len(names) == 0 {
		return nil
	}
	_, err := a.tx.Exec(ctx, q, names, revisions, since, !a.keeps())
	return err
}

// keeps says whether somebody or something stands on the commit as soon as it returns.
func (a *agreeing) keeps() bool {
	return a.marked || a.out.Aborted > 0 || slices.ContainsFunc(a.batch, func(g *agreement) bool {
		// Who wrote a spelling forgets that an event told it, which the page may not tell.
		spelled := !g.added && g.display != g.spelling() || g.added && g.spelling() != g.Known.Name
		return spelled || g.Actor != "" || g.Gone || len(g.Remove)+len(g.RemoveJobs) > 0
	})
}
