package store_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
	"pinwheel/internal/storetest"
)

func TestBuiltPublishesOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("demo", "1.0")
	l, _ := w.claim("a", "r1")
	for i := range 2 {
		res, err := w.FinishBuilt(t.Context(), w.ending("a", l), w.wheel("demo-1.0-py3-none-any.whl"))
		w.must(err)
		if res.Counted != (i == 0) {
			t.Errorf("report %d: counted = %v", i, res.Counted)
		}
	}
	if got := w.state("demo", "1.0").State; got != farm.Built {
		t.Errorf("state %s", got)
	}
	page, err := w.Page(t.Context(), "demo")
	w.must(err)
	if len(page.Wheels) != 1 {
		t.Errorf("%d wheels", len(page.Wheels))
	}
	stale, err := w.StalePages(t.Context(), 10)
	w.must(err)
	if len(stale) != 2 || stale[0].Scope != "demo" || stale[1].Scope != store.RootScope {
		t.Errorf("stale pages: %v", stale)
	}
}

// TestOnlyTheFirstWheelMarksTheRoot: the next one of a package changes its page,
// not the list of packages.
func TestOnlyTheFirstWheelMarksTheRoot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i, want := range []string{"demo+root", "demo"} {
		version := strconv.Itoa(i+1) + ".0"
		w.add("demo", version)
		l, ok := w.claim("a", version)
		if !ok {
			t.Fatal("no lease")
		}
		_, err := w.FinishBuilt(t.Context(), w.ending("a", l), w.wheel("demo-"+version+"-py3-none-any.whl"))
		w.must(err)
		root, err := w.StaleRoot(t.Context())
		w.must(err)
		pages, err := w.StalePages(t.Context(), 10)
		w.must(err)
		got := pages[0].Scope
		if root != nil {
			got += "+root"
		}
		if got != want {
			t.Errorf("wheel %d: stale %s, want %s", i+1, got, want)
		}
		w.must(w.PagesWritten(t.Context(), pages...))
	}
}

func TestKnownNameIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("demo", "1.0")
	w.must(w.exec(`insert into published_names values ('demo-1.0-py3-none-any.whl', repeat('c', 64), 5)`))
	l, _ := w.claim("a", "r1")
	_, err := w.FinishBuilt(t.Context(), w.ending("a", l), w.wheel("demo-1.0-py3-none-any.whl"))
	if !errors.Is(err, farm.ErrConflict) {
		t.Fatalf("error %v, want a conflict", err)
	}
	if got := w.state("demo", "1.0").State; got != farm.Leased {
		t.Errorf("state %s: a refused report must change nothing", got)
	}
}

func TestPublishedNamesAreForEver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(w.exec(`insert into published_names values ('x.whl', repeat('c', 64), 5)`))
	for _, q := range []string{`delete from published_names`, `update published_names set size = 6`, `truncate published_names cascade`} {
		if err := w.exec(q); err == nil {
			t.Errorf("%s was allowed", q)
		}
	}
}

// TestPureWheelCoversTheNextTarget: two targets that build the same file name.
func TestPureWheelCoversTheNextTarget(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	next := farm.Target{ABI: "cp313", Platform: "linux_x86_64"}
	w.must(w.AddTarget(t.Context(), next, farm.Facts{}, "test"))
	w.add("demo", "1.0")
	storetest.Release(t, w.Store, "demo", next, store.ReleaseFacts{Version: "1.0", Raw: "1.0"})
	rows, err := w.Targets(t.Context())
	w.must(err)
	first, _ := w.claim("a", "r1")
	second, _, err := w.Claim(t.Context(), store.ClaimRequest{Slave: w.slaves["b"], Request: "r", Token: "second", Targets: []int64{rows[1].ID}, Length: time.Minute})
	w.must(err)
	name := "demo-1.0-py3-none-any.whl"
	_, err = w.FinishBuilt(t.Context(), w.ending("a", first), w.wheel(name))
	w.must(err)
	other := w.wheel(name)
	other.File.SHA256 = strings.Repeat("d", 64)
	res, err := w.FinishBuilt(t.Context(), w.ending("b", second), other)
	w.must(err)
	if res.State != farm.Covered {
		t.Errorf("the next target's job is %s", res.State)
	}
}

func TestStalePageChangedMeanwhileStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.MarkAllStale(t.Context())
	w.must(err)
	before, err := w.StalePages(t.Context(), 1)
	w.must(err)
	_, err = w.MarkAllStale(t.Context())
	w.must(err)
	w.must(w.PagesWritten(t.Context(), before[0]))
	after, err := w.StalePages(t.Context(), 1)
	w.must(err)
	if len(after) != 1 {
		t.Fatal("a page that changed while it was written was forgotten")
	}
	w.must(w.PagesWritten(t.Context(), after[0]))
	left, err := w.StalePages(t.Context(), 1)
	w.must(err)
	if len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}
