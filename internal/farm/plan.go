package farm

import (
	"cmp"
	"slices"
)

// Cell is one release on one target: what decides about its job.
type Cell struct {
	Target  int64  // the target's key
	Name    string // the target's, for the reason
	Rank    int    // the target's: the lower builds first
	Live    bool   // a slave serves the target
	Retired bool   // the target takes no new work; only the wheels that were built there count

	Verdict Verdict // Decide's

	Job      Planned // as it is now; the zero Planned: there is none
	NewSdist bool    // the sdist is not the one of which Job failed, or a build did
	// Serves are the targets whose pip takes the wheel that was built here, since it
	// is for every platform.
	Serves []int64
}

// Planned is what shall become of a job, or what has.
type Planned struct {
	State    State
	Why      Why
	Reason   string
	Priority Priority
	Waits    int64 // state waiting: the target whose outcome decides
}

// Plan says what shall become of the jobs of one release, one for each cell.
//
// The lowest target that can build it and has a live slave builds first (without
// any live slave, the lowest), and the others wait for its outcome: a wheel for
// every platform covers the higher targets, since theirs would be the same one.
// Lower ones are queued then, for a pip there may not take it or what it requires.
// Any other outcome queues all. An operator's word does not wait.
//
// What a slave holds stays unless the release shall not be built at all; what was
// built stays, and so does what failed, but for a new sdist, or a maintainer who does
// not want to see it any more. So the answer hangs on facts and ended builds only,
// and applying it twice changes nothing.
func Plan(cells []Cell) []Planned {
	c := survey(cells)
	out := make([]Planned, len(cells))
	for i := range cells {
		out[i] = c.plan(cells[i])
	}
	return out
}

// chain is what a plan must know of all cells to decide about one.
type chain struct {
	first   *Cell // builds first; nil: none can, or nobody needs to wait any more
	built   bool  // something was built, on a retired target too
	servers []*Cell
}

func survey(cells []Cell) chain {
	var ch chain
	ended := false
	for i := range cells {
		c := &cells[i]
		built := c.Job.State == Built
		ch.built = ch.built || built
		if built && len(c.Serves) > 0 {
			ch.servers = append(ch.servers, c)
		}
		ended = ended || !c.Retired && (built || c.failed())
	}
	for i := range cells {
		if c := &cells[i]; !ended && ch.builds(c) && (ch.first == nil || c.before(ch.first)) {
			ch.first = c
		}
	}
	return ch
}

// builds says whether a build is to come of a cell. What a wheel of a retired target
// serves has had its outcome: who waited for it would wait for ever.
func (ch chain) builds(c *Cell) bool {
	return !c.Retired && c.Verdict.State == Queued && !ch.covered(c) && ch.server(c) == nil
}

// before says who of two that can build it builds first.
func (c *Cell) before(d *Cell) bool {
	if c.Live != d.Live {
		return c.Live
	}
	return c.below(d)
}

func (c *Cell) below(d *Cell) bool {
	return cmp.Or(cmp.Compare(c.Rank, d.Rank), cmp.Compare(c.Name, d.Name), cmp.Compare(c.Target, d.Target)) < 0
}

func (c *Cell) failed() bool {
	return c.Job.State == Failed && !c.NewSdist && c.Verdict.Why != WhyByHand
}

// stays says whether nothing is to be decided about a job.
func (c *Cell) stays() bool {
	switch c.Job.State {
	case Built:
		return true
	case Failed:
		return c.failed()
	case Leased:
		// Good work is not thrown away because the policy or a page changed; what
		// must not be built at all is aborted.
		return !c.Verdict.Why.aborts()
	}
	return c.Retired
}

// lacks says whether a job waits for a build requirement: a build of it would only
// fail for want of it again, and whoever brings it queues the job. But an operator
// may ask for one, who did not before.
func (c *Cell) lacks() bool {
	asked := c.byHand() && c.Job.Priority > PriorityOperator
	return c.Job.State == Waiting && c.Job.Why == WhyRequirement && !c.NewSdist && !asked
}

func (c *Cell) byHand() bool { return c.Verdict.Priority <= PriorityOperator }

func (ch chain) plan(c Cell) Planned {
	next := Planned{State: c.Verdict.State, Why: c.Verdict.Why, Reason: c.Verdict.Reason, Priority: c.Verdict.Priority}
	if c.Job.State == Queued && c.Job.Priority == PriorityLast && !c.byHand() {
		next.Priority = PriorityLast // it took too long once
	}
	server := ch.server(&c)
	switch {
	case c.stays():
		return c.Job
	case c.Verdict.State != Queued:
		return next
	case c.byHand() && c.Job.State == Queued:
		// Also of what is covered: a maintainer wants a wheel of its own here.
		return next
	case ch.covered(&c):
		return c.Job
	case server != nil:
		next.State, next.Why = Covered, WhyLowerWheel
		next.Reason = "lower wheel: the wheel of " + server.Name + " serves this target too"
	case c.lacks():
		return c.Job
	case ch.first != nil && ch.first.Target != c.Target && !c.byHand():
		next.State, next.Why, next.Waits = Waiting, WhyLowerTarget, ch.first.Target
		next.Reason = ch.first.Name + " builds first" // short: two thirds of a farm's jobs have it
	}
	return next
}

// covered says whether a job is covered by another target's wheel, and that is
// there. It may serve by its name alone: abi3 wheels of two targets have the same.
func (ch chain) covered(c *Cell) bool {
	// Rows of before reasons had a kind have none.
	return ch.built && c.Job.State == Covered && (c.Job.Why == WhyLowerWheel || c.Job.Why == "")
}

// server is the lowest target whose wheel serves c.
func (ch chain) server(c *Cell) *Cell {
	var lowest *Cell
	for _, s := range ch.servers {
		if s.below(c) && slices.Contains(s.Serves, c.Target) && (lowest == nil || s.below(lowest)) {
			lowest = s
		}
	}
	return lowest
}
