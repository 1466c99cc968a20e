package service

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"pinwheel/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

var errBroken = errors.New("broken")

// untilDone is a part that does as it is told.
func untilDone(name string) Part {
	return Part{Name: name, Run: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
}

func TestRunAll(t *testing.T) {
	t.Parallel()
	// sulks answers the end of the others with an error of its own.
	sulks := Part{Name: "sulks", Run: func(ctx context.Context) error { <-ctx.Done(); return errors.New("sulking") }}
	cases := []struct {
		name string
		part Part
		want string
	}{
		{"one breaks", Part{Name: "web", Run: func(context.Context) error { return errBroken }}, "web: broken"},
		{"one just returns", Part{Name: "web", Run: func(context.Context) error { return nil }}, "web: ended by itself"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := RunAll(t.Context(), untilDone("listen"), c.part, sulks)
			if err == nil || err.Error() != c.want {
				t.Errorf("error %v, want %s", err, c.want)
			}
		})
	}
}

func TestRunAllEndsQuietly(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	started := make(chan struct{})
	signals := Part{Name: "signals", Run: func(ctx context.Context) error { close(started); <-ctx.Done(); return errBroken }}
	go func() { <-started; cancel() }()
	if err := RunAll(ctx, untilDone("listen"), signals); err != nil {
		t.Errorf("an end that was asked for is an error: %v", err)
	}
}

// rounds runs a loop in fake time and says at which times its rounds began.
func rounds(t *testing.T, l Loop, until time.Duration, fails func(round int) bool) (at []time.Duration) {
	t.Helper()
	start := time.Now()
	l.Do = func(context.Context) error {
		at = append(at, time.Since(start))
		if fails(len(at)) {
			return errBroken
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(t.Context(), until)
	defer cancel()
	if err := l.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the loop ended with %v", err)
	}
	return at
}

func TestLoopPausesBetweenRounds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		at := rounds(t, Loop{Every: time.Minute, Log: zerolog.Nop()}, 10*time.Minute, func(int) bool { return false })
		if len(at) != 10 {
			t.Fatalf("%d rounds in 10 minutes: %v", len(at), at)
		}
		if at[0] > 6*time.Second {
			t.Errorf("the first round came after %v, the jitter is a tenth of a minute", at[0])
		}
		for i := 1; i < len(at); i++ {
			if d := at[i] - at[i-1]; d != time.Minute {
				t.Errorf("round %d came after %v", i, d)
			}
		}
	})
}

// TestLoopStartsAtDifferentTimes: masters that start together drift apart.
func TestLoopStartsAtDifferentTimes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		first := map[time.Duration]bool{}
		for range 5 {
			first[rounds(t, Loop{Every: time.Hour, Log: zerolog.Nop()}, time.Hour/2, func(int) bool { return false })[0]] = true
		}
		if len(first) < 2 {
			t.Errorf("five loops all began after %v", first)
		}
	})
}

// TestLoopBacksOff: pauses after failures grow to a bound, and begin small again
// after a good round.
func TestLoopBacksOff(t *testing.T) {
	t.Parallel()
	const bad = 20
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		l := Loop{Every: time.Hour, Log: zerolog.New(&log)}
		at := rounds(t, l, 3*time.Hour, func(round int) bool { return round <= bad || round == bad+2 })
		pause := func(round int) time.Duration { return at[round] - at[round-1] } // after the round, counted from 1
		if first := pause(1); first < firstPause/2 || first > firstPause*3/2 {
			t.Errorf("the first pause is %v", first)
		}
		if late := pause(bad); late < longPause/2 || late > longPause*3/2 {
			t.Errorf("the last pause is %v", late)
		}
		if good := pause(bad + 1); good != time.Hour {
			t.Errorf("after a good round: %v", good)
		}
		if again := pause(bad + 2); again > firstPause*3/2 {
			t.Errorf("after a new failure: %v", again)
		}
		if n := strings.Count(log.String(), "round failed"); n != bad+1 {
			t.Errorf("%d failures logged, want %d", n, bad+1)
		}
	})
}

func TestLoopIsWoken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		wake := make(chan struct{})
		done := make(chan int)
		n := 0
		ctx, cancel := context.WithCancel(t.Context())
		l := Loop{Every: 24 * time.Hour, Wake: wake, Log: zerolog.Nop(), Do: func(context.Context) error {
			n++
			done <- n
			return errBroken // a wake-up ends the pause after a failure too
		}}
		ended := make(chan error)
		go func() { ended <- l.Run(ctx) }()
		start := time.Now()
		for want := 1; want <= 3; want++ {
			wake <- struct{}{}
			if got := <-done; got != want {
				t.Errorf("round %d, want %d", got, want)
			}
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("three wake-ups took %v", d)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
	})
}

// TestLoopSaysNothingAtTheEnd: a round that fails because the loop is to end is
// no failure.
func TestLoopSaysNothingAtTheEnd(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	l := Loop{Log: zerolog.New(&log), Do: func(ctx context.Context) error { cancel(); return ctx.Err() }}
	if err := l.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	if log.Len() > 0 {
		t.Errorf("logged %s", &log)
	}
}

// TestSignals is not parallel: signals belong to the whole process.
func TestSignals(t *testing.T) {
	drain, abandon, stop := Signals(t.Context())
	defer stop() // twice is harmless
	send := func(sig syscall.Signal) {
		if err := syscall.Kill(syscall.Getpid(), sig); err != nil {
			t.Fatal(err)
		}
	}
	send(syscall.SIGTERM)
	<-drain.Done()
	if abandon.Err() != nil {
		t.Fatal("the first signal ended both contexts")
	}
	send(syscall.SIGINT)
	<-abandon.Done()
	stop()
}

func TestSignalsEndWithTheirContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	drain, abandon, stop := Signals(ctx)
	defer stop()
	cancel()
	<-drain.Done()
	<-abandon.Done()
}

// TestStopEndsBoth: whoever waits for a context is let go.
func TestStopEndsBoth(t *testing.T) {
	drain, abandon, stop := Signals(t.Context())
	stop()
	if drain.Err() == nil || abandon.Err() == nil {
		t.Error("a context outlives stop")
	}
}
