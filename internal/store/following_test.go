package store_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// TestSerialOnlyMovesForward: by no way does it go back, not even past the store.
func TestSerialOnlyMovesForward(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(w.SetSerial(t.Context(), 10))
	w.must(w.SetSerial(t.Context(), 10))
	if err := w.SetSerial(t.Context(), 9); !errors.Is(err, farm.ErrConflict) {
		t.Errorf("back to 9: %v", err)
	}
	w.announce(5, "demo")
	if err := w.exec(`update following set serial = 3`); err == nil {
		t.Error("the schema lets it go back")
	}
	f, err := w.Following(t.Context())
	w.must(err)
	if f.Serial != 10 {
		t.Errorf("the serial is %d", f.Serial)
	}
}

func TestHeardUpstream(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(w.HeardUpstream(t.Context(), "changelog", ""))
	before, err := w.Following(t.Context())
	w.must(err)
	w.must(w.HeardUpstream(t.Context(), "serials", "it answers 503"))
	w.must(w.SetNamesETag(t.Context(), `"e"`))
	after, err := w.Following(t.Context())
	w.must(err)
	if before.Source != "changelog" || before.Asked == nil || before.Trouble != "" {
		t.Errorf("an answer: %+v", before)
	}
	want := store.Following{Source: "serials", Changelog: true, Asked: before.Asked, Trouble: "it answers 503", NamesETag: `"e"`}
	if diff := cmp.Diff(want, after); diff != "" {
		t.Errorf("a trouble:\n%s", diff)
	}
	for what, gone := range map[string]func() error{
		"it has none":        func() error { return w.NoChangelog(t.Context()) },
		"not heard for long": func() error { return w.exec(`update following set changelog_at = now() - interval '25 hours'`) },
	} {
		w.must(gone())
		if at, err := w.Following(t.Context()); err != nil || at.Changelog {
			t.Errorf("%s: %+v, %v", what, at, err)
		}
		w.must(w.HeardUpstream(t.Context(), "changelog", ""))
	}
	if err := w.HeardUpstream(t.Context(), "rumour", ""); err == nil {
		t.Error("a source that there is not is kept")
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(w.CountFaults(t.Context(), nil))
	w.must(w.CountFaults(t.Context(), []store.UpstreamFault{
		{Kind: "not-json", Count: 1, Detail: "one"}, {Kind: "truncated", Count: 1}, {Kind: "not-json", Count: 2, Detail: "two"}}))
	w.must(w.CountFaults(t.Context(), []store.UpstreamFault{{Kind: "not-json", Count: 4, Detail: "three"}}))
	got, err := w.Faults(t.Context())
	w.must(err)
	want := []store.UpstreamFault{{Kind: "not-json", Count: 7, Detail: "three"}, {Kind: "truncated", Count: 1}}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(store.UpstreamFault{}, "Last")); diff != "" {
		t.Error(diff)
	}
}

func TestSkips(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(w.exec(`
insert into skips (package, version, target, reason, author) values
    ('demo', '1.0', '', 'broken', 'ann'), ('demo', '', 'cp311-linux_x86_64', 'too big', 'bob'), ('other', '', '', 'no', 'ann')`))
	got, err := w.Skips(t.Context(), []string{"demo", "none"})
	w.must(err)
	want := []store.Skip{{Package: "demo", Target: "cp311-linux_x86_64", Reason: "too big", Author: "bob"},
		{Package: "demo", Version: "1.0", Reason: "broken", Author: "ann"}}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(store.Skip{}, "At")); diff != "" {
		t.Error(diff)
	}
}
