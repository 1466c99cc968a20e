package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// claimWith asks for work for a slave that has this memory and these packages.
func (w *world) claimWith(request string, memory int64, packages ...string) string {
	w.t.Helper()
	l, ok, err := w.Claim(w.t.Context(), store.ClaimRequest{
		Slave: w.slaves["a"], Request: request, Token: "t/" + request, Targets: []int64{w.targetID}, Length: time.Minute,
		Memory: memory, Packages: map[int64][]string{w.targetID: packages},
	})
	w.must(err)
	if !ok {
		return "nothing"
	}
	return l.Package
}

// need makes a package's jobs need something, as a recipe does.
func (w *world) need(name string, memory int64, packages ...string) {
	w.t.Helper()
	w.must(w.exec(`update jobs set needs_memory = $2, needs_packages = $3
		where package_id = (select id from packages where name = $1)`, name, memory, packages))
}

// TestClaimsByNeed: a slave gets what it can do, what few can do first, and never
// what it cannot.
func TestClaimsByNeed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"plain", "large", "ffi", "both", "other"} {
		w.add(name, "1.0")
	}
	w.need("large", 4*gb)
	w.need("ffi", 0, "libffi-dev")
	w.need("both", 2*gb, "cmake", "libffi-dev")
	w.need("other", 0, "libother-dev")
	var got []string
	for i, c := range []struct {
		memory   int64
		packages []string
	}{
		{0, nil},                         // plain
		{0, nil},                         // nothing
		{8 * gb, []string{"libffi-dev"}}, // large: needs most
		{1 * gb, []string{"cmake", "libffi-dev"}},      // ffi
		{1 * gb, []string{"cmake", "libffi-dev"}},      // nothing: too small
		{2 * gb, []string{"cmake", "libffi-dev", "x"}}, // both
		{8 * gb, []string{"cmake"}},                    // nothing
	} {
		got = append(got, w.claimWith(fmt.Sprint(i), c.memory, c.packages...))
	}
	want := []string{"plain", "nothing", "large", "ffi", "nothing", "both", "nothing"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestNeedyByPriority: the higher priority comes first, and at the same one what
// needs something; so it is when the head of the queue is not known, and when it is.
func TestNeedyByPriority(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("plain", "1.0", "2.0", "3.0", "4.0")
	w.add("needs", "1.0", "2.0", "3.0")
	w.need("needs", 1)
	w.must(w.exec(`update jobs j set priority = x.priority from releases r, packages p,
		(values ('plain', '4.0', 10), ('plain', '3.0', 10), ('plain', '2.0', 30), ('plain', '1.0', 50),
			('needs', '3.0', 10), ('needs', '2.0', 30), ('needs', '1.0', 40)) x (name, version, priority)
		where r.id = j.release_id and p.id = r.package_id and p.name = x.name and r.version = x.version`))
	var got []string
	for i := range 7 {
		l, _, err := w.Claim(t.Context(), store.ClaimRequest{Slave: w.slaves["a"], Request: fmt.Sprint(i), Token: fmt.Sprint(i),
			Targets: []int64{w.targetID}, Length: time.Minute, Memory: 1})
		w.must(err)
		got = append(got, l.Package+" "+l.Version)
	}
	want := []string{"needs 3.0", "plain 4.0", "plain 3.0", "needs 2.0", "plain 2.0", "needs 1.0", "plain 1.0"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestNeedyIsHeardOf: a store that has looked what there is hears of what is queued
// since; and one that does not listen finds it when there is nothing else.
func TestNeedyIsHeardOf(t *testing.T) {
	t.Parallel()
	for _, listening := range []bool{true, false} {
		w := newWorld(t)
		w.add("plain", "1.0")
		w.add("needs", "1.0")
		heard := make(chan string, 10)
		if listening {
			ended := make(chan struct{})
			ctx, cancel := context.WithCancel(t.Context())
			go func() { defer close(ended); w.Listen(ctx, store.QueueChannel, func(p string) { heard <- p }) }()
			defer func() { cancel(); <-ended }()
			<-heard
		}
		w.must(w.exec(`update jobs set priority = 11 where package_id = (select id from packages where name = 'needs')`))
		l, _ := w.claim("a", "first") // and the store has looked
		w.fail(l)
		w.need("needs", 1)
		_, err := w.Requeue(t.Context(), store.Requeue{Selector: store.Selector{Package: "needs"}, Actor: "test"})
		w.must(err)
		want := []string{"plain", "needs"}
		if listening {
			<-heard
			want = []string{"needs", "plain"}
		}
		got := []string{w.claimWith("r1", 1), w.claimWith("r2", 1)}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("listening = %v:\n%s", listening, diff)
		}
	}
}

// TestNeedyProjectsHaveRoomToo: what needs something counts for its project as all
// others do.
func TestNeedyProjectsHaveRoomToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.agree(w.many("demo", most+2, 1))
	w.need("demo", 1)
	n := 0
	for i := range most + 2 {
		_, ok, err := w.Claim(t.Context(), store.ClaimRequest{Slave: w.slaves["a"], Request: fmt.Sprint(i), Token: fmt.Sprint(i),
			Targets: []int64{w.targetID}, Length: time.Minute, Most: most, Memory: 1})
		w.must(err)
		if ok {
			n++
		}
	}
	if n != most {
		t.Errorf("%d leases, want %d", n, most)
	}
}

// TestAvoids: the slave that spoiled a job leaves it to others, for a while.
func TestAvoids(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("demo", "1.0")
	w.must(w.exec(`update jobs set avoids_slave_id = $1`, w.slaves["a"]))
	if l, ok := w.claim("a", "r1"); ok {
		t.Errorf("a got %s %s", l.Package, l.Version)
	}
	w.must(w.exec(`update jobs set not_before = now() - interval '11 minutes'`))
	if _, ok := w.claim("a", "r2"); !ok {
		t.Error("after ten minutes a still gets nothing")
	}
	w.must(w.exec(`update jobs set state = 'queued', not_before = now(), lease_token = null, lease_slave_id = null, lease_deadline = null`))
	if _, ok := w.claim("b", "r3"); !ok {
		t.Error("b gets nothing")
	}
}

// TestNeedsThatCannotBe: what nobody could ever have is refused by the schema.
func TestNeedsThatCannotBe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("demo", "1.0")
	for _, q := range []string{`update jobs set needs_memory = -1`, `update jobs set needs_packages = '{}'`, `update jobs set waits_package = 'x'`} {
		if w.exec(q) == nil {
			t.Errorf("%s was allowed", q)
		}
	}
}

// TestNeedsAgainstAModel: whatever slaves ask, each gets a job that it can do as long
// as there is one, none that it cannot, and of what needs something and of the rest
// the higher priority. Between kinds of needs the order is a guess.
func TestNeedsAgainstAModel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	needs := map[string]farm.Needs{
		"plain": {}, "large": {Memory: gb}, "huge": {Memory: 2 * gb}, "x": {Packages: []string{"x"}}, "both": {Memory: gb, Packages: []string{"x", "y"}},
	}
	w.agree(w.many("plain", 6, 100), w.many("large", 3, 300), w.many("huge", 2, 200), w.many("x", 3, 50), w.many("both", 2, 400))
	for name, n := range needs {
		if name != "plain" {
			w.need(name, n.Memory, n.Packages...)
		}
	}
	all, err := w.Jobs(t.Context(), store.Selector{})
	w.must(err)
	rapid.Check(t, func(r *rapid.T) {
		var ids []int64
		var priorities []int16
		queue := map[int64]int16{}
		of := map[int64]string{}
		for _, j := range all {
			p := rapid.SampledFrom([]int16{10, 20, 30}).Draw(r, "priority")
			ids, priorities, queue[j.ID], of[j.ID] = append(ids, j.ID), append(priorities, p), p, j.Package
		}
		w.must(w.exec(`update jobs j set priority = x.p, state = 'queued', not_before = now(), lease_token = null, lease_slave_id = null, lease_deadline = null
			from unnest($1::bigint[], $2::smallint[]) x (id, p) where j.id = x.id`, ids, priorities))
		w.must(w.exec(`truncate builds cascade`))
		s, err := store.Open(t.Context(), w.dsn)
		w.must(err)
		defer s.Close()
		for i := range rapid.IntRange(1, 20).Draw(r, "claims") {
			memory := rapid.SampledFrom([]int64{0, gb, 2 * gb}).Draw(r, "memory")
			packages := rapid.SampledFrom([][]string{nil, {"x"}, {"x", "y"}}).Draw(r, "packages")
			c := store.ClaimRequest{Slave: w.slaves["a"], Request: fmt.Sprint(i), Token: fmt.Sprint(i), Targets: []int64{w.targetID}, Length: time.Minute,
				Memory: memory, Packages: map[int64][]string{w.targetID: packages}}
			plain, needy := int16(99), int16(99) // the best that it can do
			for id, p := range queue {
				switch n := needs[of[id]]; {
				case of[id] == "plain":
					plain = min(plain, p)
				case n.Memory <= memory && len(n.Packages) <= len(packages):
					needy = min(needy, p)
				}
			}
			l, ok, err := s.Claim(t.Context(), c)
			w.must(err)
			p, there := queue[l.Job]
			switch n := needs[of[l.Job]]; {
			case !ok && plain == 99 && needy == 99:
				continue
			case !ok || !there:
				r.Fatalf("claim %d: %v %s, and there are %d and %d", i, ok, l.Package, plain, needy)
			case n.Memory > memory || len(n.Packages) > len(packages):
				r.Fatalf("claim %d: %s needs more than %d %v", i, l.Package, memory, packages)
			case l.Package == "plain" && (p != plain || p >= needy), l.Package != "plain" && p > plain:
				r.Fatalf("claim %d: %s of priority %d; what needs nothing has %d, what needs something %d", i, l.Package, p, plain, needy)
			}
			delete(queue, l.Job)
		}
	})
}
