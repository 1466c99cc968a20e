package main

import (
	"testing"
	"time"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// TestClause: what a job waits for is told in a sentence.
func TestClause(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)
	for want, x := range map[string]whyTarget{
		"which waits, since 2 d: it is built with numpy": {State: farm.Waiting, Since: now.AddDate(0, 0, -2), Reason: "it is built with numpy"},
		"which is queued 2 d ago":                        {State: farm.Queued, Since: now.AddDate(0, 0, -2)},
		"which has no job":                               {},
	} {
		if got := x.clause(teller{now: now}); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestStanding: jobs that cannot be requeued are counted by what they are, and not
// told of by the first of them.
func TestStanding(t *testing.T) {
	t.Parallel()
	for want, jobs := range map[string][]store.JobRow{
		"2 are skipped (by hand: big (ada)), 1 is built": {
			{State: farm.Built}, {State: farm.Skipped, Reason: "by hand: big (ada)"}, {State: farm.Skipped, Reason: "by hand: big (ada)"}},
		"3 are waiting, 1 is leased": {
			{State: farm.Waiting, Reason: "a"}, {State: farm.Waiting, Reason: "b"}, {State: farm.Waiting, Reason: "b"}, {State: farm.Leased}},
	} {
		if got := standing(jobs); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestUnskipCommand: the remedy lifts what keeps this job from being built, and not what
// was said of other versions and targets.
func TestUnskipCommand(t *testing.T) {
	t.Parallel()
	const v7, v13 = "cp311-linux_armv7l", "cp313-linux_armv7l"
	for want, skips := range map[string][]store.Skip{
		"master unskip lxml":                                             {{}, {Version: "4.1"}},
		"master unskip lxml 4.1":                                         {{Version: "4.0"}, {Version: "4.1"}, {Version: "4.1", Target: v13}},
		"master unskip lxml 4.1 --target " + v7:                          {{Target: v13}, {Version: "4.1", Target: v7}},
		"master unskip lxml --target " + v7 + "; master unskip lxml 4.1": {{Target: v7}, {Version: "4.1"}, {Version: "4.1", Target: v7}},
		"master unskip lxml 4.1.0":                                       {{Version: "4.1.0"}, {Version: "4.1.0", Target: v7}},
		"master unskip lxml --target " + v7:                              {{Target: v7}, {Version: "4.1", Target: v7}},
	} {
		a := whyAnswer{Package: "lxml", Skips: skips}
		if got := a.unskip("4.1", v7); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
