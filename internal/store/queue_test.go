package store_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/farm"
)

// TestQueueIsTheOrderOfClaims: what is shown as next is what is given to slaves, in
// this order, and what is to wait is shown apart.
func TestQueueIsTheOrderOfClaims(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 6 {
		w.add(fmt.Sprint("p", i), "1.0", "2.0", "3.0")
	}
	w.must(w.exec(`update jobs set priority = 20 where id % 4 = 1; update jobs set priority = 10, not_before = now() + interval '1 hour', losses = 1 where id % 5 = 2`))
	queues, err := w.Queue(t.Context(), "", 100)
	w.must(err)
	if len(queues) != 1 || queues[0].Target != target.String() || queues[0].Queued != 18 || len(queues[0].Later) != 4 {
		t.Fatalf("%+v", queues)
	}
	var next, given []string
	for _, j := range queues[0].Next {
		next = append(next, j.Package+" "+j.Version)
	}
	for i := range len(next) {
		l, ok := w.claim("a", fmt.Sprint(i))
		if !ok {
			break
		}
		given = append(given, l.Package+" "+l.Version)
		if i == 3 {
			w.leasedAre(next[:4]...)
		}
	}
	if diff := cmp.Diff(next, given); diff != "" {
		t.Errorf("(-shown +given)\n%s", diff)
	}
	for _, j := range queues[0].Later {
		if j.Faults != 1 || j.Priority != farm.PriorityOperator || !j.Begins.After(j.Since) {
			t.Errorf("%+v", j)
		}
	}
	none, err := w.Queue(t.Context(), "cp39-linux_armv7l", 1)
	w.must(err)
	if len(none) != 0 {
		t.Errorf("of no target: %+v", none)
	}
}

func (w *world) leasedAre(want ...string) {
	w.t.Helper()
	queues, err := w.Queue(w.t.Context(), target.String(), 3)
	w.must(err)
	var got []string
	for _, l := range queues[0].Leased {
		if l.Slave != "a" || l.Build == 0 {
			w.t.Errorf("%+v", l)
		}
		got = append(got, l.Package+" "+l.Version)
	}
	if diff := cmp.Diff(want, got); diff != "" || len(queues[0].Next) != 3 {
		w.t.Errorf("leased:\n%s", diff)
	}
}

// TestAhead counts what is before a job.
func TestAhead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("demo", "1.0", "2.0", "3.0")
	for version, want := range map[string]int64{"3.0": 0, "2.0": 1, "1.0": 2} {
		got, err := w.Ahead(t.Context(), w.state("demo", version).ID)
		w.must(err)
		if got != want {
			t.Errorf("before %s are %d, want %d", version, got, want)
		}
	}
}
