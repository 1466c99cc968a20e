package store

import (
	"cmp"
	"context"
	"iter"
	"time"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
)

// listing takes one list of names: streamed to a temporary table of the
// connection in pieces, then compared at once, then put on the worklist in pieces.
// What it commits before the end are rows that are right by themselves.
type listing struct {
	conn    *pgx.Conn
	serials bool
	limits  MissingLimit
	out     ListedNames
}

// listPiece is how many rows are moved at once: a transaction of a tenth of a
// second, so that events do not wait behind a list and vacuum not at all.
const listPiece = 20_000

func (l *listing) run(ctx context.Context, names iter.Seq2[NameSerial, error]) error {
	if _, err := l.conn.Exec(ctx, `
create temporary table listed (name text not null, display text not null, serial bigint not null);
create temporary table chosen (n bigint primary key, name text not null, serial bigint not null, gone boolean not null);
create temporary table respelled (n bigint primary key, id bigint not null, display text not null)`); err != nil {
		return err
	}
	if err := l.stream(ctx, names); err != nil {
		return err
	}
	if err := l.compare(ctx); err != nil {
		return err
	}
	for from := int64(0); from < l.out.Chosen+l.out.Missing; from += listPiece {
		if err := l.put(ctx, from); err != nil {
			return err
		}
	}
	return l.respell(ctx)
}

// clear leaves the connection as it was, or none.
func (l *listing) clear(ctx context.Context) {
	bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if _, err := l.conn.Exec(bye, `drop table if exists pg_temp.listed, pg_temp.chosen, pg_temp.respelled`); err != nil {
		l.conn.Close(bye) // the pool does not lend it again
	}
}

func (l *listing) stream(ctx context.Context, names iter.Seq2[NameSerial, error]) error {
	next, stop := iter.Pull2(names)
	defer stop()
	var cut error
	for more := true; more; {
		rows := 0
		source := pgx.CopyFromFunc(func() ([]any, error) {
			if rows == listPiece {
				return nil, nil
			}
			var n NameSerial
			if n, cut, more = next(); !more || cut != nil {
				more = false
				return nil, cut
			}
			rows++
			return []any{n.Name, n.Display, n.Serial}, nil
		})
		if _, err := l.conn.CopyFrom(ctx, pgx.Identifier{"pg_temp", "listed"}, []string{"name", "display", "serial"}, source); err != nil {
			return cmp.Or(cut, err) // COPY tells the list's own error as a text only
		}
	}
	_, err := l.conn.Exec(ctx, `analyze pg_temp.listed`)
	return err
}

// compare fills the table chosen.
func (l *listing) compare(ctx context.Context) error {
	// A join, and no subquery in the filter: Postgres thinks that an aggregate's
	// expression is computed once, and would read the whole list for each project.
	const count = `
select (select count(distinct name) from pg_temp.listed), count(*), count(*) filter (where l.name is null)
from packages p left join (select distinct name from pg_temp.listed) l on l.name = p.name
where p.followed`
	var known, missing int64
	if err := l.conn.QueryRow(ctx, count).Scan(&l.out.Total, &known, &missing); err != nil {
		return err
	}
	if l.tooMany(missing, known) {
		l.out.Refused = missing
	}
	const choose = `
insert into pg_temp.chosen (n, name, serial, gone)
select row_number() over (order by name collate "C") - 1, name, serial, gone from (
    select l.name, l.serial, false as gone
    from (select name, max(serial) as serial from pg_temp.listed group by name) l
    left join packages p on p.name = l.name
    where case when p.followed then $1 and l.serial > 0 and p.serial <> l.serial else $3 = 0 or l.serial > $3 end
    union all
    select p.name, 0, true from packages p
    where $2 and p.followed and not exists (select 1 from pg_temp.listed l where l.name = p.name)
) differing`
	tag, err := l.conn.Exec(ctx, choose, l.serials, l.out.Refused == 0, l.limits.Since)
	if err != nil {
		return err
	}
	l.out.Missing = missing - l.out.Refused
	l.out.Chosen = tag.RowsAffected() - l.out.Missing
	return nil
}

func (l *listing) tooMany(missing, known int64) bool {
	count, share := l.limits.Count, l.limits.Share
	if count == 0 {
		count = 100
	}
	if share == 0 {
		share = 0.01
	}
	return missing > count && float64(missing) > share*float64(known)
}

// put moves a piece of the chosen names to the worklist. What stands there keeps
// its pause, unless the list says more than it: a walk must not have everything
// tried again at once that went wrong before. What the changelog announced as gone,
// or not, stays so too: a list may be older than that.
func (l *listing) put(ctx context.Context, from int64) error {
	const q = `
with put as (
    insert into reading (name, urgency, serial, gone)
    select name, $3, serial, gone from pg_temp.chosen where n >= $1 and n < $1 + $2
    order by n -- by name: the same for all who lock several
    on conflict (name) do update set
        urgency = least(reading.urgency, excluded.urgency), serial = greatest(reading.serial, excluded.serial),
        gone = case when reading.urgency > $5 or excluded.serial > reading.serial then excluded.gone else reading.gone end,
        follow = true, not_before = now(), taken = false, tries = 0, revision = reading.revision + 1
    where excluded.serial > reading.serial or excluded.gone <> reading.gone and reading.urgency > $5 or not reading.follow
)
select pg_notify($4, '')`
	_, err := l.conn.Exec(ctx, q, from, listPiece, int16(farm.UrgencyWalk), ReadingChannel, int16(farm.UrgencyEvent))
	return err
}
