package farm

import (
	"strconv"
	"time"
)

// Why is the kind of a job's reason, for programs; the reason itself is for
// people.
type Why string

// The kinds of reasons.
const (
	WhyLegacy      Why = "legacy-version"  // skipped: no PEP 440 version
	WhyNoSdist     Why = "no-sdist"        // skipped: nothing to build from
	WhyPython      Why = "requires-python" // skipped: not for this Python
	WhyQuarantined Why = "quarantined"     // skipped: the upstream holds the project back (PEP 792)
	WhyByHand      Why = "by-hand"         // skipped: a maintainer's word
	WhyYanked      Why = "yanked"          // skipped, where the policy says so
	WhyUpstream    Why = "upstream-wheel"  // covered, where the policy says so
	WhyLowerWheel  Why = "lower-wheel"     // covered: a lower target's wheel serves this one
	WhyLowerTarget Why = "lower-target"    // waiting: a lower target builds first
	WhyRequirement Why = "requirement"     // waiting: a build requirement has no wheel yet

	WhyRetired Why = "retired-target" // of no job's row: why a maintainer cannot have it tried again
)

// aborts says whether a build that is under way is of no use any more.
func (w Why) aborts() bool {
	return w == WhyQuarantined || w == WhyByHand || w == WhyNoSdist
}

// Urgency orders the projects that are to be read from the upstream: lower is
// sooner.
type Urgency int16

// The urgencies.
const (
	UrgencyEvent Urgency = 10 // the upstream announced a change
	UrgencyWalk  Urgency = 30 // a walk over all names found a difference
	UrgencyAged  Urgency = 40 // not read for a long time
)

// String is the word that people and programs read: "event", "walk", "aged".
func (u Urgency) String() string {
	switch u {
	case UrgencyEvent:
		return "event"
	case UrgencyWalk:
		return "walk"
	case UrgencyAged:
		return "aged"
	}
	return "urgency " + strconv.Itoa(int(u))
}

// Policy is what an operator decides about which releases are built, and when.
type Policy struct {
	UpstreamWheels string // where the upstream has a usable wheel: PolicySkip, PolicyLast or PolicyBuild; empty: last
	Yanked         string // the same of yanked releases
	NewDays        int    // a release is new for so long; 0: none is
	ProjectLeases  int    // jobs of one project that may be leased at once
}

// What a policy may say of a kind of releases.
const (
	PolicySkip  = "skip"  // not built, unless an operator asks for one
	PolicyLast  = "last"  // built when there is nothing else to do
	PolicyBuild = "build" // built like all others
)

// DefaultPolicy builds every version, what users lack first.
func DefaultPolicy() Policy {
	return Policy{UpstreamWheels: PolicyLast, Yanked: PolicyLast, NewDays: 14, ProjectLeases: 4}
}

// IsNew says whether a release of that time counts as new.
func (p Policy) IsNew(released, now time.Time) bool { return released.After(p.NewSince(now)) }

// NewSince is the time from which on releases count as new.
func (p Policy) NewSince(now time.Time) time.Time {
	return now.Add(-time.Duration(p.NewDays) * 24 * time.Hour)
}
