package farm

import (
	"cmp"
	"strings"

	"pinwheel/internal/pep"
)

// Candidate is what the policy must know of one release on one target.
type Candidate struct {
	Version        string // as the upstream writes it
	HasSdist       bool
	RequiresPython string // PEP 345 specifiers; empty allows all
	TargetPython   string // full version of the target's Python, or its feature version

	Yanked     bool // PEP 592
	YankReason string

	Quarantined      bool // the project is (PEP 792), or the release
	QuarantineReason string

	SkipReason string // a maintainer's, why it is not to be built; empty: nobody said so
	SkipAuthor string

	UpstreamWheel string // the tag of the wheel that pip there takes from the upstream; empty: none

	New    bool // Policy.IsNew
	Wanted bool // asked for, missed, needed or listed
	ByHand bool // an operator's word: goes before what the policy says, not before what cannot be
}

// Verdict is what becomes of a release on a target, and why in plain words.
type Verdict struct {
	State    State
	Why      Why    // of skipped and covered
	Reason   string // of skipped and covered
	Priority Priority
}

// Decide says whether a release is to be built on a target, and how soon. It is
// a pure function of what is known, so that asking again gives the same answer.
// What cannot be built comes before what shall not, so that the reason that is
// shown is the one that stays when the other falls; but a person's word and the
// upstream's warning come before anything that a page may change.
func Decide(c Candidate, p Policy) Verdict {
	v := Verdict{State: Queued, Priority: p.priority(c)}
	if v.Why, v.Reason = refusal(c); v.Why != "" {
		v.State = Skipped
		return v
	}
	switch {
	case c.ByHand:
	case c.Yanked && p.Yanked == PolicySkip:
		v.State, v.Why = Skipped, WhyYanked
		v.Reason = "yanked: " + cmp.Or(c.YankReason, "the upstream gives no reason")
	case c.UpstreamWheel != "" && p.UpstreamWheels == PolicySkip:
		v.State, v.Why = Covered, WhyUpstream
		v.Reason = "upstream wheel: pip takes " + c.UpstreamWheel + " from the upstream"
	}
	return v
}

// refusal is why a release cannot be built, whatever the policy.
func refusal(c Candidate) (Why, string) {
	_, err := pep.ParseVersion(c.Version)
	switch {
	case err != nil:
		return WhyLegacy, "legacy version: " + c.Version + " is not a PEP 440 version"
	case c.SkipReason != "":
		return WhyByHand, "by hand: " + c.SkipReason + " (" + cmp.Or(c.SkipAuthor, "unknown") + ")"
	case c.Quarantined:
		return WhyQuarantined, "quarantined: " + cmp.Or(c.QuarantineReason, "the upstream holds the project back")
	case !c.HasSdist:
		return WhyNoSdist, "no sdist: the upstream has no source archive of this release"
	case !PythonAllowed(c.RequiresPython, c.TargetPython):
		return WhyPython, "requires-python: needs Python " + c.RequiresPython + ", the target has " + c.TargetPython
	}
	return "", ""
}

// priority is what users lack first: a release that has a wheel already, or that
// was withdrawn, is built when there is nothing better to do, however new it is.
func (p Policy) priority(c Candidate) Priority {
	switch {
	case c.ByHand:
		return PriorityOperator
	case c.Yanked && p.Yanked != PolicyBuild:
		return PriorityYanked
	case c.UpstreamWheel != "" && p.UpstreamWheels != PolicyBuild:
		return PriorityUpstream
	case c.New:
		return PriorityNew
	case c.Wanted && c.UpstreamWheel == "":
		return PriorityWanted
	}
	return PriorityBacklog
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
