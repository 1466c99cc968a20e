package dispatch

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"pinwheel/internal/service"
)

const lease = 90 * time.Second

// night is a sweeper at work in fake time, with a world that can go away.
type night struct {
	mu     sync.Mutex
	start  time.Time
	err    error         // of the database
	hangs  time.Duration // that a ping takes
	cut    bool          // nobody can reach us
	skew   time.Duration // of the wall clock
	broken error         // of taking
	taken  []time.Duration
}

var errAway = errors.New("away")

// run has the sweeper work for a while; at changes the world at given times.
func (n *night) run(t *testing.T, until time.Duration, at map[time.Duration]func()) {
	t.Helper()
	n.start = time.Now()
	s := newSweeper(lease, func() time.Time { return time.Now().Add(look(n, &n.skew)) })
	s.ping = func(context.Context) error {
		time.Sleep(look(n, &n.hangs))
		return look(n, &n.err)
	}
	s.wire = func() bool { return !look(n, &n.cut) }
	s.take = func(context.Context) error {
		err := look(n, &n.broken)
		if err == nil {
			n.taken = append(n.taken, time.Since(n.start))
		}
		return err
	}
	for when, change := range at {
		time.AfterFunc(when, func() {
			n.mu.Lock()
			defer n.mu.Unlock()
			change()
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), until)
	defer cancel()
	if err := (service.Loop{Every: lease / 10, Log: zerolog.Nop(), Do: s.round}).Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func look[T any](n *night, field *T) T {
	n.mu.Lock()
	defer n.mu.Unlock()
	return *field
}

// wantPause wants nothing to be taken in a time, and something soon after it.
func (n *night) wantPause(t *testing.T, from, to time.Duration) {
	t.Helper()
	resumed := time.Duration(-1)
	for _, at := range n.taken {
		if at > from && at < to {
			t.Errorf("taken at %v, between %v and %v", at, from, to)
		}
		if at >= to && resumed < 0 {
			resumed = at
		}
	}
	// A tenth of a lease is a round; a round that failed may be followed by a pause
	// of up to 45 s.
	if resumed < 0 || resumed > to+lease {
		t.Errorf("taken again at %v, want soon after %v", resumed, to)
	}
}

// TestSweepPauses: after the start, and after each end of an outage, slaves have
// a whole lease.
func TestSweepPauses(t *testing.T) {
	t.Parallel()
	const begin, end = 10 * time.Minute, 15 * time.Minute
	cases := []struct {
		name        string
		begin, end  func(*night)
		from, until time.Duration
	}{
		{"the start", func(*night) {}, func(*night) {}, 0, lease},
		{"the database is away", func(n *night) { n.err = errAway }, func(n *night) { n.err = nil }, begin, end + lease},
		{"nobody can reach us", func(n *night) { n.cut = true }, func(n *night) { n.cut = false }, begin, end + lease},
		// Found out by a ping that was answered in the end.
		{"the database hangs", func(n *night) { n.hangs = end - begin }, func(n *night) { n.hangs = 0 }, begin + lease/10, end + lease},
		{"the machine slept", func(n *night) { n.skew = time.Hour }, func(*night) {}, begin, begin + lease},
		{"the clock was set back", func(n *night) { n.skew = -time.Hour }, func(*night) {}, begin, begin + lease},
		{"nothing can be taken", func(n *night) { n.broken = errAway }, func(n *night) { n.broken = nil }, begin, end},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var n night
				n.run(t, 30*time.Minute, map[time.Duration]func(){
					begin: func() { c.begin(&n) }, end: func() { c.end(&n) },
				})
				n.wantPause(t, c.from, c.until)
			})
		})
	}
}

// TestSweepGoesOn: a moment of trouble between two rounds is none, and without
// trouble every round takes.
func TestSweepGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var n night
		n.run(t, 20*time.Minute, map[time.Duration]func(){
			5 * time.Minute: func() { n.skew = lease / 5 }, // less than what slaves have to spare
		})
		for i := 1; i < len(n.taken); i++ {
			if d := n.taken[i] - n.taken[i-1]; d != lease/10 {
				t.Errorf("%v between rounds at %v", d, n.taken[i])
			}
		}
		if len(n.taken) < 120 {
			t.Errorf("%d rounds", len(n.taken))
		}
	})
}
