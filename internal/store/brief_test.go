package store_test

import (
	"errors"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// TestPlannedOnce: what connections plan once stays right however the farm grows. On a
// farm without a row, where reading a whole table costs nothing, no statement that comes
// all the time is planned to read one that will be large.
func TestPlannedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, setting := range []string{"session_preload_libraries = auto_explain", "auto_explain.log_min_duration = 0",
		"auto_explain.log_level = notice", "auto_explain.log_nested_statements = on"} {
		w.must(w.exec(`do $$ begin execute format('alter database %I set ` + setting + `', current_database()); end $$`))
	}
	var mu sync.Mutex
	var plans []string
	s, err := store.OpenExplained(t.Context(), w.dsn, func(plan string) {
		mu.Lock()
		defer mu.Unlock()
		plans = append(plans, plan)
	})
	w.must(err)
	t.Cleanup(s.Close)
	w.Store = s
	w.dailyRound()
	mu.Lock()
	defer mu.Unlock()
	const large = `(jobs|builds|releases|packages|reading|wheels|published_names|stale_pages)\b`
	whole := regexp.MustCompile(`Seq Scan on ` + large + `|Index (Only )?Scan (Backward )?using \w+ on ` + large + `.*\n +(\S.*[^:\s]  \(cost|->|Filter|Heap Fetches)`)
	seen := map[string]int{}
	for _, plan := range plans {
		_, text, _ := strings.Cut(plan, "Query Text:")
		text, _, _ = strings.Cut(strings.TrimSpace(text), "\n")
		seen[text]++
		// The first of what needs something, which is one row.
		if table := whole.FindString(plan); table != "" && !strings.Contains(table, "jobs_needy") {
			t.Errorf("%s: %s", table, plan)
		}
	}
	if len(seen) < 20 {
		t.Errorf("%d statements were explained: %v", len(seen), seen)
	}
}

// dailyRound does what a farm does all the time: it hears of projects, gives out their
// jobs, and is told how they ended.
func (w *world) dailyRound() {
	w.t.Helper()
	ctx := w.t.Context()
	w.announce(7, "one", "two", "three", "four")
	_, err := w.Agree(ctx, []store.Agreement{w.fresh("one", "1.0", "2.0"), w.fresh("two", "1.0"), w.fresh("three", "1.0")}, w.take(3))
	w.must(err)
	known := w.known("one")
	a := change(known)
	a.Update = []store.KnownRelease{known.Releases[0]}
	a.Move = []store.JobMove{{Job: known.Releases[1].Jobs[0].ID, From: farm.Queued, Planned: queued(farm.PriorityOperator)}}
	a.AddJobs = []store.NewJob{{Release: known.Releases[0].ID, Target: w.second(), Planned: queued(farm.PriorityBacklog)}}
	w.agree(a)
	_, err = w.KnownAfter(ctx, 0, 10)
	w.must(err)
	_, _, err = w.NextReading(ctx)
	w.must(err)
	r := w.take(1)[0]
	w.must(w.PutOff(ctx, r.Name, r.Revision, 1, time.Minute, "away"))

	w.built("a", "r1", "one-2.0-cp311-cp311-linux_x86_64.whl")
	together, errs := w.ClaimTogether(ctx, w.asks("a/x a/y b/z")...)
	for _, err := range errs {
		w.must(err)
	}
	w.beat("a", "", 0, together[0].Token, together[1].Token)
	_, err = w.IssuedTo(ctx, "a", together[0].Token)
	w.must(err)
	why := farm.Failure{Cause: farm.CompilerError, Detail: "x.c"}
	var ends []store.Ending
	for _, l := range together[:2] {
		e := w.ending("a", l)
		e.Failure = why
		ends = append(ends, e)
	}
	_, errs = w.FinishFailedTogether(ctx, ends...)
	for _, err := range errs {
		w.must(err)
	}
	e := w.ending("b", together[2])
	e.Failure, e.Faults = farm.Failure{Cause: farm.SlaveFault, Detail: "disk"}, 1
	_, err = w.FinishFailed(ctx, e)
	w.must(err)
}

// TestOneFailureOfAnOutage: connections that an outage has left behind, of both pools, fail
// one call together, and not one each.
func TestOneFailureOfAnOutage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ask := func() (err error) {
		if _, err = w.IssuedTo(t.Context(), "a", "none"); errors.Is(err, farm.ErrNotFound) {
			_, err = w.Jobs(t.Context(), store.Selector{})
		}
		return err
	}
	var all sync.WaitGroup
	for range 8 { // several connections each
		all.Go(func() {
			if err := ask(); err != nil {
				t.Error(err)
			}
			if _, _, err := w.NextReading(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	w.must(w.exec(`select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`))
	failed := 0
	for range 20 {
		if ask() == nil {
			continue
		}
		for failed++; !w.KnowsOfOutage(); {
			runtime.Gosched()
		}
	}
	if failed > 1 {
		t.Errorf("%d of 20 calls failed, want one at most", failed)
	}
}
