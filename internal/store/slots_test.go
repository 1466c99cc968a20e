package store_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// most is how many leases a project may have in these tests.
const most = 4

// ask claims through one of several stores.
func (w *world) ask(s *store.Store, request string) (farm.Lease, bool) {
	w.t.Helper()
	l, ok, err := s.Claim(w.t.Context(), store.ClaimRequest{
		Slave: w.slaves["a"], Request: request, Token: "t" + request, Targets: []int64{w.targetID}, Length: time.Minute, Most: most,
	})
	if err != nil {
		w.t.Error(err)
	}
	return l, ok
}

// another is a second master's store on the same database.
func (w *world) another() *store.Store {
	w.t.Helper()
	s, err := store.Open(w.t.Context(), w.dsn)
	w.must(err)
	w.t.Cleanup(s.Close)
	return s
}

// fail ends a lease as the package's fault.
func (w *world) fail(l farm.Lease) {
	w.t.Helper()
	e := w.ending("a", l)
	e.Failure = farm.Failure{Cause: farm.CompilerError}
	if _, err := w.FinishFailed(w.t.Context(), e); err != nil {
		w.t.Error(err)
	}
}

// many is the agreement on a project of n versions, older ones than those of
// another project if its first day is earlier.
func (w *world) many(name string, n, first int) store.Agreement {
	a := w.fresh(name)
	for i := range n {
		a.Add = append(a.Add, w.release(fmt.Sprintf("1.%d", i), first+i, queued(farm.PriorityBacklog)))
	}
	return a
}

// leasedOf counts the leases of every project.
func (w *world) leasedOf() map[string]int {
	w.t.Helper()
	jobs, err := w.Jobs(w.t.Context(), store.Selector{})
	w.must(err)
	n := map[string]int{}
	for _, j := range jobs {
		if j.State == farm.Leased {
			n[j.Package]++
		}
	}
	return n
}

// TestNeverMoreLeases: many ask at once, of two masters. The project at the head
// of the queue gets as many leases as it may have, and the others flow.
func TestNeverMoreLeases(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.agree(w.many("large", 200, 1000), w.many("small", 60, 1))
	stores := []*store.Store{w.Store, w.another()}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var leases []farm.Lease
	for i := range 50 {
		wg.Go(func() {
			// Each asks until it has something: that a claim lost all its races is no fault.
			for try := range 100 {
				if l, ok := w.ask(stores[i%2], fmt.Sprint(i, "/", try)); ok {
					mu.Lock()
					defer mu.Unlock()
					leases = append(leases, l)
					return
				}
				if n := w.leasedOf(); n["large"]+n["small"] == 2*most {
					return
				}
			}
			t.Errorf("asker %d has nothing", i)
		})
	}
	wg.Wait()
	if diff := gocmp.Diff(map[string]int{"large": most, "small": most}, w.leasedOf()); diff != "" {
		t.Fatal(diff)
	}
	// Whatever ends makes room for one, and not for more.
	i := slices.IndexFunc(leases, func(l farm.Lease) bool { return l.Package == "large" })
	w.fail(leases[i])
	if l, ok := w.ask(stores[0], "next"); !ok || l.Package != "large" {
		t.Errorf("after an end: %+v", l)
	}
	if l, ok := w.ask(stores[1], "one more"); ok {
		t.Errorf("%s has one lease more than it may have", l.Package)
	}
	w.agrees()
}

// TestEveryEndFreesItsSlot: no way out of a lease keeps it.
func TestEveryEndFreesItsSlot(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(w *world, l farm.Lease){
		"failed": func(w *world, l farm.Lease) { w.fail(l) },
		"built": func(w *world, l farm.Lease) {
			_, err := w.FinishBuilt(w.t.Context(), w.ending("a", l), w.wheel("demo-1.0-py3-none-any.whl"))
			w.must(err)
		},
		"tried again": func(w *world, l farm.Lease) {
			e := w.ending("a", l)
			e.Failure = farm.Failure{Cause: farm.SlaveFault}
			_, err := w.FinishFailed(w.t.Context(), e)
			w.must(err)
		},
		"expired": expire,
		"freed":   func(w *world, _ farm.Lease) { w.beat("a", "", 0) },
		"aborted": func(w *world, _ farm.Lease) {
			_, _, err := w.AbortSlave(w.t.Context(), "a", "m")
			w.must(err)
		},
		"revoked": func(w *world, _ farm.Lease) {
			_, err := w.RevokeSlave(w.t.Context(), "a", "key-a", "m")
			w.must(err)
		},
		"skipped": func(w *world, _ farm.Lease) {
			a := change(w.known("demo"))
			a.Move = []store.JobMove{{Job: a.Known.Releases[0].Jobs[0].ID, From: farm.Leased,
				Planned: store.Planned{State: farm.Skipped, Why: farm.WhyByHand, Reason: "r"}}}
			w.agree(a)
		},
		"a program of before": func(w *world, _ farm.Lease) {
			w.must(w.exec(`update jobs set state = 'queued', lease_token = null, lease_slave_id = null, lease_deadline = null`))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.agree(w.many("demo", 1, 1))
			l, _ := w.ask(w.Store, "r")
			if got := w.slots(); got != "1" {
				t.Errorf("leased in slot %s, want 1", got)
			}
			end(w, l)
			if got := w.slots(); got != "" {
				t.Errorf("slots %s are taken by what is not leased", got)
			}
		})
	}
}

// slots are those that are taken, by number.
func (w *world) slots() string {
	w.t.Helper()
	conn, err := pgx.Connect(w.t.Context(), w.dsn)
	w.must(err)
	defer conn.Close(context.Background())
	var all []string
	w.must(conn.QueryRow(w.t.Context(), `select array(select lease_slot::text from jobs where lease_slot > 0 order by 1)`).Scan(&all))
	return strings.Join(all, " ")
}

// TestRoomIsSeenAtOnce: jobs that were passed over because their project was full
// come first again when a lease of it ends, also one that another master ended, and
// without any notification.
func TestRoomIsSeenAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.agree(w.many("large", 20, 1000), w.many("p1", 4, 100), w.many("p2", 4, 50), w.many("p3", 4, 10))
	var got []string
	var large []farm.Lease
	claim := func(n int) {
		for range n {
			l, ok := w.ask(w.Store, fmt.Sprint(len(got)))
			if !ok {
				t.Fatalf("no job after %v", got)
			}
			got = append(got, l.Package+" "+l.Version)
			if l.Package == "large" {
				large = append(large, l)
			}
		}
	}
	claim(6) // the head is in p1
	w.fail(large[0])
	claim(3)
	w.fail(large[1])
	w.fail(large[4])
	claim(4)
	want := []string{"large 1.19", "large 1.18", "large 1.17", "large 1.16", "p1 1.3", "p1 1.2",
		"large 1.15", "p1 1.1", "p1 1.0", "large 1.14", "large 1.13", "p2 1.3", "p2 1.2"}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestJobsOfBefore: rows of a program that knew no slots have no limit.
func TestJobsOfBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.agree(w.many("demo", 6, 1))
	w.must(w.exec(`update jobs set package_id = 0`))
	for i := range 6 {
		if _, ok := w.ask(w.Store, fmt.Sprint(i)); !ok {
			t.Fatalf("no job %d", i)
		}
	}
	if got := w.slots(); got != "" {
		t.Errorf("slots %s are taken", got)
	}
}

// TestClaimsAgainstAModel: whatever comes and ends, through whichever master, a
// claim takes the first job in order whose project has room.
func TestClaimsAgainstAModel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.agree(w.many("p0", 30, 200), w.many("p1", 10, 205), w.many("p2", 3, 190), w.many("p3", 20, 100))
	inOrder := w.queueInOrder()
	rapid.Check(t, func(r *rapid.T) {
		w.must(w.exec(`update jobs set state = 'queued', cause = '', not_before = now(),
			lease_token = null, lease_slave_id = null, lease_deadline = null where state <> 'queued' or not_before > now();
			truncate builds cascade`))
		var stores []*store.Store // their memory begins anew
		for range 2 {
			s, err := store.Open(t.Context(), w.dsn)
			w.must(err)
			defer s.Close()
			stores = append(stores, s)
		}
		queue := slices.Clone(inOrder)
		held := map[string][]farm.Lease{}
		for i := range rapid.IntRange(1, 60).Draw(r, "steps") {
			if p := fmt.Sprint("p", rapid.IntRange(0, 7).Draw(r, "end")); len(held[p]) > 0 {
				n := rapid.IntRange(0, len(held[p])-1).Draw(r, "which")
				w.fail(held[p][n])
				held[p] = slices.Delete(held[p], n, n+1)
				continue
			}
			at := slices.IndexFunc(queue, func(j store.JobRow) bool { return len(held[j.Package]) < most })
			l, ok := w.ask(stores[rapid.IntRange(0, 1).Draw(r, "master")], fmt.Sprint("m", i))
			if at < 0 {
				if ok {
					r.Fatalf("step %d: %s %s, want nothing", i, l.Package, l.Version)
				}
				continue
			}
			if want := queue[at]; !ok || l.Job != want.ID {
				r.Fatalf("step %d: %s %s, want %s %s", i, l.Package, l.Version, want.Package, want.Version)
			}
			held[l.Package] = append(held[l.Package], l)
			queue = slices.Delete(queue, at, at+1)
		}
	})
	w.agrees()
}

// queueInOrder are the queued jobs, in the order of the queue.
func (w *world) queueInOrder() []store.JobRow {
	w.t.Helper()
	jobs, err := w.Jobs(w.t.Context(), store.Selector{})
	w.must(err)
	released := map[int64]int64{}
	for _, k := range []string{"p0", "p1", "p2", "p3"} {
		for _, r := range w.known(k).Releases {
			released[r.Jobs[0].ID] = r.Released.UnixMilli()
		}
	}
	slices.SortFunc(jobs, func(a, b store.JobRow) int {
		return cmp.Or(cmp.Compare(released[b.ID], released[a.ID]), cmp.Compare(a.ID, b.ID))
	})
	return jobs
}
