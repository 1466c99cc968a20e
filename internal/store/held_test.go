package store_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/store"
)

func (w *world) held(name string) []string { return w.known(name).Held }

// TestHolds: the upstream's word on releases is kept with the serial that it came
// with, until its next one.
func TestHolds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.agree(w.fresh("demo", "1.0"), w.fresh("other", "1.0"))
	begin := func(name, version string) store.Hold { return store.Hold{Package: name, Version: version, Held: true} }
	end := func(name, version string) store.Hold { return store.Hold{Package: name, Version: version} }
	steps := []struct {
		what        string
		words       []store.Hold
		demo, other []string
	}{
		{"nothing", nil, nil, nil},
		{"one, twice", []store.Hold{begin("demo", "1.0"), begin("demo", "1.0")}, []string{"1.0"}, nil},
		{"the same again, and another", []store.Hold{begin("demo", "1.0"), begin("demo", "1.1"), begin("other", "1.0")}, []string{"1.0", "1.1"}, []string{"1.0"}},
		{"one ends, and what was none", []store.Hold{end("demo", "1.0"), end("demo", "7")}, []string{"1.1"}, []string{"1.0"}},
		{"the last word counts", []store.Hold{end("demo", "1.1"), begin("demo", "1.1"), begin("demo", "2"), end("demo", "2")}, []string{"1.1"}, []string{"1.0"}},
		{"a project ends and begins anew", []store.Hold{begin("demo", "3"), end("demo", ""), begin("demo", "1.0")}, []string{"1.0"}, []string{"1.0"}},
		{"all of it", []store.Hold{end("demo", ""), end("other", "")}, nil, nil},
	}
	for i, s := range steps {
		_, err := w.Announce(t.Context(), []store.Reading{{Name: "demo", Serial: int64(i)}}, int64(i), s.words...)
		w.must(err)
		if diff := cmp.Diff([][]string{s.demo, s.other}, [][]string{w.held("demo"), w.held("other")}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", s.what, diff)
		}
	}
	if k := w.known("demo"); k.Heard != 0 || k.Announced != 6 {
		t.Errorf("without a changelog: heard %d, announced %d", k.Heard, k.Announced)
	}
	w.must(w.HeardUpstream(t.Context(), "changelog", ""))
	if k := w.known("demo"); k.Heard != 6 || k.Announced != 6 {
		t.Errorf("heard %d, announced %d", k.Heard, k.Announced)
	}
	if k := w.known("other"); k.Heard != 6 || k.Announced != 0 {
		t.Errorf("the other: heard %d, announced %d", k.Heard, k.Announced)
	}
}

// TestHeldRelease: what is held back is known of the release, and its page offers
// nothing of it.
func TestHeldRelease(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.agree(w.fresh("demo", "1.0"))
	l, _ := w.claim("a", "r1")
	_, err := w.FinishBuilt(t.Context(), w.ending("a", l), w.wheel("demo-1.0-py3-none-any.whl"))
	w.must(err)
	held := func(want bool) {
		t.Helper()
		k := w.known("demo")
		a := change(k)
		a.Update = []store.KnownRelease{k.Releases[0]}
		a.Update[0].Quarantined = want
		w.agree(a)
		facts := k.Releases[0].ReleaseFacts
		facts.Quarantined = want
		if diff := cmp.Diff(facts, w.known("demo").Releases[0].ReleaseFacts); diff != "" {
			t.Errorf("facts (-want +got):\n%s", diff)
		}
		page, err := w.Page(t.Context(), "demo")
		w.must(err)
		if len(page.Wheels) != 1 || page.Wheels[0].Quarantined != want || len(page.Offered()) == 1 == want {
			t.Errorf("held %v: %d wheels, %d offered", want, len(page.Wheels), len(page.Offered()))
		}
	}
	held(true)
	held(false)
	w.agrees()
}
