// Package clock is the time of day as one process sees it.
//
// Input: the variable PINWHEEL_CLOCK_SKEW of the environment. Output: a clock, for
// main to hand down; without the variable, which is always but in tests, it is
// time.Now. A farm must do with clocks that are wrong, since a Pi has none of its
// own before it has a network, and a test that set the machine's would be a test of
// everybody on it.
//
// It moves what is written down or compared with others' times. Durations stay
// right: they are measured by the monotonic clock, which is never wrong.
package clock

import (
	"fmt"
	"os"
	"time"
)

// Variable of the environment sets a process's clock wrong by a duration in Go's
// form, such as 26h or -90s.
const Variable = "PINWHEEL_CLOCK_SKEW"

// Now returns the clock of this process.
func Now() (func() time.Time, error) { return parse(os.Getenv(Variable)) }

func parse(text string) (func() time.Time, error) {
	if text == "" {
		return time.Now, nil
	}
	skew, err := time.ParseDuration(text)
	if err != nil {
		return nil, fmt.Errorf("%s=%q: want a duration such as 26h or -90s", Variable, text)
	}
	return func() time.Time { return time.Now().Add(skew) }, nil
}
