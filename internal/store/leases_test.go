package store_test

import (
	"fmt"
	"testing"
	"time"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// TestLeaseRules is design 4: which reports count.
func TestLeaseRules(t *testing.T) {
	t.Parallel()
	fail := farm.Failure{Cause: farm.CompilerError}
	cases := []struct {
		name  string
		setup func(w *world, l farm.Lease)
		built bool
		want  bool
		state farm.State
	}{
		{"success, current", nil, true, true, farm.Built},
		{"failure, current", nil, false, true, farm.Failed},
		{"success, expired", expire, true, true, farm.Built},
		{"failure, expired", expire, false, false, farm.Queued},
		{"success, another holds it", retake, true, true, farm.Built},
		{"failure, another holds it", retake, false, false, farm.Leased},
		{"success after slave-lost", lose, true, true, farm.Built},
		{"success after another's result", failElsewhere, true, false, farm.Failed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.add("demo", "1.0")
			l, _ := w.claim("a", "r1")
			if c.setup != nil {
				c.setup(w, l)
			}
			e := w.ending("a", l)
			var res store.Result
			var err error
			if c.built {
				res, err = w.FinishBuilt(t.Context(), e, w.wheel("demo-1.0-py3-none-any.whl"))
			} else {
				e.Failure = fail
				res, err = w.FinishFailed(t.Context(), e)
			}
			w.must(err)
			if res.Counted != c.want {
				t.Errorf("counted = %v (%s)", res.Counted, res.Why)
			}
			if got := w.state("demo", "1.0").State; got != c.state {
				t.Errorf("state %s, want %s", got, c.state)
			}
		})
	}
}

// expire lets the lease run out and sweeps it; the other slave was just heard.
func expire(w *world, _ farm.Lease) {
	w.t.Helper()
	_, err := w.Renew(w.t.Context(), w.slaves["b"], nil, time.Minute, "", nil)
	w.must(err)
	w.must(w.exec(`update jobs set lease_deadline = now() - interval '1 s' where state = 'leased'`))
	n, err := w.Sweep(w.t.Context(), time.Minute)
	w.must(err)
	if n != 1 {
		w.t.Fatalf("swept %d leases", n)
	}
}

func retake(w *world, l farm.Lease) {
	w.t.Helper()
	expire(w, l)
	if _, ok := w.claim("b", "rb"); !ok {
		w.t.Fatal("b got no job")
	}
}

func lose(w *world, l farm.Lease) {
	w.t.Helper()
	expire(w, l)
	for i := 1; i < store.MaxLosses; i++ {
		w.claim("a", fmt.Sprint("again", i))
		expire(w, l)
	}
	if j := w.state("demo", "1.0"); j.State != farm.Failed || j.Cause != string(farm.SlaveLost) {
		w.t.Fatalf("after %d losses: %s %s", store.MaxLosses, j.State, j.Cause)
	}
}

func failElsewhere(w *world, l farm.Lease) {
	w.t.Helper()
	expire(w, l)
	lb, _ := w.claim("b", "rb")
	e := w.ending("b", lb)
	e.Failure = farm.Failure{Cause: farm.MissingHeader, Detail: "ffi.h"}
	_, err := w.FinishFailed(w.t.Context(), e)
	w.must(err)
}

func TestAnotherHolderIsAborted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("demo", "1.0")
	l, _ := w.claim("a", "r1")
	retake(w, l)
	res, err := w.FinishBuilt(t.Context(), w.ending("a", l), w.wheel("demo-1.0-py3-none-any.whl"))
	w.must(err)
	if res.Abort != "b/rb" || res.Holder != "b" {
		t.Errorf("abort %q of %q, want b's lease", res.Abort, res.Holder)
	}
	gone, err := w.Renew(t.Context(), w.slaves["b"], []string{"b/rb"}, time.Minute, "", nil)
	w.must(err)
	if len(gone) != 1 {
		t.Errorf("b's beat keeps a lease that is gone: %v", gone)
	}
}

// TestLossWithoutOthersDoesNotCount: when no other slave was heard it was the
// farm or the network that was away.
func TestLossWithoutOthersDoesNotCount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("demo", "1.0")
	for i := range store.MaxLosses + 1 {
		if _, ok := w.claim("a", fmt.Sprint(i)); !ok {
			t.Fatalf("round %d: no job", i)
		}
		w.must(w.exec(`update jobs set lease_deadline = now() - interval '1 s' where state = 'leased'`))
		_, err := w.Sweep(t.Context(), time.Minute)
		w.must(err)
	}
	if got := w.state("demo", "1.0").State; got != farm.Queued {
		t.Errorf("state %s", got)
	}
}

func TestFreeOthersSparesHeldAndYoung(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("demo", "1.0", "2.0")
	held, _ := w.claim("a", "r1")
	other, _ := w.claim("a", "r2")
	n, err := w.FreeOthers(t.Context(), w.slaves["a"], []string{held.Token}, "", time.Hour)
	w.must(err)
	if n != 0 {
		t.Errorf("%d young leases freed", n)
	}
	n, err = w.FreeOthers(t.Context(), w.slaves["a"], []string{held.Token}, "", 0)
	w.must(err)
	if n != 1 || w.state("demo", other.Version).State != farm.Queued || w.state("demo", held.Version).State != farm.Leased {
		t.Errorf("freed %d", n)
	}
}

// TestFreeOthersSparesWhatIsAskedAgain: a lease whose answer was lost is no loss,
// and the repeat of its request finds it.
func TestFreeOthersSparesWhatIsAskedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("demo", "1.0")
	lease, _ := w.claim("a", "r1")
	n, err := w.FreeOthers(t.Context(), w.slaves["a"], nil, "r1", 0)
	w.must(err)
	again, ok := w.claim("a", "r1")
	if n != 0 || !ok || again.Token != lease.Token {
		t.Errorf("freed %d; the repeat got %v %q, want %q", n, ok, again.Token, lease.Token)
	}
	n, err = w.FreeOthers(t.Context(), w.slaves["a"], nil, "r2", 0)
	w.must(err)
	if n != 1 || w.state("demo", "1.0").State != farm.Queued {
		t.Errorf("freed %d leases of another request, want 1", n)
	}
}

// TestFaultsAreTriedElsewhere: what is not the package's fault is queued again,
// later, and is a failure only after several tries.
func TestFaultsAreTriedElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("demo", "1.0")
	for i := range store.MaxLosses {
		w.must(w.exec(`update jobs set not_before = now()`))
		l, ok := w.claim("a", fmt.Sprint(i))
		if !ok {
			t.Fatalf("try %d: no job", i)
		}
		e := w.ending("a", l)
		e.Failure = farm.Failure{Cause: farm.SlaveFault, Detail: "disk"}
		_, err := w.FinishFailed(t.Context(), e)
		w.must(err)
		if _, ok := w.claim("b", fmt.Sprint("b", i)); ok {
			t.Fatalf("try %d: leased again at once", i)
		}
	}
	if j := w.state("demo", "1.0"); j.State != farm.Failed || j.Cause != string(farm.SlaveFault) {
		t.Errorf("%s %s", j.State, j.Cause)
	}
}

func TestRequeue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("demo", "1.0", "2.0")
	good, _ := w.claim("a", "r1")
	bad, _ := w.claim("a", "r2")
	_, err := w.FinishBuilt(t.Context(), w.ending("a", good), w.wheel("demo-2.0-py3-none-any.whl"))
	w.must(err)
	e := w.ending("a", bad)
	e.Failure = farm.Failure{Cause: farm.CompilerError}
	_, err = w.FinishFailed(t.Context(), e)
	w.must(err)
	moved, err := w.Requeue(t.Context(), store.Selector{Package: "demo"}, farm.PriorityOperator, "test")
	w.must(err)
	if len(moved) != 1 || moved[0].Version != bad.Version || moved[0].State != farm.Queued {
		t.Errorf("moved %+v", moved)
	}
	if got := w.state("demo", good.Version).State; got != farm.Built {
		t.Errorf("the built job is %s", got)
	}
}
