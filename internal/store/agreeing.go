package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"pinwheel/internal/farm"
)

// Agree makes the rows of a batch of projects agree with the upstream, in one
// transaction, and takes what was read for it (done) off the worklist: so a crash,
// or a commit that is lost, costs no more than reading again. It is the one way in
// which releases and jobs come to be, by COPY, and no statement is per row.
//
// A project that is not what its Known says any more is named in Changed, and so
// is a new one that exists by now, one with a job that has moved on, and the second
// of the same name in a batch. Nothing of theirs is written, they stay on the
// worklist, and the others are not disturbed. Done rows go only if their revision is
// unchanged: what was asked for again is read again.
//
// Builds of jobs that go or move on are told to stop, and what they bring counts no
// more. An error of the data (farm.ErrConflict, or Postgres's) undoes the batch;
// its culprit is found by agreeing on each project by itself.
func (s *Store) Agree(ctx context.Context, batch []Agreement, done []Reading) (Agreed, error) {
	for _, a := range batch {
		if err := a.check(); err != nil {
			return Agreed{}, fmt.Errorf("agree on %s: %w", a.Known.Name, err)
		}
	}
	what := fmt.Sprintf("agree on %d projects", len(batch))
	if len(batch) == 1 {
		what = "agree on " + batch[0].Known.Name
	}
	var out Agreed
	err := untangled(func() error {
		return s.inBrief(ctx, what, func(tx pgx.Tx) error {
			a := newAgreeing(tx, batch)
			var err error
			if a.book, err = s.currentBook(ctx, tx); err != nil { // first of all locks
				return err
			}
			if err := a.run(ctx, done); err != nil {
				return err
			}
			out = a.out
			return nil
		})
	})
	return out, err
}

// untangled runs a transaction again that Postgres ended because it and another
// waited for each other. Who locks several rows does so in one order, but for the
// few that lock what they find: a maintainer's requeue, a sweep.
func untangled(transaction func() error) error {
	const deadlockDetected = "40P01"
	var err error
	for range 3 {
		err = transaction()
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || pg.Code != deadlockDetected {
			return err
		}
	}
	return err
}

// check refuses what no policy may ask for.
func (a *Agreement) check() error {
	if a.Known.ID == 0 && len(a.Update)+len(a.AddJobs)+len(a.Move)+len(a.RemoveJobs)+len(a.Remove) > 0 {
		return errors.New("a project that the farm does not know has neither releases nor jobs")
	}
	for _, m := range a.Move {
		// What ends by a report is no matter of a plan.
		if m.State == farm.Built || m.State == farm.Failed || m.State == farm.Leased && m.From != farm.Leased ||
			m.State != m.From && !farm.CanMove(m.From, m.State) {
			return fmt.Errorf("job %d is %s and cannot become %s", m.Job, m.From, m.State)
		}
	}
	return nil
}

// agreeing is one transaction of Agree. Its steps take locks in one order, as all
// do who take several: the recipes, packages by name, jobs by id, pages by name, the
// worklist by name.
type agreeing struct {
	tx    pgx.Tx
	now   time.Time
	batch []*agreement // by name; those that changed are taken out
	out   Agreed
	jobs  map[int64]heldJob // locked
	book  farm.RecipeBook   // what new jobs need stands in it

	wheels    []string       // file names of those that went
	unwheeled map[int64]bool // packages that they went from
	fresh     []freshJob
	first     map[int64]queuePlace // of what was queued, by target
	needy     bool                 // some of it needs something of a slave
	marked    bool                 // pages, as stale
}

// agreement is one project of the batch.
type agreement struct {
	*Agreement
	id      int64
	display string  // as it was
	doomed  []int64 // jobs that go
	added   bool    // this transaction made its row
}

func newAgreeing(tx pgx.Tx, batch []Agreement) *agreeing {
	a := &agreeing{tx: tx, jobs: map[int64]heldJob{}, unwheeled: map[int64]bool{}, first: map[int64]queuePlace{}}
	seen := map[string]bool{}
	for i := range batch {
		name := batch[i].Known.Name
		if seen[name] {
			a.out.Changed = append(a.out.Changed, name)
			continue
		}
		seen[name] = true
		a.batch = append(a.batch, &agreement{Agreement: &batch[i], id: batch[i].Known.ID})
	}
	slices.SortFunc(a.batch, func(x, y *agreement) int { return cmp.Compare(x.Known.Name, y.Known.Name) })
	return a
}

func (a *agreeing) run(ctx context.Context, done []Reading) error {
	for _, step := range []func(context.Context) error{
		a.lockPackages, a.addPackages, a.lockJobs, // from here on nobody else changes them
		a.hear, a.abort, a.remove, a.updatePackages, a.updateReleases, a.addReleases, a.addJobs, a.moveJobs,
		a.markPages, a.wake,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return a.forget(ctx, done)
}

// keep takes those out of the batch that changed.
func (a *agreeing) keep(unchanged func(*agreement) bool) {
	a.batch = slices.DeleteFunc(a.batch, func(g *agreement) bool {
		if unchanged(g) {
			return false
		}
		a.out.Changed = append(a.out.Changed, g.Known.Name)
		return true
	})
}

func (a *agreeing) lockPackages(ctx context.Context) error {
	const q = `
select name, id, revision, display, now() from packages where name = any($1)
order by name collate "C" for update`
	type row struct {
		id, revision int64
		display      string
	}
	rows, err := a.tx.Query(ctx, q, pluck(a.batch, func(g *agreement) string { return g.Known.Name }))
	if err != nil {
		return err
	}
	found := map[string]row{}
	var name string
	var r row
	if _, err := pgx.ForEachRow(rows, []any{&name, &r.id, &r.revision, &r.display, &a.now}, func() error {
		found[name] = r
		return nil
	}); err != nil {
		return err
	}
	a.keep(func(g *agreement) bool {
		r := found[g.Known.Name] // none: as of a project that the farm does not know
		g.display = r.display
		return r.id == g.Known.ID && r.revision == g.Known.Revision
	})
	return nil
}

// pluck makes a column of rows.
func pluck[T, C any](rows []T, column func(T) C) []C {
	out := make([]C, len(rows))
	for i, r := range rows {
		out[i] = column(r)
	}
	return out
}
