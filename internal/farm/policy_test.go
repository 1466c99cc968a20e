package farm

import (
	"cmp"
	"testing"
	"time"
)

// TestDecide is the policy, one row for each thing that may be said of a release:
// what is given, and what becomes of it.
func TestDecide(t *testing.T) {
	t.Parallel()
	const wheel = "cp311-cp311-manylinux_2_17_armv7l"
	skip := Policy{UpstreamWheels: PolicySkip, Yanked: PolicySkip}
	last := Policy{UpstreamWheels: PolicyLast, Yanked: PolicyLast}
	build := Policy{UpstreamWheels: PolicyBuild, Yanked: PolicyBuild}
	plain := Candidate{}
	cases := []struct {
		given  string
		c      Candidate // with a version, an sdist and Python 3.11.2, unless it has others
		p      Policy
		state  State
		why    Why
		reason string // the whole
		pr     Priority
	}{
		{"nothing special", plain, last, Queued, "", "", PriorityBacklog},
		{"no policy", plain, Policy{}, Queued, "", "", PriorityBacklog},
		{"spelled otherwise", Candidate{Version: "v1.0-Alpha.1"}, last, Queued, "", "", PriorityBacklog},
		{"new", Candidate{New: true}, last, Queued, "", "", PriorityNew},
		{"wanted", Candidate{Wanted: true}, last, Queued, "", "", PriorityWanted},
		{"new and wanted", Candidate{New: true, Wanted: true}, last, Queued, "", "", PriorityNew},
		{"by hand", Candidate{ByHand: true}, last, Queued, "", "", PriorityOperator},
		{"Python allowed", Candidate{RequiresPython: ">=3.8,<4"}, last, Queued, "", "", PriorityBacklog},
		{"specifier that nobody can read", Candidate{RequiresPython: "three or more"}, last, Queued, "", "", PriorityBacklog},
		{"target of which nothing is known", Candidate{RequiresPython: ">=3.12", TargetPython: "-"}, last, Queued, "", "", PriorityBacklog},

		{"an upstream wheel, last", Candidate{UpstreamWheel: wheel}, last, Queued, "", "", PriorityUpstream},
		{"an upstream wheel, no policy", Candidate{UpstreamWheel: wheel}, Policy{}, Queued, "", "", PriorityUpstream},
		{"an upstream wheel, build", Candidate{UpstreamWheel: wheel}, build, Queued, "", "", PriorityBacklog},
		{"an upstream wheel, skip", Candidate{UpstreamWheel: wheel}, skip, Covered, WhyUpstream,
			"upstream wheel: pip takes " + wheel + " from the upstream", PriorityUpstream},
		{"an upstream wheel, skip, by hand", Candidate{UpstreamWheel: wheel, ByHand: true}, skip, Queued, "", "", PriorityOperator},
		{"new, with an upstream wheel", Candidate{UpstreamWheel: wheel, New: true}, last, Queued, "", "", PriorityUpstream},
		{"wanted, with an upstream wheel", Candidate{UpstreamWheel: wheel, Wanted: true}, last, Queued, "", "", PriorityUpstream},
		{"wanted, with an upstream wheel, build", Candidate{UpstreamWheel: wheel, Wanted: true}, build, Queued, "", "", PriorityBacklog},
		{"new, with an upstream wheel, build", Candidate{UpstreamWheel: wheel, New: true}, build, Queued, "", "", PriorityNew},

		{"yanked, last", Candidate{Yanked: true}, last, Queued, "", "", PriorityYanked},
		{"yanked, new, with an upstream wheel", Candidate{Yanked: true, New: true, UpstreamWheel: wheel}, last, Queued, "", "", PriorityYanked},
		{"yanked, build", Candidate{Yanked: true}, build, Queued, "", "", PriorityBacklog},
		{"yanked, skip", Candidate{Yanked: true, YankReason: "broken on Tuesdays"}, skip, Skipped, WhyYanked, "yanked: broken on Tuesdays", PriorityYanked},
		{"yanked without a word, skip", Candidate{Yanked: true}, skip, Skipped, WhyYanked, "yanked: the upstream gives no reason", PriorityYanked},
		{"yanked, skip, by hand", Candidate{Yanked: true, ByHand: true}, skip, Queued, "", "", PriorityOperator},
		{"yanked, with an upstream wheel, skip", Candidate{Yanked: true, UpstreamWheel: wheel}, skip, Skipped, WhyYanked,
			"yanked: the upstream gives no reason", PriorityYanked},

		{"Python too old", Candidate{RequiresPython: ">=3.12"}, last, Skipped, WhyPython,
			"requires-python: needs Python >=3.12, the target has 3.11.2", PriorityBacklog},
		{"Python too new", Candidate{RequiresPython: "<3"}, last, Skipped, WhyPython,
			"requires-python: needs Python <3, the target has 3.11.2", PriorityBacklog},
		{"Python too old, by hand", Candidate{RequiresPython: ">=3.12", ByHand: true}, last, Skipped, WhyPython,
			"requires-python: needs Python >=3.12, the target has 3.11.2", PriorityOperator},
		{"Python too old, with an upstream wheel, skip", Candidate{RequiresPython: ">=3.12", UpstreamWheel: wheel}, skip, Skipped, WhyPython,
			"requires-python: needs Python >=3.12, the target has 3.11.2", PriorityUpstream},
	}
	for _, c := range cases {
		c.c.Version, c.c.TargetPython = cmp.Or(c.c.Version, "1.0"), cmp.Or(c.c.TargetPython, "3.11.2")
		c.c.HasSdist = true
		want := Verdict{c.state, c.why, c.reason, c.pr}
		if got := Decide(c.c, c.p); got != want {
			t.Errorf("%s:\n got %+v\nwant %+v", c.given, got, want)
		}
	}
}

// TestReasonsInOrder: of several reasons the one is shown that stands before the
// others, and when it falls the next one is.
func TestReasonsInOrder(t *testing.T) {
	t.Parallel()
	c := Candidate{
		Version: "2004d-final", SkipReason: "breaks the Pis", SkipAuthor: "ada", Quarantined: true, RequiresPython: ">=3.12",
		TargetPython: "3.11", Yanked: true, UpstreamWheel: "py3-none-any",
	}
	p := Policy{UpstreamWheels: PolicySkip, Yanked: PolicySkip}
	steps := []struct {
		why    Why
		state  State
		reason string
		fall   func()
	}{
		{WhyLegacy, Skipped, "legacy version: 2004d-final is not a PEP 440 version", func() { c.Version = "1.0" }},
		{WhyByHand, Skipped, "by hand: breaks the Pis (ada)", func() { c.SkipReason = "" }},
		{WhyQuarantined, Skipped, "quarantined: the upstream holds the project back", func() { c.Quarantined = false }},
		{WhyNoSdist, Skipped, "no sdist: the upstream has no source archive of this release", func() { c.HasSdist = true }},
		{WhyPython, Skipped, "requires-python: needs Python >=3.12, the target has 3.11", func() { c.RequiresPython = "" }},
		{WhyYanked, Skipped, "yanked: the upstream gives no reason", func() { c.Yanked = false }},
		{WhyUpstream, Covered, "upstream wheel: pip takes py3-none-any from the upstream", func() { c.UpstreamWheel = "" }},
		{"", Queued, "", func() {}},
	}
	for _, s := range steps {
		got := Decide(c, p)
		if got.Why != s.why || got.State != s.state || got.Reason != s.reason {
			t.Errorf("%+v, want %s %s %q", got, s.state, s.why, s.reason)
		}
		s.fall()
	}
}

func TestIsNew(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	cases := []struct {
		days int
		age  time.Duration
		want bool
	}{
		{14, 0, true},
		{14, 14*24*time.Hour - 1, true},
		{14, 14 * 24 * time.Hour, false},
		{0, 0, false},
		{1, -time.Hour, true}, // clocks differ
	}
	for _, c := range cases {
		if got := (Policy{NewDays: c.days}).IsNew(now.Add(-c.age), now); got != c.want {
			t.Errorf("%d days, released %v ago: %v", c.days, c.age, got)
		}
	}
}

func TestPythonAllowed(t *testing.T) {
	t.Parallel()
	cases := []struct {
		specifiers, python string
		want               bool
	}{
		{"", "3.11.2", true},
		{">=3.11.2", "3.11.2", true},
		{">=3.11.3", "3.11.2", false},
		{"!=3.11.*", "3.11.2", false},
		{">3.11,<3.12", "3.11.2", true},
		{">=3.9,!=3.9.0,!=3.9.1", "3.9.2", true},
		{">=3.13", "3.13.0rc1", false}, // a pre-release comes before it
		{">=3.13.0rc1", "3.13.0rc1", true},
		// A feature version stands for all of its releases.
		{">=3.11.3", "3.11", true},
		{"<3.11.1", "3.11", true},
		{"~=3.11.4", "3.11", true},
		{"==3.11.*", "3.11", true},
		{"!=3.11.*", "3.11", false},
		{"<3.11", "3.11", false},
		{">=3.12", "3.11", false},
		{">=3.12", "strange", true},
		{">=3,<", "2.7", true},
	}
	for _, c := range cases {
		if got := PythonAllowed(c.specifiers, c.python); got != c.want {
			t.Errorf("%q for Python %s: %v", c.specifiers, c.python, got)
		}
	}
}

// FuzzDecide: whatever an index says, the answer is a state that a new job may
// have, with a reason where the schema wants one, and the same when asked again.
func FuzzDecide(f *testing.F) {
	f.Add("1.0", true, ">=3.8", "3.11.2", "", "", uint8(0))
	f.Add("2004d", false, "~=x", "3.11", "py3-none-any", "", uint8(3))
	f.Add("", true, "==3.*.*", "", "", "no", uint8(255))
	f.Fuzz(func(t *testing.T, version string, sdist bool, requires, python, wheel, skip string, bits uint8) {
		c := Candidate{
			Version: version, HasSdist: sdist, RequiresPython: requires, TargetPython: python, UpstreamWheel: wheel, SkipReason: skip,
			Yanked: bits&1 != 0, Quarantined: bits&2 != 0, New: bits&4 != 0, Wanted: bits&8 != 0, ByHand: bits&16 != 0,
		}
		p := Policy{UpstreamWheels: []string{PolicySkip, PolicyLast, PolicyBuild, ""}[bits>>5&3], Yanked: PolicySkip}
		v := Decide(c, p)
		switch v.State {
		case Queued:
			if v.Why != "" || v.Reason != "" {
				t.Errorf("%+v", v)
			}
		case Skipped, Covered:
			if v.Why == "" || v.Reason == "" {
				t.Errorf("%+v", v)
			}
		default:
			t.Errorf("%+v", v)
		}
		if v.Priority < PriorityOperator || v.Priority > PriorityYanked {
			t.Errorf("priority %d", v.Priority)
		}
		if Decide(c, p) != v {
			t.Error("asked again, it answers otherwise")
		}
	})
}
