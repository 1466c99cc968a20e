package farm

import "pinwheel/internal/pep"

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
	if !pythonAllowed(c.RequiresPython, c.TargetPython) {
		return Verdict{Skipped, "requires-python: needs Python " + c.RequiresPython + ", the target has " + c.TargetPython}
	}
	return Verdict{Queued, ""}
}

// pythonAllowed treats a specifier that cannot be read as absent: pip does the
// same, so its users would get the release.
func pythonAllowed(specifiers, python string) bool {
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
	return s.Contains(v, true)
}
