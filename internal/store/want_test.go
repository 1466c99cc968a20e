package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// TestWant: names that are not followed come on the worklist, once.
func TestWant(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	byHand := w.fresh("hand")
	byHand.Facts.Followed = false
	w.agree(w.fresh("known"), byHand)
	_, err := w.Announce(t.Context(), []store.Reading{
		{Name: "event", Urgency: farm.UrgencyEvent, Serial: 5, Follow: true}, {Name: "aged", Urgency: farm.UrgencyAged}}, 0)
	w.must(err)
	got, err := w.Want(t.Context(), []string{"known", "new", "hand", "new", "event", "aged"}, "ada")
	w.must(err)
	if want := (store.Wanted{Followed: 1, Chosen: 4}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	want := []store.Reading{
		{Name: "event", Urgency: farm.UrgencyEvent, Serial: 5, Follow: true},
		{Name: "aged", Urgency: farm.UrgencyWalk, Follow: true, Revision: 1},
		{Name: "hand", Urgency: farm.UrgencyWalk, Follow: true},
		{Name: "new", Urgency: farm.UrgencyWalk, Follow: true},
	}
	taken := w.take(10)
	if diff := cmp.Diff(want, taken, cmpopts.IgnoreFields(store.Reading{}, "Since", "Due")); diff != "" {
		t.Error(diff)
	}
	// Asked for again, nothing that was read or put off is read again.
	w.agree(w.fresh("new"))
	w.must(w.PutOff(t.Context(), "hand", 0, 1, time.Hour, "its page does not parse"))
	_, err = w.Want(t.Context(), []string{"known", "new", "hand", "new", "event", "aged"}, "ada")
	w.must(err)
	if again := w.take(10); len(again) > 0 {
		t.Errorf("read again: %+v", again)
	}
}

// TestBackfillsAreAudited: who asked for how much, be it in pieces, or for everything.
func TestBackfillsAreAudited(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.agree(w.fresh("known"))
	names := []string{"known"}
	for i := range 12_000 {
		names = append(names, fmt.Sprintf("p%d", i))
	}
	_, err := w.Want(t.Context(), names, "ada")
	w.must(err)
	_, err = w.AskWalk(t.Context(), "backfill", "bob")
	w.must(err)
	notes, err := w.History(t.Context(), 2, true)
	w.must(err)
	want := []store.Note{
		{Actor: "bob", Action: "backfill", Subject: "all projects", Detail: map[string]any{"goes_on": false}},
		{Actor: "ada", Action: "backfill", Subject: "12001 names", Detail: map[string]any{"chosen": 12_000., "followed": 1.}},
	}
	if diff := cmp.Diff(want, notes, cmpopts.IgnoreFields(store.Note{}, "ID", "At")); diff != "" {
		t.Error(diff)
	}
}

// TestUnknown: what is neither known nor to be read, in order.
func TestUnknown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.agree(w.fresh("known"))
	w.announce(1, "coming")
	got, err := w.Unknown(t.Context(), []string{"typo", "known", "coming", "other", "typo"})
	w.must(err)
	if diff := cmp.Diff([]string{"other", "typo"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestStatusOfUpstream: what people are shown of following.
func TestStatusOfUpstream(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	st, err := w.Status(t.Context())
	w.must(err)
	empty := store.UpstreamStatus{
		Reading: []store.ReadingStatus{}, Troubled: []store.TroubledProject{}, Walks: []store.Walk{}, Faults: []store.UpstreamFault{},
	}
	if diff := cmp.Diff(empty, st.UpstreamStatus); diff != "" {
		t.Errorf("a new farm:\n%s", diff)
	}
	w.announce(7, "demo", "other")
	w.must(w.HeardUpstream(t.Context(), "changelog", ""))
	w.must(w.PutOff(t.Context(), "demo", 0, 1, time.Hour, "its page does not parse"))
	w.must(w.CountFaults(t.Context(), []store.UpstreamFault{{Kind: "not-json", Count: 2, Detail: "why"}}))
	for _, end := range []bool{true, true, false} {
		walk, err := w.BeginWalk(t.Context(), "backfill")
		w.must(err)
		if end {
			w.must(w.EndWalk(t.Context(), walk.ID, ""))
		}
	}
	walk, err := w.BeginWalk(t.Context(), "nightly")
	w.must(err)
	w.must(w.EndWalk(t.Context(), walk.ID, "100 names are missing"))
	st, err = w.Status(t.Context())
	w.must(err)
	if f := st.Following; f.Serial != 7 || f.Source != "changelog" || f.Asked == nil {
		t.Errorf("%+v", f)
	}
	if diff := cmp.Diff([]store.ReadingStatus{{Urgency: "event", Count: 2, Due: 1, Troubled: 1}}, st.Reading); diff != "" {
		t.Error(diff)
	}
	if len(st.Troubled) != 1 || st.Troubled[0].Package != "demo" || st.Troubled[0].Again < 3000 {
		t.Errorf("%+v", st.Troubled)
	}
	var walks []string
	for _, w := range st.Walks {
		walks = append(walks, w.Kind+w.Trouble)
	}
	if diff := cmp.Diff([]string{"backfill", "nightly100 names are missing"}, walks); diff != "" {
		t.Errorf("the walk that goes on, and the last of each other kind:\n%s", diff)
	}
	if len(st.Faults) != 1 || st.Faults[0].Count != 2 {
		t.Errorf("%+v", st.Faults)
	}
}
