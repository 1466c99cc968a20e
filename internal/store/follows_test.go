package store_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// TestFollows: the words of one index are forgotten for another one, and what the
// farm has stays.
func TestFollows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	follows := func(index, want string) {
		t.Helper()
		if former, err := w.Follows(t.Context(), index, want); err != nil || former != want {
			t.Errorf("%s after %q, %v; want %q", index, former, err, want)
		}
	}
	follows("first", "")
	demo := w.fresh("demo", "1.0")
	demo.Facts.Serial, demo.Facts.ETag = 900, "e"
	w.agree(demo)
	w.must(w.SetSerial(t.Context(), 1000))
	w.must(w.Settle(t.Context(), store.SinceSetting, "0"))
	_, err := w.Announce(t.Context(), []store.Reading{{Name: "other", Urgency: farm.UrgencyEvent, Serial: 999, Gone: true, Follow: true}}, 0,
		store.Hold{Package: "demo", Version: "1.0", Held: true})
	w.must(err)
	follows("first", "")
	if at, err := w.Following(t.Context()); err != nil || at.Serial != 1000 {
		t.Errorf("the same index: %+v, %v", at, err)
	}
	for _, leaves := range []string{"", "second", "third"} {
		if _, err := w.Follows(t.Context(), "second", leaves); !errors.Is(err, farm.ErrConflict) {
			t.Errorf("another index, though %q is what it leaves: %v", leaves, err)
		}
	}
	if known := w.known("demo"); known.Serial != 900 || len(known.Held) != 1 {
		t.Errorf("a refusal forgets: %+v", known)
	}
	follows("second", "first")
	at, err := w.Following(t.Context())
	w.must(err)
	if diff := cmp.Diff(store.Following{}, at); diff != "" {
		t.Errorf("following:\n%s", diff)
	}
	known := w.known("demo")
	if known.Serial != 0 || known.ETag != "" || !known.Read.IsZero() || len(known.Releases) == 0 || len(known.Held) > 0 {
		t.Errorf("%+v", known)
	}
	want := []store.Reading{{Name: "other", Urgency: farm.UrgencyEvent, Follow: true, Revision: 1}}
	if diff := cmp.Diff(want, w.take(10), cmpopts.IgnoreFields(store.Reading{}, "Since", "Due")); diff != "" {
		t.Errorf("to be read:\n%s", diff)
	}
	if since, err := w.Settled(t.Context(), store.SinceSetting); err != nil || since != "" {
		t.Errorf("since %q, %v", since, err)
	}
	// It had everything of the first one, so it takes everything of the second.
	walks, err := w.Walks(t.Context(), 10)
	w.must(err)
	if len(walks) != 1 || walks[0].Kind != "backfill" || walks[0].Ended != nil {
		t.Errorf("%+v", walks)
	}
	w.must(w.SetSerial(t.Context(), 7))
}
