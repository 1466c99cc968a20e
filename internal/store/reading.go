package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
)

// Reading is a project that is to be read from the upstream: a row of the one
// worklist. It goes in the transaction that makes the farm agree with what was
// read (Agree), so that nothing announced is ever forgotten.
type Reading struct {
	Name     string // normalized (PEP 503)
	Urgency  farm.Urgency
	Serial   int64         // the answer must include this one
	Gone     bool          // its removal was announced
	Follow   bool          // every release becomes a job
	Tries    int           // that went wrong since it was last asked for
	Trouble  string        // of the last try
	Since    time.Time     // when it was first asked for
	Revision int64         // grows when it is asked for again
	Due      time.Duration // until it may be read; negative: it may since
	Taken    bool          // somebody reads it now; then Due is the end of the lease
}

const readingColumns = `r.name, r.urgency, r.serial, r.gone, r.follow, r.tries, r.trouble, r.since, r.revision,
       r.not_before - clock_timestamp(), r.taken`

// Announce puts projects on the worklist and moves the follower's serial to upTo,
// in one transaction: whatever happens after it, they will be read. Of what stands
// there already the lower urgency counts, the higher serial and the newest word on
// whether it is gone; it is due at once and its tries begin anew. A serial that is
// not higher than the follower's stays, so a page that is told twice does no harm.
// What the events say of quarantined releases is kept with it, in their order.
// It returns how many were not on the list.
func (s *Store) Announce(ctx context.Context, rs []Reading, upTo int64, holds ...Hold) (fresh int64, err error) {
	const list = `
with told as (
    insert into reading (name, urgency, serial, gone, follow)
    select name, urgency, serial, gone, follow
    from unnest($1::text[], $2::smallint[], $3::bigint[], $4::bool[], $5::bool[]) as t (name, urgency, serial, gone, follow)
    order by name collate "C" -- the same for all who lock several
    on conflict (name) do update set
        urgency = least(reading.urgency, excluded.urgency), serial = greatest(reading.serial, excluded.serial),
        gone = excluded.gone, follow = reading.follow or excluded.follow,
        not_before = now(), taken = false, tries = 0, revision = reading.revision + 1
    returning xmax = 0 as fresh -- a row that was updated has the mark of its lock
)
select count(*) filter (where fresh) from told`
	const move = `update following set serial = $1, moved_at = now() where serial < $1`
	c := columnsOf(newestWord(rs))
	err = s.inBrief(ctx, fmt.Sprintf("announce %d projects", len(c.names)), func(tx pgx.Tx) error {
		if err := keepHolds(ctx, tx, holds); err != nil {
			return err
		}
		if len(c.names) > 0 {
			if err := tx.QueryRow(ctx, list, c.names, c.urgencies, c.serials, c.gone, c.follow).Scan(&fresh); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, `select pg_notify($1, '')`, ReadingChannel); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, move, upTo)
		return err
	})
	return fresh, err
}

// newestWord makes one row of all that is said of a project; of whether it is
// gone, the last word counts.
func newestWord(rs []Reading) []Reading {
	at := map[string]int{}
	var out []Reading
	for _, r := range rs {
		i, ok := at[r.Name]
		if !ok {
			at[r.Name] = len(out)
			out = append(out, r)
			continue
		}
		o := &out[i]
		o.Urgency, o.Serial = min(o.Urgency, r.Urgency), max(o.Serial, r.Serial)
		o.Gone, o.Follow = r.Gone, o.Follow || r.Follow
	}
	return out
}

// readingArrays are rows as the statements take them.
type readingArrays struct {
	names              []string
	urgencies          []int16
	serials, revisions []int64
	gone, follow       []bool
}

func columnsOf(rs []Reading) (c readingArrays) {
	for _, r := range rs {
		c.names = append(c.names, r.Name)
		c.urgencies = append(c.urgencies, int16(r.Urgency))
		c.serials = append(c.serials, r.Serial)
		c.revisions = append(c.revisions, r.Revision)
		c.gone = append(c.gone, r.Gone)
		c.follow = append(c.follow, r.Follow)
	}
	return c
}

// TakeReading takes up to limit projects that are due, the most urgent first, and
// leaves them to the caller for the length of a lease: who ends without a word has
// them taken by the next.
func (s *Store) TakeReading(ctx context.Context, limit int, lease time.Duration) ([]Reading, error) {
	// Per urgency, so that the index gives them in order and what is put off at a
	// lower one is not walked over. Nobody waits for the disk: a lease that is lost
	// with Postgres only has its project read again.
	const next = `
select urgency, set_config('synchronous_commit', 'off', true) from reading where urgency > $1 order by urgency limit 1`
	var out []Reading
	err := s.inBrief(ctx, "take projects to read", func(tx pgx.Tx) error {
		out = nil
		last := int16(math.MinInt16)
		for len(out) < limit {
			var urgency int16
			err := tx.QueryRow(ctx, next, last).Scan(&urgency, nil)
			if errors.Is(err, pgx.ErrNoRows) {
				return nil
			}
			if err != nil {
				return err
			}
			rows, err := tx.Query(ctx, takeReading, urgency, limit-len(out), lease)
			if err != nil {
				return err
			}
			taken, err := pgx.CollectRows(rows, scanReading)
			if err != nil {
				return err
			}
			slices.SortFunc(taken, func(a, b Reading) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Name, b.Name)) })
			out, last = append(out, taken...), urgency
		}
		return nil
	})
	return out, err
}

const takeReading = `
with due as (
    select name from reading
    where urgency = $1 and not_before <= now()
    order by not_before -- who waits longest
    limit $2 for update skip locked
)
update reading r set not_before = now() + $3::interval, taken = true
from due where r.name = due.name
returning ` + readingColumns

func scanReading(row pgx.CollectableRow) (Reading, error) {
	var r Reading
	err := row.Scan(&r.Name, &r.Urgency, &r.Serial, &r.Gone, &r.Follow, &r.Tries, &r.Trouble, &r.Since, &r.Revision, &r.Due, &r.Taken)
	return r, err
}

// PutOff has a project read later, because reading it went wrong, so many times by
// now. If it was asked for again since it was taken, which its revision tells, nothing
// changes: it is due already.
func (s *Store) PutOff(ctx context.Context, name string, revision int64, tries int, pause time.Duration, trouble string) error {
	const q = `
update reading set not_before = now() + $4::interval, taken = false, tries = $3, trouble = $5
where name = $1 and revision = $2`
	if _, err := s.brief.Exec(ctx, q, name, revision, tries, pause, trouble); err != nil {
		return fmt.Errorf("put off reading %s: %w", name, translate(err))
	}
	return nil
}

// FreeReading takes back what was taken and not heard of since: for whoever begins
// to read, and is alone in it. What was put off stays so.
func (s *Store) FreeReading(ctx context.Context) error {
	const q = `update reading set not_before = now(), taken = false where taken`
	if _, err := s.pool.Exec(ctx, q); err != nil {
		return fmt.Errorf("take back what is being read: %w", translate(err))
	}
	return nil
}

// nextReading finds the urgencies that stand on the worklist by a few looks at its
// index, and the first row of each.
const nextReading = `
with recursive urgencies (urgency) as (
    select min(urgency) from reading
    union all
    select (select min(r.urgency) from reading r where r.urgency > u.urgency) from urgencies u where u.urgency is not null
)
select min(first.not_before) - clock_timestamp()
from urgencies u cross join lateral (
    select not_before from reading where urgency = u.urgency order by not_before limit 1
) first`

// NextReading says how long it is until the next project is due, not less than
// zero; ok is false if there is none at all.
func (s *Store) NextReading(ctx context.Context) (wait time.Duration, ok bool, err error) {
	var left *time.Duration
	if err := s.brief.QueryRow(ctx, nextReading).Scan(&left); err != nil {
		return 0, false, fmt.Errorf("look when to read next: %w", translate(err))
	}
	if left == nil {
		return 0, false, nil
	}
	return max(0, *left), true, nil
}

// ReadingCount is what is left to be read at one urgency.
type ReadingCount struct {
	Urgency  farm.Urgency  `json:"urgency"`
	Count    int64         `json:"count"`
	Due      int64         `json:"due"`
	Troubled int64         `json:"troubled"` // reading went wrong the last time
	Oldest   time.Duration `json:"oldest_ns"`
}

// StillToRead says whether anything of an urgency is on the worklist now that has
// not gone wrong the last time.
func (s *Store) StillToRead(ctx context.Context, u farm.Urgency) (bool, error) {
	var yes bool
	if err := s.pool.QueryRow(ctx, `select exists (select 1 from reading where urgency = $1 and trouble = '')`, u).Scan(&yes); err != nil {
		return false, fmt.Errorf("look whether anything is to be read: %w", translate(err))
	}
	return yes, nil
}

// ReadingLeft counts the worklist, the most urgent first, for people. A long list
// takes time to be counted, and whoever shows how far a walk is asks every second:
// what took more than a moment is told again for twenty times as long as it took, so
// nothing may be decided by it (see StillToRead).
func (s *Store) ReadingLeft(ctx context.Context) ([]ReadingCount, error) {
	s.left.Lock()
	defer s.left.Unlock()
	const moment = 50 * time.Millisecond
	if took := s.left.took; took > moment && time.Since(s.left.at) < 20*took {
		return slices.Clone(s.left.counts), nil
	}
	began := time.Now()
	out, err := s.countReading(ctx)
	if err == nil {
		s.left.counts, s.left.at, s.left.took = slices.Clone(out), time.Now(), time.Since(began)
	}
	return out, err
}

// leftover is the last count of the worklist.
type leftover struct {
	sync.Mutex
	counts []ReadingCount
	at     time.Time
	took   time.Duration
}

func (s *Store) countReading(ctx context.Context) ([]ReadingCount, error) {
	const q = `
select urgency, count(*), count(*) filter (where not_before <= now()), count(*) filter (where trouble <> ''), now() - min(since)
from reading group by urgency order by urgency`
	rows, err := s.pool.Query(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("count what is to be read: %w", translate(err))
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[ReadingCount])
	if err != nil {
		return nil, fmt.Errorf("count what is to be read: %w", translate(err))
	}
	return out, nil
}

// Troubled lists projects that could not be read the last time, those with the
// most tries first.
func (s *Store) Troubled(ctx context.Context, limit int) ([]Reading, error) {
	const q = `select ` + readingColumns + ` from reading r where trouble <> '' order by tries desc, name limit $1`
	rows, err := s.pool.Query(ctx, q, limit)
	if err != nil {
		return nil, fmt.Errorf("list what could not be read: %w", translate(err))
	}
	out, err := pgx.CollectRows(rows, scanReading)
	if err != nil {
		return nil, fmt.Errorf("list what could not be read: %w", translate(err))
	}
	return out, nil
}
