package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// orders listens until the test ends; the first to come is the empty one of the
// connection, which is taken off here.
func (w *world) orders() <-chan string {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	got, ended := make(chan string, 100), make(chan struct{})
	go func() {
		defer close(ended)
		_ = w.Listen(ctx, store.OrderChannel, func(payload string) { got <- payload })
	}()
	w.t.Cleanup(func() { cancel(); <-ended })
	<-got
	return got
}

func next(t testing.TB, orders <-chan string) store.Order {
	t.Helper()
	select {
	case payload := <-orders:
		o, ok := store.ParseOrder(payload)
		if !ok {
			t.Fatalf("not an order: %q", payload)
		}
		return o
	case <-time.After(30 * time.Second):
		t.Fatal("no order was told")
	}
	return store.Order{}
}

func TestPausedSlaveGetsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("demo", "1.0", "2.0")
	orders := w.orders()
	for range 2 { // twice is harmless
		w.must(w.PauseSlave(t.Context(), "a", "no fan", "test"))
		if diff := cmp.Diff(store.Order{Slave: "a", Do: store.OrderPause}, next(t, orders)); diff != "" {
			t.Error(diff)
		}
	}
	if all, err := w.Slaves(t.Context()); err != nil || all[0].PausedWhy != "no fan" {
		t.Errorf("%+v, %v", all, err)
	}
	if l, ok := w.claim("a", "r1"); ok {
		t.Errorf("a paused slave got %s %s", l.Package, l.Version)
	}
	if _, ok := w.claim("b", "r1"); !ok {
		t.Error("another slave got nothing")
	}
	w.must(w.ResumeSlave(t.Context(), "a", "test"))
	if all, err := w.Slaves(t.Context()); err != nil || all[0].Paused || all[0].PausedWhy != "" {
		t.Errorf("%+v, %v", all, err)
	}
	if _, ok := w.claim("a", "r2"); !ok {
		t.Error("after the pause the slave gets nothing")
	}
}

// TestAbortTakesTheNewestLease: what is finished and not yet reported is older.
func TestAbortTakesTheNewestLease(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("demo", "1.0", "2.0")
	finished, _ := w.claim("a", "r1")
	current, _ := w.claim("a", "r2")
	orders := w.orders()
	f, ok, err := w.AbortSlave(t.Context(), "a", "root")
	w.must(err)
	if !ok || f.Job != current.Job || f.Version != "1.0" {
		t.Fatalf("aborted %+v, %v; want job %d", f, ok, current.Job)
	}
	if diff := cmp.Diff(store.Order{Slave: "a", Do: store.OrderAbort, Token: current.Token}, next(t, orders)); diff != "" {
		t.Error(diff)
	}
	if got := w.state("demo", "1.0").State; got != farm.Queued {
		t.Errorf("the aborted job is %s", got)
	}
	if got := w.state("demo", "2.0").State; got != farm.Leased {
		t.Errorf("the finished job is %s", got)
	}
	res, err := w.FinishBuilt(t.Context(), w.ending("a", current), w.wheel("demo-1.0-py3-none-any.whl"))
	w.must(err)
	if res.Counted {
		t.Error("the aborted build counts")
	}
	res, err = w.FinishBuilt(t.Context(), w.ending("a", finished), w.wheel("demo-2.0-py3-none-any.whl"))
	w.must(err)
	if !res.Counted {
		t.Error("the finished build does not count")
	}
	if _, ok, err := w.AbortSlave(t.Context(), "a", "root"); ok || err != nil {
		t.Errorf("a slave that builds nothing: aborted %v, %v", ok, err)
	}
	w.agrees()
}

// TestAbortLeavesFinishedWork: a slave that only brings home what it has built is not told
// to end that.
func TestAbortLeavesFinishedWork(t *testing.T) {
	t.Parallel()
	for doing, aborts := range map[string]bool{"reporting": false, "waiting for work": false, "": true, "building demo 1.0": true} {
		w := newWorld(t)
		w.add("demo", "1.0")
		w.claim("a", "r1")
		w.must(w.exec(`update builds set started_at = now() - interval '1 minute'`))
		_, err := w.Heard(t.Context(), store.Word{Slave: w.slaves["a"], Length: time.Minute, Grace: time.Hour, Pulse: &farm.Pulse{Doing: doing}})
		w.must(err)
		if _, ok, err := w.AbortSlave(t.Context(), "a", "root"); ok != aborts || err != nil {
			t.Errorf("%q: aborted %v, %v", doing, ok, err)
		}
	}
	w := newWorld(t)
	w.add("demo", "1.0")
	w.claim("a", "r1") // while its word was on its way
	_, err := w.Heard(t.Context(), store.Word{Slave: w.slaves["a"], Length: time.Minute, Grace: time.Hour, Pulse: &farm.Pulse{Doing: "waiting for work"}})
	w.must(err)
	if _, ok, err := w.AbortSlave(t.Context(), "a", "root"); !ok || err != nil {
		t.Errorf("aborted %v, %v", ok, err)
	}
}

func (w *world) agrees() {
	w.t.Helper()
	list, err := w.Contradictions(w.t.Context())
	w.must(err)
	for _, c := range list {
		w.t.Error(c)
	}
}

// TestRevokedBringsNothing: neither a lease that it holds nor one that it lost
// counts any more, not even once its name is enrolled again.
func TestRevokedBringsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("demo", "1.0", "2.0")
	lost, _ := w.claim("a", "r1")
	w.beat("a", "", 0)
	w.must(w.exec(`update jobs set not_before = now() + interval '1 hour' where id = $1`, lost.Job))
	held, ok := w.claim("a", "r2")
	if !ok || held.Job == lost.Job {
		t.Fatalf("claimed %v %d", ok, held.Job)
	}
	orders := w.orders()
	for i := range 2 { // twice is harmless
		freed, err := w.RevokeSlave(t.Context(), "a", "key-a", "test")
		w.must(err)
		if want := 1 - i; len(freed) != want {
			t.Errorf("revocation %d freed %d jobs, want %d", i, len(freed), want)
		}
		if diff := cmp.Diff(store.Order{Slave: "a", Do: store.OrderRevoke}, next(t, orders)); diff != "" {
			t.Error(diff)
		}
	}
	if _, ok := w.claim("a", "r3"); ok {
		t.Error("a revoked slave got a job")
	}
	w.must(w.EnrollSlave(t.Context(), "a", farm.RoleSlave, "key-a2", "test"))
	for _, l := range []farm.Lease{lost, held} {
		res, err := w.FinishBuilt(t.Context(), w.ending("a", l), w.wheel("demo-"+l.Version+"-py3-none-any.whl"))
		w.must(err)
		if res.Counted || w.state("demo", l.Version).State != farm.Queued {
			t.Errorf("%s: the work of revoked credentials counts", l.Version)
		}
	}
	if _, err := w.RevokeSlave(t.Context(), "a", "key-a", "test"); !errors.Is(err, farm.ErrConflict) {
		t.Errorf("revoking by the old key: %v, want a conflict", err)
	}
	w.agrees()
}

// TestOrdersAreForSlavesThatWork: each refusal names the thing and the remedy.
func TestOrdersAreForSlavesThatWork(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(w.EnrollSlave(t.Context(), "eye", farm.RoleMonitor, "key-eye", "test"))
	_, err := w.RevokeSlave(t.Context(), "b", "key-b", "test")
	w.must(err)
	for name, want := range map[string]string{"eye": "enrolled as monitor", "b": "`master enroll b`", "nobody": "not found"} {
		_, _, abort := w.AbortSlave(t.Context(), name, "test")
		for do, err := range map[string]error{
			"pause": w.PauseSlave(t.Context(), name, "", "test"), "quit": w.QuitSlave(t.Context(), name, "test"), "abort": abort,
		} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s %s: %v, want %q", do, name, err, want)
			}
		}
	}
}

// TestQuitIsForWhoHears: who cannot be told was not told, and the audit trail does not say
// that it was.
func TestQuitIsForWhoHears(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	before, err := w.History(t.Context(), 1, false)
	w.must(err)
	refused := func(want string) {
		t.Helper()
		if err := w.QuitSlave(t.Context(), "a", "test"); err == nil || err.Error() != want {
			t.Errorf("%v, want %q", err, want)
		}
		after, err := w.History(t.Context(), 1, false)
		w.must(err)
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("the audit trail:\n%s", diff)
		}
	}
	w.must(w.exec(`update slaves set last_seen = now()`))
	refused("a was not told: no master runs; start one, or end the slave on its host")
	orders := w.orders()
	w.must(w.exec(`update slaves set last_seen = null`))
	refused("a was not told: it was never heard; if it runs, end it on its host")
	w.must(w.exec(`update slaves set last_seen = now() - interval '50 hours 5 minutes'`))
	refused("a was not told: it was last heard 50h5m ago; if it runs, end it on its host")
	w.must(w.exec(`update slaves set last_seen = now()`))
	w.must(w.QuitSlave(t.Context(), "a", "test"))
	if diff := cmp.Diff(store.Order{Slave: "a", Do: store.OrderQuit}, next(t, orders)); diff != "" {
		t.Error(diff)
	}
	after, err := w.History(t.Context(), 1, false)
	w.must(err)
	if len(after) != 1 || after[0].Action != "quit" {
		t.Errorf("the audit trail has %+v", after)
	}
}

func TestAttended(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := newWorld(t) // another farm on the same server
	yes, err := w.Attended(t.Context())
	w.must(err)
	if yes {
		t.Error("nobody listens, and it is attended")
	}
	w.orders()
	yes, err = w.Attended(t.Context())
	w.must(err)
	if !yes {
		t.Error("a daemon listens, and it is not attended")
	}
	if yes, err = other.Attended(t.Context()); err != nil || yes {
		t.Errorf("another database on that server: %v, %v", yes, err)
	}
}
