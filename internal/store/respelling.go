package store

import "context"

// respellPiece is how many packages a list spells anew at once: events of them wait.
const respellPiece = 2_000

// respell shows known projects as the list spells them, unless it is older than what
// is known. Who only normalizes tells no spelling.
func (l *listing) respell(ctx context.Context) error {
	const find = `
insert into pg_temp.respelled (n, id, display)
select row_number() over (order by p.name collate "C") - 1, p.id, l.display
from (select name, max(display) as display, max(serial) as serial from pg_temp.listed where display not in ('', name) group by name) l
join packages p on p.name = l.name
where p.display <> l.display and (l.serial = 0 or l.serial >= p.serial)`
	tag, err := l.conn.Exec(ctx, find)
	if err != nil {
		return err
	}
	for from := int64(0); from < tag.RowsAffected(); from += respellPiece {
		if err := l.respellSome(ctx, from); err != nil {
			return err
		}
	}
	return nil
}

// respellSome marks the pages too, which show the spelling to people.
func (l *listing) respellSome(ctx context.Context, from int64) error {
	const respell = `
with due as (
    select p.id, r.display from pg_temp.respelled r join packages p on p.id = r.id
    where r.n >= $1 and r.n < $1 + $2
    order by p.name collate "C" for update of p -- the same for all who lock several
), spelled as (
    update packages p set display = x.display, spellings = ` + spellings + `, revision = p.revision + 1
    from due x where p.id = x.id and p.display <> x.display
    returning p.id, p.name
)
insert into stale_pages (scope)
select name from spelled p where ` + publishedPackage + `
order by name collate "C" -- the same for all: markStale
on conflict (scope) do update set generation = excluded.generation`
	tag, err := l.conn.Exec(ctx, respell, from, respellPiece)
	if err != nil || tag.RowsAffected() == 0 {
		return err
	}
	_, err = l.conn.Exec(ctx, `select pg_notify($1, '')`, StaleChannel)
	return err
}
