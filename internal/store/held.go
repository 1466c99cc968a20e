package store

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"
)

// Hold is an event's word on a quarantined release: that it is, or that it is not
// any more, be it cleared or removed.
type Hold struct {
	Package string // normalized (PEP 503)
	Version string // as the upstream spells it; empty: all of the project, which are held no more
	Held    bool
}

// keepHolds keeps what events say of quarantined releases, in their order.
//
// It locks before the worklist, and few write here: who reads a release's fate
// takes no lock, for it is read again after every event.
func keepHolds(ctx context.Context, tx pgx.Tx, holds []Hold) error {
	const end = `
delete from held h using unnest($1::text[], $2::text[]) as e (package, version)
where h.package = e.package and (e.version = '' or h.version = e.version)`
	const begin = `
insert into held (package, version)
select package, version from unnest($1::text[], $2::text[]) as b (package, version)
on conflict do nothing`
	over, held := lastHolds(holds)
	if len(over) > 0 {
		if _, err := tx.Exec(ctx, end, pluck(over, Hold.name), pluck(over, Hold.version)); err != nil {
			return err
		}
	}
	if len(held) > 0 {
		if _, err := tx.Exec(ctx, begin, pluck(held, Hold.name), pluck(held, Hold.version)); err != nil {
			return err
		}
	}
	return nil
}

func (h Hold) name() string    { return h.Package }
func (h Hold) version() string { return h.Version }

// lastHolds are the words that count: those that end something, and after them
// those that hold.
func lastHolds(holds []Hold) (over, held []Hold) {
	for _, h := range holds {
		if h.Held {
			held = append(held, h)
			continue
		}
		over = append(over, h)
		held = slices.DeleteFunc(held, func(x Hold) bool {
			return x.Package == h.Package && (h.Version == "" || x.Version == h.Version)
		})
	}
	return over, held
}

// addHeld reads which releases are held, and up to which serial that is so, of one
// moment: what is not held then was not, up to there, and what was said of the
// project until then is announced, or was read.
func addHeld(ctx context.Context, tx pgx.Tx, projects []Known) error {
	const q = `
select p.name, case when ` + changelogThere + ` then f.serial else 0 end, coalesce(r.serial, 0),
       array(select version from held where package = p.name order by version)
from following f cross join unnest($1::text[]) as p (name) left join reading r on r.name = p.name and r.name = any($1)`
	at := make(map[string]*Known, len(projects))
	names := make([]string, len(projects))
	for i := range projects {
		at[projects[i].Name], names[i] = &projects[i], projects[i].Name
	}
	rows, err := tx.Query(ctx, q, names)
	if err != nil {
		return err
	}
	var name string
	var heard, announced int64
	var held []string
	_, err = pgx.ForEachRow(rows, []any{&name, &heard, &announced, &held}, func() error {
		k := at[name]
		k.Heard, k.Announced, k.Held = heard, announced, nil
		if len(held) > 0 {
			k.Held = append(k.Held, held...)
		}
		return nil
	})
	return err
}
