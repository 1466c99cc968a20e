package store_test

import (
	"testing"
	"time"
)

// TestTally: what is counted quickly is counted anew for everybody; what takes long
// is kept, told with its time, and counted again when it is old for that.
func TestTally(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tally := func(want bool) {
		t.Helper()
		if fresh, err := w.Tally(t.Context()); err != nil || fresh != want {
			t.Fatalf("counted: %v, %v; want %v", fresh, err, want)
		}
	}
	queued := func(want int64, kept bool) {
		t.Helper()
		st, err := w.Status(t.Context())
		w.must(err)
		if got := st.Jobs[target.String()]["queued"]; got != want || kept != (st.Counted != nil) {
			t.Errorf("%d jobs, counted at %v; want %d, kept: %v", got, st.Counted, want, kept)
		}
	}
	w.add("demo", "1.0")
	queued(1, false)
	tally(true)
	w.add("demo", "1.0", "2.0")
	queued(2, false)
	tally(false)

	took := func(took, ago time.Duration) {
		t.Helper()
		w.must(w.exec(`update tally set took = $1, counted_at = now() - $2::interval,
			counts = jsonb_set(counts, '{releases}', '8000000')`, took, ago))
	}
	w.must(w.exec(`update tally set took = '1 s'`))
	queued(2, false) // on a busy machine
	took(3*time.Second, 6*time.Minute)
	tally(false) // nobody has looked
	took(3*time.Second, 2*time.Minute)
	queued(1, true)
	tally(false)
	took(3*time.Second, 6*time.Minute)
	tally(true)
	queued(2, false)
	took(time.Minute, 3*time.Hour) // where counting takes long, no visitor must do it
	queued(2, true)
	took(3*time.Second, 2*time.Hour) // by a daemon that ended
	w.add("demo", "1.0", "2.0", "3.0")
	queued(3, false)
}
