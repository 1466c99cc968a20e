package farm

import (
	"strings"
	"testing"
)

func TestDecide(t *testing.T) {
	t.Parallel()
	good := Candidate{Version: "1.0", HasSdist: true, TargetPython: "3.11.2"}
	with := func(change func(*Candidate)) Candidate {
		c := good
		change(&c)
		return c
	}
	cases := []struct {
		name   string
		c      Candidate
		state  State
		reason string // what it begins with
	}{
		{"plain", good, Queued, ""},
		{"spelled otherwise", with(func(c *Candidate) { c.Version = "v1.0-Alpha.1" }), Queued, ""},
		{"legacy", with(func(c *Candidate) { c.Version = "2004d-final" }), Skipped, "legacy version: 2004d-final"},
		{"no version at all", with(func(c *Candidate) { c.Version = "" }), Skipped, "legacy version: "},
		{"no sdist", with(func(c *Candidate) { c.HasSdist = false }), Skipped, "no sdist: "},
		{"legacy goes before no sdist", with(func(c *Candidate) { c.Version, c.HasSdist = "x", false }), Skipped, "legacy version: x"},
		{"Python allowed", with(func(c *Candidate) { c.RequiresPython = ">=3.8,<4" }), Queued, ""},
		{"Python too old", with(func(c *Candidate) { c.RequiresPython = ">=3.12" }), Skipped,
			"requires-python: needs Python >=3.12, the target has 3.11.2"},
		{"Python too new", with(func(c *Candidate) { c.RequiresPython = "<3" }), Skipped, "requires-python: "},
		{"specifier that nobody can read", with(func(c *Candidate) { c.RequiresPython = "three or more" }), Queued, ""},
		{"target of which nothing is known", with(func(c *Candidate) { c.RequiresPython, c.TargetPython = ">=3.12", "" }), Queued, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := Decide(c.c)
			if got.State != c.state || !strings.HasPrefix(got.Reason, c.reason) || (got.Reason == "") != (c.state == Queued) {
				t.Errorf("%s %q, want %s %q", got.State, got.Reason, c.state, c.reason)
			}
			if Decide(c.c) != got {
				t.Error("asked again, it answers otherwise")
			}
		})
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
// have, with a reason where the schema wants one.
func FuzzDecide(f *testing.F) {
	f.Add("1.0", true, ">=3.8", "3.11.2")
	f.Add("2004d", false, "~=x", "3.11")
	f.Add("", true, "==3.*.*", "")
	f.Fuzz(func(t *testing.T, version string, sdist bool, requires, python string) {
		v := Decide(Candidate{Version: version, HasSdist: sdist, RequiresPython: requires, TargetPython: python})
		if v.State != Queued && (v.State != Skipped || v.Reason == "") {
			t.Fatalf("%s %q", v.State, v.Reason)
		}
	})
}
