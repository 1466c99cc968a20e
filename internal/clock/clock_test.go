package clock

import (
	"testing"
	"time"
)

func TestSkew(t *testing.T) {
	t.Parallel()
	for text, skew := range map[string]time.Duration{"": 0, "0s": 0, "26h": 26 * time.Hour, "-90s": -90 * time.Second} {
		now, err := parse(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		began := time.Now()
		if off := now().Sub(began.Add(skew)); off < 0 || off > time.Minute {
			t.Errorf("%q: the clock is off by %v more", text, off)
		}
		// Also read often, it is a clock that goes on by itself.
		if a, b := now(), now(); b.Before(a) {
			t.Errorf("%q: %v, then %v", text, a, b)
		}
	}
	for _, text := range []string{"tomorrow", "26", "1d"} {
		if _, err := parse(text); err == nil {
			t.Errorf("%q is taken for a duration", text)
		}
	}
}
