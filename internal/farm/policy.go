package farm

import (
	"strings"

	"pinwheel/internal/pep"
)

// Candidate is what the policy must know of one release on one target.
type Candidate struct {
	Version        string // as the upstream writes it
	HasSdist       bool
	RequiresPython string // PEP 345 specifiers; empty allows all
	TargetPython   string // full version of the target's Python, or its feature version
}

// Verdict is what becomes of a release on a target, and why in plain words.
type Verdict struct {
	State  State
	Reason string
}

// Decide says whether a release is to be built on a target. It is a pure
// function of what is known, so that asking again gives the same answer.
func Decide(c Candidate) Verdict {
	if _, err := pep.ParseVersion(c.Version); err != nil {
		return Verdict{Skipped, "legacy version: " + c.Version + " is not a PEP 440 version"}
	}
	if !c.HasSdist {
		return Verdict{Skipped, "no sdist: the upstream has no source archive of this release"}
	}
	if !PythonAllowed(c.RequiresPython, c.TargetPython) {
		return Verdict{Skipped, "requires-python: needs Python " + c.RequiresPython + ", the target has " + c.TargetPython}
	}
	return Verdict{Queued, ""}
}

// PythonAllowed says whether a release that wants these Pythons (PEP 345) is for
// that one: a full version, or a feature version, "3.11", which stands for all of
// its releases. Specifiers that cannot be read count as absent: pip does the same,
// so its users would get the release.
func PythonAllowed(specifiers, python string) bool {
	if specifiers == "" || python == "" {
		return true
	}
	s, err := pep.ParseSpecifiers(specifiers)
	if err != nil {
		return true
	}
	v, err := pep.ParseVersion(python)
	if err != nil {
		return true
	}
	if s.Contains(v, true) {
		return true
	}
	if strings.Count(python, ".") > 1 {
		return false
	}
	// ">=3.11.2" must not skip a target of which only "3.11" is known yet: a build
	// that fails says more than one that was never tried.
	latest, err := pep.ParseVersion(python + "." + latestMicro)
	return err == nil && s.Contains(latest, true)
}

// latestMicro is above the last number of any release of Python there will be.
const latestMicro = "999"
