package farm

import (
	"cmp"
	"fmt"
	"time"

	"pinwheel/internal/pep"
)

// RetryPolicy says how often, and how soon, a job is tried again. Zero means the
// default.
type RetryPolicy struct {
	SlaveTries    int           // tries before a fault of slaves is the job's: one may be a slave's own, several are not
	NetworkTries  int           // the same of the network: mostly a package that wants it
	UpstreamTries int           // the same of the upstream: it may be away for hours
	Pause         time.Duration // before the second try; the next ones wait four times as long each
	PauseMost     time.Duration // and no longer
	LongTimeout   time.Duration // the limit of what took too long once
	SlaveFaults   int           // faults of its own in a row after which a slave is paused
	BuildTimeout  time.Duration // the limit of a build without a recipe of its own
	BuildMemory   int64         // bytes that a build without a recipe of its own may have; 0: what a slave has
}

// DefaultSlaveFaults is how many faults of its own in a row pause a slave.
const DefaultSlaveFaults = 5

// DefaultRetryPolicy outlasts an upstream that is away for some hours.
func DefaultRetryPolicy() RetryPolicy {
	return RetryPolicy{SlaveTries: 5, NetworkTries: 3, UpstreamTries: 8, Pause: 10 * time.Second, PauseMost: 2 * time.Hour,
		LongTimeout: 3 * time.Hour, SlaveFaults: DefaultSlaveFaults, BuildTimeout: DefaultTimeout}
}

// Fill returns p with the defaults in its gaps.
func (p RetryPolicy) Fill() RetryPolicy {
	d := DefaultRetryPolicy()
	for v, or := range map[*int]int{&p.SlaveTries: d.SlaveTries, &p.NetworkTries: d.NetworkTries,
		&p.UpstreamTries: d.UpstreamTries, &p.SlaveFaults: d.SlaveFaults} {
		if *v <= 0 {
			*v = or
		}
	}
	for v, or := range map[*time.Duration]time.Duration{&p.Pause: d.Pause, &p.PauseMost: d.PauseMost,
		&p.LongTimeout: d.LongTimeout, &p.BuildTimeout: d.BuildTimeout} {
		if *v <= 0 {
			*v = or
		}
	}
	return p
}

// Tried is what a job has behind it when one more try has failed.
type Tried struct {
	Faults     int           // tries before this one that the same spoiled (SameFault)
	Timeouts   int           // tries that took too long
	MemoryOuts int           // tries that ran out of memory
	TimeLimit  time.Duration // that its recipe, or an earlier try, let this try have; 0: as every build
	Memory     int64         // bytes that its recipe let this try have; 0: the recipe does not say
	Peak       int64         // bytes of memory that this try says it used; 0: unknown
	Refused    bool          // the slave refused it what it wanted of the network
}

// Bench is what must be known of the slaves to say who may try next.
type Bench struct {
	Memory  int64 // of the slave that failed, bytes; 0: unknown
	Others  bool  // another live slave serves the target
	Largest int64 // memory of the largest other live slave that serves the target, bytes
}

// Again says how a job goes on.
type Again string

// The ways of going on.
const (
	AgainNever     Again = "never"     // it has failed
	AgainElsewhere Again = "elsewhere" // after a pause, by another slave if there is one
	AgainLast      Again = "last"      // when there is nothing else to do, with more time
	AgainBigger    Again = "bigger"    // by a slave with more memory
	AgainWith      Again = "with"      // when a build requirement has a wheel, if one may come
)

// Retry is what becomes of a job whose build has failed.
type Retry struct {
	Again       Again
	Failure     Failure         // never: why; with: why, if no wheel can come
	After       time.Duration   // elsewhere
	Avoid       bool            // elsewhere: the slave that failed leaves it to others
	TimeLimit   time.Duration   // last
	NeedsMemory int64           // bigger: bytes
	Requirement pep.Requirement // with
}

// OwnFault says whether a failure is the fault of the slave that reports it.
func (c Cause) OwnFault() bool { return c == SlaveFault || c == Disk }

// SameFault says whether two failures are faults of the same: of slaves, of the
// network, or of the upstream. Each has its own number of tries: an upstream that was
// away must not make the first fault of a slave the last.
func (c Cause) SameFault(d Cause) bool {
	return !c.PackageFault() && (c == d || c.OwnFault() && d.OwnFault())
}

// EndsByItself says whether a build with this failure had what it needed of its
// slave, of the network and of the upstream.
func (c Cause) EndsByItself() bool { return c.PackageFault() && c != OutOfMemory && c != Timeout }

// DecideRetry says what becomes of a job whose build has failed (design 4): what is
// the package's fault stays so until somebody queues it again, all else is tried
// again, and that never counts against the package. It is a pure function; chance,
// from 0 to 1, is what parts jobs that failed at once.
func DecideRetry(f Failure, t Tried, b Bench, p RetryPolicy, chance float64) Retry {
	p = p.Fill()
	switch f.Cause {
	case Network:
		// Another slave's fence would refuse it too. For what was not reached the slave's
		// own network may be to blame.
		if t.Refused || f.Fenced() {
			return Retry{Again: AgainNever, Failure: f}
		}
		return elsewhere(f, t, b, p, chance)
	case SlaveFault, Disk, UpstreamFault:
		if f.Cause == Disk && f.OverLimit() {
			break // the limit is the farm's, the same on every slave
		}
		return elsewhere(f, t, b, p, chance)
	case Timeout:
		// Less time than it had, or as much, would be in vain.
		if t.Timeouts == 0 && cmp.Or(t.TimeLimit, p.BuildTimeout) < p.LongTimeout {
			return Retry{Again: AgainLast, TimeLimit: p.LongTimeout}
		}
	case OutOfMemory:
		return bigger(f, t, b, p)
	case BuildRequirement:
		if r, err := pep.ParseRequirement(f.Detail); err == nil {
			return Retry{Again: AgainWith, Requirement: r, Failure: f}
		}
	}
	return Retry{Again: AgainNever, Failure: f}
}

func elsewhere(f Failure, t Tried, b Bench, p RetryPolicy, chance float64) Retry {
	most := p.SlaveTries
	switch f.Cause {
	case Network:
		most = p.NetworkTries
	case UpstreamFault:
		most = p.UpstreamTries
	}
	if t.Faults+1 >= most {
		return Retry{Again: AgainNever, Failure: f}
	}
	pause := p.Pause
	for range t.Faults {
		if pause = 4 * pause; pause >= p.PauseMost {
			break
		}
	}
	pause = min(pause, p.PauseMost)
	// From three quarters to five quarters of it: who failed together comes apart.
	pause = pause*3/4 + time.Duration(chance*float64(pause)/2)
	return Retry{Again: AgainElsewhere, After: pause, Avoid: b.Others && f.Cause != UpstreamFault}
}

// memoryStep is by how much memory is learnt: finer steps would make a kind of
// needs of every machine, see internal/store/needs.go.
const memoryStep = 256 << 20

// believable is more memory than any machine has, in bytes: slaves may say what they like.
const believable = 1 << 50

// bigger asks for more than the slave had that ran out, and more than the build says it
// used. A try that would have no more than this one had is in vain.
func bigger(f Failure, t Tried, b Bench, p RetryPolicy) Retry {
	if t.Memory > 0 && (b.Memory == 0 || t.Memory <= b.Memory) {
		return wider(f, t, b)
	}
	need := above(max(b.Memory, t.Peak))
	if most := p.BuildMemory; t.Memory == 0 && most > 0 && (need > most || f.OverLimit()) { // on every slave
		f.Hint = fmt.Sprintf("a recipe with at least %s of memory; without one a build may have %s", gigabytes(above(max(most, t.Peak))), gigabytes(most))
		return Retry{Again: AgainNever, Failure: f}
	}
	if t.MemoryOuts == 0 && need <= b.Largest {
		return Retry{Again: AgainBigger, NeedsMemory: need}
	}
	if b.Memory == 0 && t.MemoryOuts == 0 { // a slave that does not tell what it has
		return Retry{Again: AgainElsewhere, Avoid: b.Others}
	}
	f.Hint = fmt.Sprintf("a slave with at least %s of memory; the largest that is live has %s", gigabytes(need), gigabytes(max(b.Largest, b.Memory)))
	return Retry{Again: AgainNever, Failure: f}
}

// wider is for a try of which the recipe's limit was the end, and not the machine. What is
// learnt widens that limit, so that every slave that has as much may try, also the same. A
// step more would be in vain mostly: it is twice as much, or what the largest slave has.
// What only the slave itself says, of the build or of its own memory, asks for no more than
// twice what the recipe says: no other slave might ever have so much.
func wider(f Failure, t Tried, b Bench) Retry {
	twice := above(2*min(t.Memory, believable) - 1)
	need := max(twice, above(t.Peak))
	need = min(need, max(b.Largest, min(b.Memory, twice))/memoryStep*memoryStep)
	if t.MemoryOuts == 0 && need > t.Memory {
		return Retry{Again: AgainBigger, NeedsMemory: need}
	}
	f.Hint = fmt.Sprintf("a recipe with more memory than %s; the largest slave that is live has %s", gigabytes(t.Memory), gigabytes(max(b.Largest, b.Memory)))
	return Retry{Again: AgainNever, Failure: f}
}

// above is the next step of memory over this much.
func above(n int64) int64 { return (min(n, believable)/memoryStep + 1) * memoryStep }

func gigabytes(n int64) string { return fmt.Sprintf("%.2g GB", float64(n)/(1<<30)) }

// TooManyFaults is why a slave is paused, in plain words.
func TooManyFaults(n int, last Failure) string {
	s := fmt.Sprintf("%d faults in a row, the last: %s", n, last.Cause)
	if last.Detail != "" {
		s += ": " + last.Detail
	}
	return s
}
