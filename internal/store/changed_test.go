package store_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// TestAgreeRefusesOldDecisions: what was decided on something that is not so any
// more is not written, and the rest of the batch is.
func TestAgreeRefusesOldDecisions(t *testing.T) {
	t.Parallel()
	for what, meanwhile := range map[string]func(*world){
		"another agreement": func(w *world) { w.agree(change(w.known("demo"))) },
		"a removal":         func(w *world) { w.removed("demo") },
		"of a release":      func(w *world) { w.removed("demo", "2.0") },
		"a new life": func(w *world) {
			w.removed("demo")
			w.agree(w.fresh("demo", "1.0"))
		},
		"a claim": func(w *world) { w.claim("a", "r1") },
		"its job went": func(w *world) {
			w.must(w.exec(`delete from jobs where release_id = (select id from releases where version = '2.0')`))
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.agree(w.fresh("demo", "1.0", "2.0"))
			a := change(w.known("demo"))
			a.Facts.Display = "DEMO"
			a.Move = []store.JobMove{{Job: a.Known.Releases[1].Jobs[0].ID, From: farm.Queued,
				Planned: store.Planned{State: farm.Skipped, Why: farm.WhyYanked, Reason: "yanked"}}}
			a.Add = []store.NewRelease{w.release("3.0", 3, queued(farm.PriorityNew))}
			w.announce(7, "demo", "other")
			done := w.take(10)

			meanwhile(w)
			before := w.known("demo")
			got, err := w.Agree(t.Context(), []store.Agreement{a, w.fresh("other", "1.0")}, done)
			w.must(err)
			if diff := cmp.Diff(store.Agreed{Changed: []string{"demo"}, Queued: 1, Releases: 1}, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(before, w.known("demo")); diff != "" {
				t.Errorf("something was written:\n%s", diff)
			}
			if w.known("other").ID == 0 {
				t.Error("the other project was not written")
			}
			if diff := cmp.Diff([]string{"demo"}, w.listed()); diff != "" {
				t.Errorf("the worklist:\n%s", diff)
			}
		})
	}
}

func (w *world) removed(name string, versions ...string) {
	w.t.Helper()
	_, err := w.Remove(w.t.Context(), name, versions, "test")
	w.must(err)
}

func TestAgreeOnWhatExistsByNow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.agree(w.fresh("demo", "1.0"))
	gone := w.fresh("demo")
	gone.Gone = true
	for what, a := range map[string]store.Agreement{"new": w.fresh("demo", "2.0"), "unknown, and gone": gone} {
		if got := w.agree(a); !slices.Equal(got.Changed, []string{"demo"}) || got.Releases != 0 {
			t.Errorf("%s: %+v", what, got)
		}
	}
	gone.Known.Name = "never"
	if got := w.agree(gone, w.fresh("twice", "1.0"), w.fresh("twice", "2.0")); !slices.Equal(got.Changed, []string{"twice"}) || got.Releases != 1 {
		t.Errorf("the second of a name: %+v", got)
	}
}

// TestAgreeRefusesNonsense: what no policy may ask for is an error, and nothing of
// the batch is written; so it is with data that the schema refuses.
func TestAgreeRefusesNonsense(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.agree(w.fresh("demo", "1.0"))
	k := w.known("demo")
	move := func(from, to farm.State) store.Agreement {
		a := change(k)
		a.Move = []store.JobMove{{Job: k.Releases[0].Jobs[0].ID, From: from, Planned: store.Planned{State: to, Reason: "r"}}}
		return a
	}
	unknown := w.fresh("new")
	unknown.Remove = []int64{1}
	known := change(k)
	known.Add = []store.NewRelease{w.release("1.0", 1, queued(farm.PriorityNew))}
	nul := w.fresh("new", "1.0")
	nul.Add[0].YankReason = "\x00"
	for what, a := range map[string]store.Agreement{
		"built by a plan": move(farm.Leased, farm.Built), "failed by a plan": move(farm.Leased, farm.Failed),
		"leased by a plan": move(farm.Queued, farm.Leased), "no such move": move(farm.Built, farm.Skipped),
		"releases of nobody": unknown, "a release that there is": known, "a NUL": nul, "no name": w.fresh("Not Normalized"),
	} {
		if got, err := w.Agree(t.Context(), []store.Agreement{w.fresh("other"), a}, nil); err == nil {
			t.Errorf("%s: %+v", what, got)
		}
	}
	if _, err := w.Agree(t.Context(), []store.Agreement{known}, nil); !errors.Is(err, farm.ErrConflict) {
		t.Errorf("a release that there is: %v", err)
	}
	if w.known("other").ID != 0 || w.known("new").ID != 0 {
		t.Error("a part of a refused batch was written")
	}
}

// TestNobodyWaitsForAnOutcomeThatHasCome: a job is told to wait for another one,
// which ends before that is written.
func TestNobodyWaitsForAnOutcomeThatHasCome(t *testing.T) {
	t.Parallel()
	for _, move := range []bool{true, false} {
		t.Run(fmt.Sprintf("move=%v", move), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			other := w.second()
			a := w.fresh("demo", "1.0")
			if move {
				a.Add[0].Jobs = append(a.Add[0].Jobs, store.NewJob{Target: other, Planned: queued(farm.PriorityBacklog)})
			}
			w.agree(a)
			wait := store.Planned{State: farm.Waiting, Why: farm.WhyLowerTarget, Reason: "waits", Waits: w.targetID}
			decide := func() store.Agreement {
				b := change(w.known("demo"))
				r := b.Known.Releases[0]
				if move {
					b.Move = []store.JobMove{{Job: r.Jobs[1].ID, From: farm.Queued, Planned: wait}}
				} else {
					b.AddJobs = []store.NewJob{{Release: r.ID, Target: other, Planned: wait}}
				}
				return b
			}
			late := decide()
			l, _ := w.claim("a", "r1")
			_, err := w.FinishBuilt(t.Context(), w.ending("a", l), w.wheel("demo-1.0-cp311-cp311-linux_x86_64.whl"))
			w.must(err)
			for what, b := range map[string]store.Agreement{"decided before": late, "decided wrongly": decide()} {
				if got := w.agree(b); !slices.Equal(got.Changed, []string{"demo"}) {
					t.Errorf("%s: %+v, want it refused", what, got)
				}
			}
			w.agrees()
		})
	}
}

// TestAgreeWaitsForOthers: who changes a project, or ends a job of it, is waited
// for, and what he did counts.
func TestAgreeWaitsForOthers(t *testing.T) {
	t.Parallel()
	for what, statement := range map[string]string{
		"a project": `update packages set revision = revision + 1 where name = 'demo'`,
		"its end":   `delete from packages where name = 'demo'`,
		"a job":     `update jobs set state = 'skipped', reason = 'x'`,
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.agree(w.fresh("demo", "1.0"))
			a := change(w.known("demo"))
			a.Move = []store.JobMove{{Job: a.Known.Releases[0].Jobs[0].ID, From: farm.Queued, Planned: queued(farm.PriorityNew)}}
			tx, commit := w.begin()
			_, err := tx.Exec(t.Context(), statement)
			w.must(err)
			answer := make(chan store.Agreed)
			go func() {
				got, err := w.Agree(t.Context(), []store.Agreement{a}, nil)
				if err != nil {
					t.Error(err)
				}
				answer <- got
			}()
			w.waitForWaiter(tx)
			commit()
			if got := <-answer; !slices.Equal(got.Changed, []string{"demo"}) {
				t.Errorf("%+v, want it refused", got)
			}
		})
	}
}

// begin opens a transaction on a connection of its own.
func (w *world) begin() (tx pgx.Tx, commit func()) {
	w.t.Helper()
	conn, err := pgx.Connect(w.t.Context(), w.dsn)
	w.must(err)
	tx, err = conn.Begin(w.t.Context())
	w.must(err)
	return tx, func() {
		w.t.Helper()
		w.must(tx.Commit(w.t.Context()))
		w.must(conn.Close(w.t.Context()))
	}
}

// waitForWaiter returns when somebody waits for a lock of this database. Nothing
// tells of that, so it is asked for.
func (w *world) waitForWaiter(tx pgx.Tx) {
	w.t.Helper()
	const q = `
select exists (select 1 from pg_locks l join pg_stat_activity a using (pid) where not l.granted and a.datname = current_database())`
	for waits := false; !waits; {
		w.must(tx.QueryRow(w.t.Context(), q).Scan(&waits))
	}
}

// TestAgreeByMany: batches that have names in common, in any order, with a
// maintainer's requeue and removals in between, end without a deadlock, and every
// decision that was written grew its project's revision by one.
func TestAgreeByMany(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	names := []string{"aa", "bb", "cc", "dd", "ee", "ff"}
	var mu sync.Mutex
	written := map[string]int64{}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(7, uint64(i)))
			for range 25 {
				known, err := w.KnownProjects(t.Context(), names)
				if err != nil {
					t.Error(err)
					return
				}
				batch := w.someOf(r, names, known)
				got, err := w.Agree(t.Context(), batch, nil)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for _, a := range batch {
					if !slices.Contains(got.Changed, a.Known.Name) {
						written[a.Known.Name]++
					}
				}
				mu.Unlock()
				moved, err := w.Requeue(t.Context(), store.Requeue{Actor: "test"})
				if err != nil {
					t.Error(err)
				}
				if moved.Audit > 0 {
					if _, err := w.Undo(t.Context(), moved.Audit, "test", 1); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	for _, name := range names {
		if got := w.known(name).Revision; got != written[name] {
			t.Errorf("%s: revision %d after %d agreements", name, got, written[name])
		}
	}
	w.agrees()
}

// someOf decides something on half of the projects.
func (w *world) someOf(r *rand.Rand, names []string, known map[string]store.Known) (batch []store.Agreement) {
	for _, i := range r.Perm(len(names))[:len(names)/2] {
		k, ok := known[names[i]]
		if !ok {
			batch = append(batch, w.fresh(names[i], "1.0", "2.0"))
			continue
		}
		a := change(k)
		for _, rel := range k.Releases {
			for _, j := range rel.Jobs {
				to := queued(farm.PriorityNew)
				if j.State == farm.Queued {
					to = store.Planned{State: farm.Skipped, Why: farm.WhyYanked, Reason: "yanked"}
				}
				a.Move = append(a.Move, store.JobMove{Job: j.ID, From: j.State, Planned: to})
			}
		}
		batch = append(batch, a)
	}
	return batch
}
