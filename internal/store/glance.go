package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Glance is what people who watch a farm see change from one moment to the next.
type Glance struct {
	At        time.Time             // by the database's clock
	UnderWay  []UnderWay            // the longest first
	More      int64                 // builds under way beyond those
	Next      map[string][]QueueRow // by target, in the order of claims
	Ends      Ends
	Unwritten int64         // pages that are to be written
	Oldest    time.Duration // since the first of them was to be; 0: none is
}

// UnderWay is a build under way.
type UnderWay struct {
	Build    int64
	Job      int64
	Package  string
	Version  string
	Target   string
	Slave    string
	Since    time.Time
	Deadline time.Time
}

// EndMinutes is over how many minutes ends are counted one by one.
const EndMinutes = 60

// Ends are the builds that ended in each of the last EndMinutes, this one last.
type Ends struct {
	Built, Failed, Lost []int64
	Span                time.Duration // that they cover
}

// endsLooked bounds how many builds are looked at, from the newest: a look must not
// cost more on a farm that does much.
const endsLooked = 20_000

// Glance looks at what is under way and what is next, at most so many of each, in one
// moment. It costs the same however long the queue is.
func (s *Store) Glance(ctx context.Context, builds, next int) (g Glance, err error) {
	opts := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = pgx.BeginTxFunc(ctx, s.pool, opts, func(tx pgx.Tx) error {
		const first = `
select now(), count(*), coalesce(greatest(now() - min(marked_at), interval '0'), interval '0'),
    (select count(*) from jobs where state = 'leased')
from stale_pages`
		if err := tx.QueryRow(ctx, first).Scan(&g.At, &g.Unwritten, &g.Oldest, &g.More); err != nil {
			return err
		}
		if err := g.underWay(ctx, tx, builds); err != nil {
			return err
		}
		if err := g.next(ctx, tx, next); err != nil {
			return err
		}
		return g.Ends.count(ctx, tx, g.At)
	})
	if err != nil {
		return Glance{}, fmt.Errorf("glance at the farm: %w", translate(err))
	}
	return g, nil
}

func (g *Glance) underWay(ctx context.Context, tx pgx.Tx, limit int) error {
	const q = `
select coalesce((select b.id from builds b where b.token = j.lease_token), 0), j.id, p.name, r.version, t.name, s.name,
    j.changed_at, j.lease_deadline
from jobs j join releases r on r.id = j.release_id join packages p on p.id = r.package_id
join targets t on t.id = j.target_id join slaves s on s.id = j.lease_slave_id
where j.state = 'leased'
order by j.changed_at, j.id -- the longest first
limit $1`
	rows, err := tx.Query(ctx, q, limit)
	if err != nil {
		return err
	}
	g.UnderWay, err = pgx.CollectRows(rows, pgx.RowToStructByPos[UnderWay])
	g.More = max(0, g.More-int64(len(g.UnderWay)))
	return err
}

func (g *Glance) next(ctx context.Context, tx pgx.Tx, limit int) error {
	g.Next = map[string][]QueueRow{}
	rows, err := tx.Query(ctx, `select id, name from targets where active`)
	if err != nil {
		return err
	}
	var ids []int64
	var names []string
	var id int64
	var name string
	if _, err := pgx.ForEachRow(rows, []any{&id, &name}, func() error {
		ids, names = append(ids, id), append(names, name)
		return nil
	}); err != nil {
		return err
	}
	for i, id := range ids {
		if g.Next[names[i]], err = queueRows(ctx, tx, queueNext, id, limit); err != nil {
			return err
		}
	}
	return nil
}

// count looks at the newest builds. Where they reach back less than an hour, so do the
// minutes, and Span says how far.
func (e *Ends) count(ctx context.Context, tx pgx.Tx, now time.Time) error {
	e.Built, e.Failed, e.Lost = make([]int64, EndMinutes), make([]int64, EndMinutes), make([]int64, EndMinutes)
	e.Span = EndMinutes * time.Minute
	const q = `
with recent as materialized (select outcome, started_at, ended_at from builds order by id desc limit $1)
select greatest(0, floor(date_part('epoch', now() - ended_at) / 60))::int, outcome, count(*), null::timestamptz
from recent where ended_at > now() - interval '1 hour' group by 1, 2
union all
select 0, '', count(*), min(started_at) from recent`
	rows, err := tx.Query(ctx, q, endsLooked)
	if err != nil {
		return err
	}
	var ago int
	var outcome string
	var n int64
	var first *time.Time
	_, err = pgx.ForEachRow(rows, []any{&ago, &outcome, &n, &first}, func() error {
		if outcome == "" {
			if n == endsLooked && first != nil {
				e.Span = min(e.Span, now.Sub(*first))
			}
			return nil
		}
		minutes := e.Failed
		switch outcome {
		case "built":
			minutes = e.Built
		case "lost", "superseded":
			minutes = e.Lost
		}
		if ago < len(minutes) {
			minutes[len(minutes)-1-ago] += n
		}
		return nil
	})
	return err
}
