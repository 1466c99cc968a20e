package farm

import (
	"slices"
	"testing"
)

// TestMoves is what the stages do, one row each. That the whole table agrees
// with docs/architecture.md is tested in package architecture.
func TestMoves(t *testing.T) {
	t.Parallel()
	cases := []struct {
		what     string
		from, to State
		legal    bool
	}{
		{"a slave takes it", Queued, Leased, true},
		{"a good wheel arrives", Leased, Built, true},
		{"a failure arrives", Leased, Failed, true},
		{"the lease is lost", Leased, Queued, true},
		{"another target's wheel serves it", Leased, Covered, true},
		{"good work after its lease was lost", Queued, Built, true},
		{"good work for one that waits again", Waiting, Built, true},
		{"good work after it was given up", Failed, Built, true},
		{"a maintainer tries again", Failed, Queued, true},
		{"the reason to skip it falls", Skipped, Queued, true},
		{"the wheel that covered it goes", Covered, Queued, true},
		{"the policy changes its mind about upstream wheels", Covered, Skipped, true},
		{"and again", Skipped, Covered, true},
		{"the sdist of which it failed was replaced by one that is not for this Python", Failed, Skipped, true},

		{"a failure without a lease", Queued, Failed, false},
		{"a published wheel is taken back by a failure", Built, Failed, false},
		{"a lease of what has ended", Built, Leased, false},
		{"a lease of what failed", Failed, Leased, false},
		{"a lease of what was skipped", Skipped, Leased, false},
		{"a lease of what waits", Waiting, Leased, false},
		{"a wheel for what was skipped", Skipped, Built, false},
		{"to nowhere", Queued, "lost", false},
		{"from nowhere", "lost", Queued, false},
	}
	for _, c := range cases {
		if got := CanMove(c.from, c.to); got != c.legal {
			t.Errorf("%s (%s → %s): legal is %v", c.what, c.from, c.to, got)
		}
	}
}

func TestMovesAreAmongTheStates(t *testing.T) {
	t.Parallel()
	for _, from := range States() {
		for _, to := range moves(from) {
			if !slices.Contains(States(), to) || to == from {
				t.Errorf("%s may become %q", from, to)
			}
		}
		// Nothing is a dead end: what a job came to is never for ever.
		if len(moves(from)) == 0 {
			t.Errorf("%s is left by no move", from)
		}
		if from.Ended() && !CanMove(from, Queued) {
			t.Errorf("%s has ended, and cannot be queued again", from)
		}
	}
}

func TestParseState(t *testing.T) {
	t.Parallel()
	for _, s := range States() {
		if got, err := ParseState(string(s)); err != nil || got != s {
			t.Errorf("%s: %q, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "Queued", "lost", "queued "} {
		if got, err := ParseState(s); err == nil {
			t.Errorf("%q is %q", s, got)
		}
	}
}

func TestPrioritiesAreInOrder(t *testing.T) {
	t.Parallel()
	order := []Priority{PriorityOperator, PriorityNew, PriorityWanted, PriorityBacklog, PriorityUpstream, PriorityYanked, PriorityLast}
	if !slices.IsSorted(order) || len(slices.Compact(slices.Clone(order))) != len(order) {
		t.Errorf("%v: lower must be sooner", order)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for _, c := range Causes() {
		want := !slices.Contains([]Cause{SlaveLost, SlaveFault, Disk, Network, UpstreamFault}, c)
		if c.PackageFault() != want {
			t.Errorf("%s counts against the package: %v", c, !want)
		}
		if !c.Valid() {
			t.Errorf("%s is not valid", c)
		}
	}
	for _, c := range []Cause{"", "Timeout", "bored"} {
		if c.Valid() {
			t.Errorf("%q is valid", c)
		}
	}
}
