package ingest

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/pypi"
	"pinwheel/internal/store"
)

// TestSpelled: a project is shown as the newest event writes it, though its page has
// the normalized name only; what was not heard, the list of names tells.
func TestSpelled(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	r.begun()
	r.upstream.MustAdd(t, "-- Demo_Pkg==1.0 --\n-- plain==1.0 --\n")
	r.start()
	want := func(what, display string, spellings ...string) {
		t.Helper()
		r.until(what, func() bool {
			known, err := r.store.KnownProjects(t.Context(), []string{"demo-pkg"})
			r.must(err)
			k := known["demo-pkg"]
			return k.Display == display && cmp.Equal(k.Spellings, spellings)
		})
	}
	want("it is shown as it was released", "Demo_Pkg", "Demo_Pkg")
	r.upstream.MustAdd(t, "-- demo-pkg==1.1 --\n")
	want("a release writes it as its page does", "demo-pkg", "Demo_Pkg", "demo-pkg")
	r.must(r.upstream.Rename("demo-pkg", "DEMO.Pkg"))
	want("it is renamed", "DEMO.Pkg", "Demo_Pkg", "demo-pkg", "DEMO.Pkg")
	r.must(r.upstream.Yank("demo-pkg", "1.0", ""))
	r.until("the page is read again", func() bool {
		known, err := r.store.KnownProjects(t.Context(), []string{"demo-pkg"})
		r.must(err)
		return known["demo-pkg"].Releases[0].Yanked
	})
	want("it is shown as before", "DEMO.Pkg", "Demo_Pkg", "demo-pkg", "DEMO.Pkg")
	r.until("nothing is kept in memory", func() bool {
		r.spelled.mu.Lock()
		defer r.spelled.mu.Unlock()
		return len(r.spelled.by) == 0
	})
	r.db.Exec(`update packages set display = name`) // as after a backfill, or when the process died with what it had heard
	_, err := r.store.BeginWalk(t.Context(), walkNightly)
	r.must(err)
	wake(r.look)
	want("the list tells it", "DEMO.Pkg", "Demo_Pkg", "demo-pkg", "DEMO.Pkg")
}

// TestSpelledByPage: what the page itself tells counts for more than an older event, and
// one that only normalizes takes nothing back.
func TestSpelledByPage(t *testing.T) {
	t.Parallel()
	known := store.Known{ProjectFacts: store.ProjectFacts{Name: "demo", Display: "Demo"}}
	p := page()
	for _, c := range []struct {
		display string
		spelled bool
		want    string
	}{{"demo", false, "Demo"}, {"demo", true, "demo"}, {"DEMO", true, "DEMO"}, {"", false, "Demo"}} {
		p.Display, p.Spelled = c.display, c.spelled
		if got := projectFacts(known, p, true).Display; got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

// TestSpelledOnceUnchanged: a page that was read before the event that tells how its
// project is written comes only once.
func TestSpelledOnceUnchanged(t *testing.T) {
	t.Parallel()
	known := store.Known{ID: 1, ProjectFacts: store.ProjectFacts{Name: "demo", Display: "Demo", Status: statusActive}}
	for spelling, want := range map[string]string{"": "Demo", "Demo": "Demo", "demo": "demo"} {
		it := &task{known: known, unchanged: true, heard: heard{name: spelling}}
		a, err := it.agreement(newModel(t).env)
		if err != nil || a.Facts.Display != want || a.Page != (want != "Demo") {
			t.Errorf("%q: shown as %q, page %v, %v", spelling, a.Facts.Display, a.Page, err)
		}
	}
}

// TestSpelledAnew: an event that writes a name as one before it did is not forgotten with
// that one, and a project that an old page took away is written as before when it is back.
func TestSpelledAnew(t *testing.T) {
	t.Parallel()
	s := spelled{by: map[string]heard{}}
	event := func(serial int64) { s.hear([]pypi.Event{{Serial: serial, Name: "demo", Display: "Demo"}}, serial-1) }
	read := func() *task {
		it := &task{known: store.Known{ProjectFacts: store.ProjectFacts{Name: "demo", Display: "Demo"}}}
		s.spell(it, &pypi.Project{})
		return it
	}
	event(1)
	first := read()
	event(2)
	s.forget("demo", first.heard)
	if s.of("demo").name != "Demo" {
		t.Error("the second event is forgotten with the first")
	}
	second := read()
	s.forget("demo", second.heard)
	if s.of("demo").name != "" {
		t.Error("what is in the database is kept in memory")
	}
	s.remember(second)
	if third := read(); third.heard.name != "Demo" {
		t.Error("how a project was written that is gone is forgotten")
	}
	for _, serial := range []int64{1, 0} {
		s.remember(second)
		s.listed(serial)
		if len(s.by) != 0 {
			t.Errorf("a project that no list has is remembered after one of serial %d", serial)
		}
	}
}
