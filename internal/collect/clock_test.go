package collect

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestSharedClock follows the database's clock, which is five hours before ours,
// through an hour in which it is away.
func TestSharedClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const ahead = 5 * time.Hour
		questions, away := 0, true
		c := newSharedClock(func(context.Context) (time.Time, error) {
			if questions++; away {
				return time.Time{}, errors.New("away")
			}
			return time.Now().Add(ahead), nil
		})
		check := func(when string, want time.Duration, asked int) {
			t.Helper()
			if got := time.Until(c.now()); got != want || questions != asked {
				t.Errorf("%s: it is %v ahead after %d questions, want %v after %d", when, got, questions, want, asked)
			}
		}
		check("nobody has answered yet", 0, 1)
		away = false
		check("it is not asked at once again", 0, 1)
		time.Sleep(clockEvery)
		check("it has answered", ahead, 2)
		time.Sleep(clockEvery / 2)
		check("it goes on by itself", ahead, 2)
		away = true
		time.Sleep(clockEvery)
		check("it is away", ahead, 3)
		time.Sleep(time.Hour)
		check("it is away for long", ahead, 4)
	})
}
