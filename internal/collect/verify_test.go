package collect

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pinwheel/internal/farm"
	"pinwheel/internal/wheel"
)

// slow is a check of a file that takes as long as the test wants.
func slow(token, name string, runs *atomic.Int64, take time.Duration, err error) check {
	return check{token: token, file: farm.File{Name: name}, run: func(ctx context.Context) (wheel.Report, error) {
		runs.Add(1)
		select {
		case <-time.After(take):
			return wheel.Report{SHA256: name}, err
		case <-ctx.Done():
			return wheel.Report{}, ctx.Err()
		}
	}}
}

// ask waits for a check as long as a report may.
func ask(t *testing.T, c *checks, want check) (wheel.Report, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	return c.result(ctx, want)
}

// TestSlowCheckIsDoneOnce: reports that cannot wait for it find it further on,
// and at last done.
func TestSlowCheckIsDoneOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, runs := newChecks(1), new(atomic.Int64)
		defer c.close()
		want := slow("t", "big", runs, 100*time.Second, nil)
		start := time.Now()
		for time.Since(start) < 85*time.Second {
			if _, err := ask(t, c, want); !errors.Is(err, errNotChecked) {
				t.Fatalf("after %v: %v", time.Since(start), err)
			}
		}
		r, err := ask(t, c, want)
		if err != nil || r.SHA256 != "big" || time.Since(start) != 100*time.Second {
			t.Errorf("after %v: %+v, %v", time.Since(start), r, err)
		}
		// The report could not be committed: it comes once more, and need not wait.
		if _, err := ask(t, c, want); err != nil || runs.Load() != 1 || time.Since(start) != 100*time.Second {
			t.Errorf("after %v, with %d runs: %v", time.Since(start), runs.Load(), err)
		}
	})
}

// TestForgottenChecks: a result is kept until it was used, or for a while.
func TestForgottenChecks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, runs := newChecks(2), new(atomic.Int64)
		defer c.close()
		one, two := slow("1", "one", runs, time.Second, nil), slow("2", "two", runs, time.Second, nil)
		ask(t, c, one)
		c.forget("1")
		ask(t, c, one)
		if runs.Load() != 2 {
			t.Errorf("%d runs, want 2: the first result was used", runs.Load())
		}
		time.Sleep(keepChecked + time.Second) // in fake time
		ask(t, c, two)
		if len(c.all) != 1 {
			t.Errorf("%d results are kept", len(c.all))
		}
	})
}

// TestFailedCheckIsTriedAgain: an error tells of the depot, not of the wheel.
func TestFailedCheckIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, runs := newChecks(1), new(atomic.Int64)
		defer c.close()
		broken := errors.New("disk")
		if _, err := ask(t, c, slow("t", "x", runs, time.Second, broken)); !errors.Is(err, broken) {
			t.Errorf("error %v", err)
		}
		if _, err := ask(t, c, slow("t", "x", runs, time.Second, nil)); err != nil {
			t.Errorf("the next try: %v", err)
		}
	})
}

// TestOneCheckPerLease: whoever reports one file after another does not fill the
// master with work.
func TestOneCheckPerLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, runs := newChecks(8), new(atomic.Int64)
		defer c.close()
		first := c.join(slow("t", "0", runs, time.Hour, nil))
		for _, name := range []string{"1", "2", "3"} {
			if _, err := ask(t, c, slow("t", name, runs, 0, nil)); !errors.Is(err, errNotChecked) {
				t.Errorf("%s: %v", name, err)
			}
		}
		<-first.done
		if r, err := ask(t, c, slow("t", "4", runs, 0, nil)); err != nil || r.SHA256 != "4" || runs.Load() != 2 {
			t.Errorf("the next file: %+v, %v, %d runs", r, err, runs.Load())
		}
	})
}

// TestChecksTakeTurns: no more at once than there are processors.
func TestChecksTakeTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, runs := newChecks(2), new(atomic.Int64)
		defer c.close()
		for _, token := range []string{"1", "2", "3", "4", "5"} {
			c.join(slow(token, token, runs, time.Hour, nil))
		}
		for want := int64(2); want < 6; want += 2 {
			synctest.Wait()
			if runs.Load() != want {
				t.Errorf("%d are under way or done, want %d", runs.Load(), want)
			}
			time.Sleep(time.Hour) // in fake time
		}
	})
}

// TestCloseEndsChecks: also those that wait for their turn.
func TestCloseEndsChecks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, runs := newChecks(1), new(atomic.Int64)
		under := c.join(slow("1", "x", runs, time.Hour, nil))
		waits := c.join(slow("2", "x", runs, time.Hour, nil))
		start := time.Now()
		c.close()
		for _, x := range []*checked{under, waits} {
			if <-x.done; !errors.Is(x.err, context.Canceled) {
				t.Errorf("ended with %v", x.err)
			}
		}
		if time.Since(start) != 0 {
			t.Errorf("close took %v", time.Since(start))
		}
	})
}
