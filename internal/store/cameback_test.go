package store_test

import (
	"testing"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// TestReadingComesBack: who took a project long ago, and writes it now, does not take
// what was announced since off the worklist, though the row that it took is gone and
// the new one looks the same.
func TestReadingComesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	announce := func(serial int64) {
		_, err := w.Announce(t.Context(), []store.Reading{{Name: "demo", Urgency: farm.UrgencyEvent, Serial: serial}}, serial)
		w.must(err)
	}
	agree := func(taken []store.Reading) {
		_, err := w.Agree(t.Context(), nil, taken)
		w.must(err)
	}
	announce(1)
	taken := w.take(1)
	agree(taken)
	announce(2)
	agree(taken)
	left := w.take(1)
	if len(left) != 1 || left[0].Serial != 2 || left[0].Revision != taken[0].Revision {
		t.Errorf("on the worklist is %+v, want serial 2; taken was %+v", left, taken)
	}
}
