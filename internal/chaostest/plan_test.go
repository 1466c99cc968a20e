package chaostest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// kind is what can happen to a part of the farm.
type kind string

const (
	kill    kind = "kill"    // kill -9, and a new start when it is over
	freeze  kind = "freeze"  // SIGSTOP, then SIGCONT: often for longer than a lease
	quit    kind = "quit"    // SIGTERM, and a new start; kill -9 if it has not ended by then
	clock   kind = "clock"   // the same, and the new one's time of day is wrong
	silence kind = "silence" // a network that says nothing any more; connections are lost when it is back
	pause   kind = "pause"   // the same, but connections outlive it
	refuse  kind = "refuse"  // a network that refuses at once
	backend kind = "backend" // kill -9 of one of Postgres's own processes: it restarts itself
	restart kind = "restart" // Postgres shuts down at once, and starts again when it is over
	full    kind = "full"    // a disk has not one byte left
	down    kind = "down"    // the upstream answers 503
)

// lease is how long a lease of this farm lives: short, so that who is frozen can
// lose his.
const lease = 6 * time.Second

// The parts of the farm. A cable is named after its ends.
func masters() []string { return []string{"a", "b"} }

func slaves() []string { return []string{"s1", "s2", "s3", "s4"} }

func cables() []string {
	return []string{"a-pg", "b-pg", "a-nats", "b-nats", "s1-nats", "s2-nats", "s3-nats", "s4-nats", "web"}
}

func disks() []string {
	return []string{"disk-site", "disk-s1", "disk-s2", "disk-s3", "disk-s4"}
}

// trouble is a kind with its victims, how often it is drawn, and for how long.
type trouble struct {
	kind     kind
	victims  []string
	weight   int
	min, max time.Duration
}

func troubles() []trouble {
	programs := slices.Concat(masters(), slaves())
	all := append(slices.Clone(programs), "nats", "pg")
	return []trouble{
		{kill, all, 6, 0, 4 * time.Second},
		{freeze, all, 4, time.Second, 2 * lease},
		{quit, programs, 2, 2 * time.Second, 6 * time.Second},
		{clock, programs, 2, 2 * time.Second, 4 * time.Second},
		{silence, cables(), 3, time.Second, 2 * lease},
		{pause, cables(), 2, time.Second, 2 * lease},
		{refuse, cables(), 3, 200 * time.Millisecond, 6 * time.Second},
		{backend, []string{"pg"}, 2, 0, 0},
		{restart, []string{"pg"}, 2, 0, 3 * time.Second},
		{full, disks(), 3, 2 * time.Second, 8 * time.Second},
		{down, []string{"index"}, 1, time.Second, 5 * time.Second},
	}
}

// fault is one thing that happens to one part, from a time after the beginning on,
// for a length of time.
type fault struct {
	at, long time.Duration
	kind     kind
	victim   string
	skew     time.Duration // of a clock
}

func (f fault) String() string {
	s := fmt.Sprintf("%6.2fs %-8s %-9s", f.at.Seconds(), f.kind, f.victim)
	if f.long > 0 {
		s += fmt.Sprintf(" for %.2fs", f.long.Seconds())
	}
	if f.skew != 0 {
		s += fmt.Sprintf(", by %s", f.skew.Round(time.Second))
	}
	return strings.TrimRight(s, " ")
}

// calm is how long a part is left alone after its trouble: so long it takes to
// stand again.
const calm = 1500 * time.Millisecond

// plan draws the faults of one run. The same seed and length give the same ones;
// a part has one at a time, several parts may have one each.
func plan(seed uint64, long time.Duration) []fault {
	rng := rand.New(rand.NewPCG(seed, 1))
	busy := map[string]time.Duration{}
	var faults []fault
	at := 2 * time.Second
	for {
		at += 400*time.Millisecond + time.Duration(rng.Int64N(int64(1800*time.Millisecond)))
		if at > long-time.Second {
			return faults
		}
		t := draw(rng)
		f := fault{at: at.Round(10 * time.Millisecond), kind: t.kind, victim: t.victims[rng.IntN(len(t.victims))]}
		f.long = t.min
		if t.max > t.min {
			f.long += time.Duration(rng.Int64N(int64(t.max - t.min)))
		}
		if t.kind == clock {
			f.skew = time.Duration(rng.Int64N(int64(96*time.Hour))) - 48*time.Hour
		}
		f.long = min(f.long, long-f.at).Round(10 * time.Millisecond)
		if f.at < busy[f.victim] {
			continue
		}
		busy[f.victim] = f.at + f.long + calm
		faults = append(faults, f)
	}
}

func draw(rng *rand.Rand) trouble {
	all := troubles()
	sum := 0
	for _, t := range all {
		sum += t.weight
	}
	n := rng.IntN(sum)
	for _, t := range all {
		if n -= t.weight; n < 0 {
			return t
		}
	}
	panic("the weights do not add up")
}

// TestAPlanIsOfItsSeed: a run that failed can be had again.
func TestAPlanIsOfItsSeed(t *testing.T) {
	t.Parallel()
	const long = 5 * time.Minute
	one, again := plan(7, long), plan(7, long)
	if !slices.Equal(one, again) {
		t.Error("one seed gives two plans")
	}
	if slices.Equal(one, plan(8, long)) {
		t.Error("two seeds give one plan")
	}
	seen := map[kind]bool{}
	over := map[string]time.Duration{}
	for _, f := range one {
		seen[f.kind] = true
		if f.at < over[f.victim] || f.at+f.long > long {
			t.Errorf("%v: its victim is not free before %v, and all ends after %v", f, over[f.victim], long)
		}
		over[f.victim] = f.at + f.long
	}
	for _, k := range troubles() {
		if !seen[k.kind] {
			t.Errorf("in %v nothing is of the kind %s", long, k.kind)
		}
	}
}
