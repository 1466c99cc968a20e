package chaostest

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/clitest"
	"pinwheel/internal/farmtest"
	"pinwheel/internal/pypitest"
	"pinwheel/internal/store"
)

// first is how many releases there are before anything goes wrong: so many are
// built however slow the machine is.
const first = 12

// TestChaos lets a farm work while the faults of a seed happen to it, mends
// everything, waits until all is quiet, and judges.
func TestChaos(t *testing.T) {
	text := os.Getenv("PINWHEEL_CHAOS_LONG")
	if text == "" {
		t.Skip("PINWHEEL_CHAOS_LONG is not set: `make chaos` sets it")
	}
	long, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("PINWHEEL_CHAOS_LONG: %v", err)
	}
	seed := rand.Uint64N(1e9)
	if text := os.Getenv("PINWHEEL_CHAOS_SEED"); text != "" {
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("PINWHEEL_CHAOS_SEED: %v", err)
		}
	}
	faults := plan(seed, long)
	t.Logf("seed %d: %d faults in %v; again with CHAOS_SEED=%d CHAOS_LONG=%v make chaos", seed, len(faults), long, seed, long)
	for _, f := range faults {
		t.Log(f)
	}
	w := newWorld(t)
	if n := w.leftOut(faults); n > 0 {
		t.Logf("%d of these %d faults are left out: no disk is filled, since only root may mount one for that", n, len(faults))
	}
	story := newTeller(w, seed)
	w.chaos(story, faults)
	w.settle()
	w.again(story)
	t.Logf("told: %v; leases by outcome: %s", story.counts, w.outcomes())
	w.judge(story)
	t.Logf("programs started: %s", w.starts())
}

// leftOut counts the faults that cannot happen here.
func (w *world) leftOut(faults []fault) (n int) {
	for _, f := range faults {
		if f.kind == full && !w.disks[f.victim].mounted {
			n++
		}
	}
	return n
}

// TestLeftOut: a run as an ordinary user, which passes as well, says what it did not do.
func TestLeftOut(t *testing.T) {
	t.Parallel()
	faults := []fault{{kind: full, victim: "own"}, {kind: full, victim: "folder"}, {kind: kill, victim: "own"}, {kind: full, victim: "folder"}}
	w := &world{disks: map[string]*disk{"own": {mounted: true}, "folder": {}}}
	if n := w.leftOut(faults); n != 2 {
		t.Errorf("%d are left out, want 2", n)
	}
}

// chaos lets the index tell and the faults happen, until those are over.
func (w *world) chaos(story *teller, faults []fault) {
	for range first {
		story.mu.Lock()
		w.must(story.release())
		story.mu.Unlock()
	}
	farmtest.Eventually(w.t, "something is built", func() bool {
		st, err := w.store.Status(w.t.Context())
		return err == nil && st.Wheels > 0
	})
	w.begun = time.Now()
	ctx, cancel := context.WithCancel(w.t.Context())
	var telling sync.WaitGroup
	var place serials
	telling.Go(func() { story.run(ctx) })
	telling.Go(func() { place.watch(ctx, w.local) })
	w.strike(ctx, faults)
	cancel()
	telling.Wait()
	w.say("all is mended; the index tells no more")
	for _, err := range place.errs {
		w.t.Error(err)
	}
}

// resume lets slaves work again that were paused for faults in a row, as whoever
// has made room on their disks does.
func (w *world) resume() {
	all, err := w.store.Slaves(w.t.Context())
	for _, s := range all {
		if s.Paused {
			w.say("%s is paused, and resumed", s.Name)
			err = errors.Join(err, w.store.ResumeSlave(w.t.Context(), s.Name, "chaos"))
		}
	}
	if err != nil {
		w.say("resume: %v", err) // a connection from before the last outage; it is done again
	}
}

// settle waits until nothing is under way any more.
func (w *world) settle() {
	w.t.Helper()
	ctx, index := w.t.Context(), w.index.State()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		var open []string
		err := atOnce(ctx, w.local, func(ctx context.Context, db *pgx.Conn) (err error) {
			if err = hurry(ctx, db); err == nil {
				open, err = quiet(ctx, db, index)
			}
			return err
		})
		if err == nil {
			w.resume()
		}
		if err == nil && len(open) == 0 {
			w.say("nothing is under way any more")
			return
		}
		select {
		case <-tick.C:
		case <-late.C:
			for _, line := range open {
				w.t.Error(line)
			}
			w.t.Fatalf("not quiet within %v: %v", patience, err)
		}
	}
}

// again requeues what failed by the farm's faults, as a maintainer would: in the
// end all is built that can be.
func (w *world) again(story *teller) {
	w.t.Helper()
	kinds := map[[2]string]pypitest.Kind{}
	for _, r := range story.releases {
		if !story.withheld[r] { // nobody tries again what is held back
			kinds[[2]string{r.project, r.version}] = r.kind
		}
	}
	for round := range 4 {
		jobs, err := w.store.Jobs(w.t.Context(), store.Selector{})
		w.must(err)
		again, wrong := failed(jobs, kinds)
		for _, line := range wrong {
			w.t.Error(line)
		}
		w.t.Logf("%d jobs: %s", len(jobs), tally(jobs, func(j store.JobRow) string { return string(j.State) + " " + j.Cause }))
		if len(again) == 0 {
			return
		}
		if round == 3 {
			w.t.Errorf("%d jobs fail again and again", len(again))
		}
		for _, j := range again {
			only := store.Selector{Package: j.Package, Version: j.Version, Failed: true}
			_, err := w.store.Requeue(w.t.Context(), store.Requeue{Selector: only, Actor: "chaos", Words: "--failed"})
			w.must(err)
		}
		w.settle()
	}
}

// judge holds what has come of it to the invariants of the design.
func (w *world) judge(story *teller) {
	t, index := w.t, w.index.State()
	w.must(inTime(t.Context(), w.local, func(ctx context.Context, db *pgx.Conn) error {
		lines, err := ledger(ctx, db)
		for _, line := range lines {
			t.Error(line)
		}
		return err
	}))
	w.stop(slaves())
	// With the masters as they are: whoever starts again also cleans up.
	w.run("master", "audit", "--full", "--depot-dir", w.path("disk-site", "depot"), "--site-dir", w.path("disk-site", "site"))
	w.stop(masters())
	for _, name := range masters() {
		w.units[name].start()
	}
	for _, name := range masters() {
		f := farmtest.Farm{Store: w.store, DepotDir: w.path("disk-site", "depot"), SiteDir: w.path("disk-site", "site"), URL: "http://" + w.masterAt(name)}
		farmtest.Eventually(t, "master "+name+" is well", w.well(f.URL))
		f.Check(t)
	}
	looked := 0
	for _, name := range slaves() {
		list, err := acceptedBy(w.units[name].out.Name())
		w.must(err)
		errs, n := lost(t.Context(), "http://"+w.masterAt("b"), list, index)
		for _, err := range errs {
			t.Errorf("%s: %v", name, err)
		}
		looked += n
	}
	if looked == 0 {
		t.Error("no slave has had a wheel accepted: nothing was tried")
	}
	t.Logf("%d wheels that slaves were told are accepted are served", looked)
	w.stop(append(masters(), "nats"))
	w.rest()
}

// rest ends what is left and looks for what nobody may leave behind.
func (w *world) rest() {
	for _, u := range w.units {
		_, odd := u.record()
		for _, line := range odd {
			w.t.Error(line)
		}
	}
	for _, err := range broken(w.logs) {
		w.t.Error(err)
	}
	w.units["pg"].end(syscall.SIGQUIT)
	var left error
	defer func() {
		if left != nil {
			w.t.Error(left)
		}
	}()
	farmtest.Eventually(w.t, "nothing is left behind", func() bool {
		left = errors.Join(clitest.ProcessesOf(w.dir), w.remains())
		return left == nil
	})
}

// stop ends programs for good, as systemd does.
func (w *world) stop(names []string) {
	w.t.Helper()
	for _, name := range names {
		if err := w.units[name].stop(patience); err != nil {
			w.t.Error(err)
		}
	}
}

func (w *world) well(base string) func() bool {
	return func() bool {
		resp, err := http.Get(base + "/healthz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}
}

// outcomes counts the leases by what came of them.
func (w *world) outcomes() string {
	var lines []string
	w.must(inTime(w.t.Context(), w.local, func(ctx context.Context, db *pgx.Conn) (err error) {
		lines, err = query(ctx, db, `select coalesce(outcome, 'none') from builds`)
		return err
	}))
	return tally(lines, func(s string) string { return s })
}

func (w *world) starts() string {
	var all []string
	for _, u := range w.units {
		starts, _ := u.record()
		for range starts {
			all = append(all, u.name)
		}
	}
	return tally(all, func(s string) string { return s })
}
