package publish

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestPatience(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	p := newPatience(func() time.Time { return now })
	if !p.due("foo") {
		t.Error("a page that never failed is not due")
	}
	var pauses []time.Duration
	for range 9 {
		pause := p.failed("foo")
		pauses = append(pauses, pause)
		if p.due("foo") || !p.due("bar") {
			t.Errorf("after %v: foo due %v, bar due %v", pause, p.due("foo"), p.due("bar"))
		}
		now = now.Add(pause)
		if !p.due("foo") {
			t.Errorf("not due after its pause of %v", pause)
		}
	}
	if pauses[0] != firstPause || pauses[1] != 2*firstPause || pauses[8] != longPause {
		t.Errorf("pauses %v", pauses)
	}
	p.succeeded("foo")
	if p.failed("foo") != firstPause || p.size() != 1 {
		t.Error("success did not forget the failures")
	}
}

func TestPace(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	p := pace{every: time.Minute}
	if got := p.left(now); got != 0 {
		t.Errorf("the first waits %v", got)
	}
	p.start(now)
	for after, want := range map[time.Duration]time.Duration{
		0: time.Minute, 20 * time.Second: 40 * time.Second, time.Minute: 0, time.Hour: 0,
	} {
		if got := p.left(now.Add(after)); got != want {
			t.Errorf("after %v: %v left, want %v", after, got, want)
		}
	}
}

// TestRootWaits holds the root index to its pace, on a clock of the test's own.
func TestRootWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &Publisher{cfg: Config{Now: time.Now}, pace: pace{every: time.Minute}}
		p.pace.start(time.Now())
		// The context ends just before the minute does: the database, which is
		// not there, is never asked.
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute-time.Nanosecond)
		defer cancel()
		if err := p.writeStaleRoot(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}
