package store_test

import (
	"fmt"
	"sync"
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
	w.beat("b", "", time.Hour)
	w.must(w.exec(`update jobs set lease_deadline = now() - interval '1 s' where state = 'leased'`))
	n, err := w.Sweep(w.t.Context(), time.Minute)
	w.must(err)
	if n != 1 {
		w.t.Fatalf("swept %d leases", n)
	}
}

// beat says that a slave holds these leases and asks under that request, and
// returns which of them are its no longer.
func (w *world) beat(slave, asking string, grace time.Duration, held ...string) (gone []string) {
	w.t.Helper()
	gone, err := w.Heard(w.t.Context(), store.Word{
		Slave: w.slaves[slave], Pulse: &farm.Pulse{}, Held: held, Asking: asking, Grace: grace, Length: time.Minute,
	})
	w.must(err)
	return gone
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
	if gone := w.beat("b", "", time.Hour, "b/rb"); len(gone) != 1 {
		t.Errorf("b's beat keeps a lease that is gone: %v", gone)
	}
}

// TestTwoSweepers: two masters sweep in one moment, and hear of a slave that holds
// nothing any more: each loss counts once.
func TestTwoSweepers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stores := []*store.Store{w.Store, w.another()}
	var versions []string
	for i := range 20 {
		versions = append(versions, fmt.Sprintf("1.%d", i))
	}
	w.add("demo", versions...)
	w.beat("b", "", time.Hour)
	for i := range versions {
		w.claim("a", fmt.Sprint(i))
	}
	w.must(w.exec(`update jobs set lease_deadline = now() - interval '1 s';
		update builds set started_at = started_at - interval '1 hour'; update slaves set last_seen = now() where name = 'b'`))
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			var err error
			if i < 6 {
				_, err = stores[i%2].Sweep(t.Context(), time.Minute)
			} else {
				_, err = stores[i%2].Heard(t.Context(), store.Word{Slave: w.slaves["a"], Pulse: &farm.Pulse{}, Length: time.Minute})
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if err := w.exec(`do $$ begin if exists (select from jobs where losses <> 1 or state <> 'queued') then raise exception 'not once'; end if; end $$`); err != nil {
		t.Error(err)
	}
	w.agrees()
}
