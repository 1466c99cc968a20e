package store_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// built takes the queue's head through a build.
func (w *world) built(slave, request, wheel string) farm.Lease {
	w.t.Helper()
	l, ok := w.claim(slave, request)
	if !ok {
		w.t.Fatal("nothing to build")
	}
	res, err := w.FinishBuilt(w.t.Context(), w.ending(slave, l), w.wheel(wheel))
	w.must(err)
	if !res.Counted {
		w.t.Fatalf("%s does not count: %s", wheel, res.Why)
	}
	return l
}

func (w *world) staleNames() []string {
	w.t.Helper()
	pages, err := w.StalePages(w.t.Context(), 100)
	w.must(err)
	out := []string{}
	for _, p := range pages {
		out = append(out, p.Scope)
	}
	return out
}

func (w *world) forgetStale() {
	w.t.Helper()
	w.must(w.exec(`delete from stale_pages`))
}

func TestRemovePackage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("demo", "1.0", "2.0", "3.0")
	w.built("a", "r1", "demo-3.0-py3-none-any.whl")
	running, _ := w.claim("b", "r1")
	w.forgetStale()
	orders := w.orders()

	got, err := w.Remove(t.Context(), "demo", nil, "test")
	w.must(err)
	want := store.Removed{Package: "demo", Versions: []string{"1.0", "2.0", "3.0"},
		Wheels: []string{"demo-3.0-py3-none-any.whl"}, Jobs: 3, Aborted: 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(store.Order{Slave: "b", Do: store.OrderAbort, Token: running.Token}, next(t, orders)); diff != "" {
		t.Error(diff)
	}
	if _, err := w.Page(t.Context(), "demo"); !errors.Is(err, farm.ErrNotFound) {
		t.Errorf("the page's rows: %v", err)
	}
	if diff := cmp.Diff([]string{"demo", store.RootScope}, w.staleNames()); diff != "" {
		t.Errorf("stale pages:\n%s", diff)
	}
	gone, err := w.WithdrawnOf(t.Context(), []string{"demo"})
	w.must(err)
	row := store.Withdrawn{Filename: "demo-3.0-py3-none-any.whl", Package: "demo", SHA256: strings.Repeat("a", 64)}
	if diff := cmp.Diff([]store.Withdrawn{row}, gone); diff != "" {
		t.Errorf("withdrawn:\n%s", diff)
	}
	names, err := w.PublishedNames(t.Context())
	w.must(err)
	if len(names) != 1 {
		t.Errorf("%d published names, they are for ever", len(names))
	}
	if _, err := w.Issued(t.Context(), w.slaves["b"], running.Token); !errors.Is(err, farm.ErrNotFound) {
		t.Errorf("the lease of the build: %v", err)
	}
	if _, err := w.Remove(t.Context(), "demo", nil, "test"); !errors.Is(err, farm.ErrNotFound) {
		t.Errorf("removing it again: %v", err)
	}
	w.agrees()
}

func TestRemoveVersions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("demo", "1.0", "2.0", "3.0")
	w.built("a", "r1", "demo-3.0-py3-none-any.whl")
	w.built("a", "r2", "demo-2.0-py3-none-any.whl")
	w.forgetStale()
	got, err := w.Remove(t.Context(), "demo", []string{"2", "v1.0.0"}, "test") // other spellings (PEP 440)
	w.must(err)
	if diff := cmp.Diff([]string{"1.0", "2.0"}, got.Versions); diff != "" {
		t.Error(diff)
	}
	page, err := w.Page(t.Context(), "demo")
	w.must(err)
	if len(page.Wheels) != 1 || page.Wheels[0].Version != "3.0" {
		t.Errorf("left: %+v", page.Wheels)
	}
	if diff := cmp.Diff([]string{"demo", store.RootScope}, w.staleNames()); diff != "" {
		t.Errorf("stale pages:\n%s", diff)
	}
	w.agrees()
}

// TestRemoveIsAllOrNothing: a version that there is not keeps the others.
func TestRemoveIsAllOrNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("demo", "1.0")
	_, err := w.Remove(t.Context(), "demo", []string{"1.0", "9.9"}, "test")
	if !errors.Is(err, farm.ErrNotFound) || !strings.Contains(err.Error(), "9.9") {
		t.Errorf("error %v, want one that names 9.9", err)
	}
	if got := w.state("demo", "1.0").State; got != farm.Queued {
		t.Errorf("1.0 is %s", got)
	}
}

// TestRemovedNameIsNotUsedAgain: not for other bytes nor for the same, neither
// while the page may still have it nor when it is gone for good.
func TestRemovedNameIsNotUsedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("demo", "1.0")
	w.built("a", "r1", "demo-1.0-py3-none-any.whl")
	_, err := w.Remove(t.Context(), "demo", nil, "test")
	w.must(err)
	w.add("demo", "1.0")
	l, _ := w.claim("a", "r2")
	same, other := w.wheel("demo-1.0-py3-none-any.whl"), w.wheel("demo-1.0-py3-none-any.whl")
	other.File.SHA256 = strings.Repeat("c", 64)
	for range 2 {
		for _, again := range []store.NewWheel{same, other} {
			if _, err := w.FinishBuilt(t.Context(), w.ending("a", l), again); !errors.Is(err, farm.ErrConflict) {
				t.Errorf("%s under a removed name: %v, want a conflict", again.File.SHA256, err)
			}
		}
		gone, err := w.WithdrawnOf(t.Context(), []string{"demo"})
		w.must(err)
		w.must(w.ForgetWithdrawn(t.Context(), gone))
	}
	w.agrees()
}

// TestWithdrawn: a file has a row until its page was written.
func TestWithdrawn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("demo", "1.0")
	l := w.built("a", "r1", "demo-1.0-py3-none-any.whl")
	w.forgetStale()
	k := w.known("demo")
	a := change(k) // the last sdist is gone: the release stays, without jobs
	a.RemoveJobs = []int64{k.Releases[0].Jobs[0].ID}
	w.agree(a)
	want := []store.NamedFile{{SHA256: strings.Repeat("a", 64), Size: 10, Wheel: "demo-1.0-py3-none-any.whl", Build: l.Build}}
	named, err := w.StillNamed(t.Context(), []string{want[0].SHA256})
	w.must(err)
	if diff := cmp.Diff(want, named); diff != "" {
		t.Errorf("named files:\n%s", diff)
	}
	w.agrees()
	w.forgetStale() // a bug: nobody would ever take it down
	list, err := w.Contradictions(t.Context())
	w.must(err)
	if len(list) != 1 || !strings.Contains(list[0], "demo-1.0-py3-none-any.whl is withdrawn, and nobody writes the page of demo without it; publish --all does") {
		t.Errorf("contradictions: %q", list)
	}
	n, err := w.MarkAllStale(t.Context()) // the page and the root index: it mends that
	w.must(err)
	if n != 2 {
		t.Errorf("%d pages are stale", n)
	}
	w.agrees()
}

func TestNamedFiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("demo", "1.0")
	l, _ := w.claim("a", "r1")
	e := w.ending("a", l)
	e.Log = farm.File{SHA256: "a0" + strings.Repeat("f", 62), Size: 7}
	_, err := w.FinishBuilt(t.Context(), e, w.wheel("demo-1.0-py3-none-any.whl"))
	w.must(err)
	want := []store.NamedFile{
		{SHA256: e.Log.SHA256, Size: 7, Build: l.Build},
		{SHA256: strings.Repeat("a", 64), Size: 10, Wheel: "demo-1.0-py3-none-any.whl", Build: l.Build},
	}
	got, err := w.NamedFiles(t.Context(), "a")
	w.must(err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got, err := w.NamedFiles(t.Context(), "b"); err != nil || len(got) > 0 {
		t.Errorf("another digit: %v, %v", got, err)
	}
	got, err = w.StillNamed(t.Context(), []string{e.Log.SHA256, strings.Repeat("b", 64)})
	w.must(err)
	if diff := cmp.Diff(want[:1], got); diff != "" {
		t.Error(diff)
	}
}

func TestUnwritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(w.MarkStale(t.Context(), []string{"one", "two"}))
	since, err := w.Now(t.Context())
	w.must(err)
	w.must(w.MarkStale(t.Context(), []string{"one", "later"})) // one is still stale from before
	want := store.Unwritten{Pages: 2, First: []string{"one", "two"}}
	got, err := w.Unwritten(t.Context(), nil, since)
	w.must(err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	got, err = w.Unwritten(t.Context(), []string{"two", "later"}, since)
	w.must(err)
	if diff := cmp.Diff(store.Unwritten{Pages: 1, First: []string{"two"}}, got); diff != "" {
		t.Error(diff)
	}
	ages, err := w.StaleFor(t.Context())
	w.must(err)
	if len(ages) != 3 || ages["one"] <= 0 || ages["one"] < ages["later"] {
		t.Errorf("ages %v", ages)
	}
}
