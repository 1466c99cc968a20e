package simulate

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
	"pinwheel/internal/farmtest"
)

// What slaves do beside building.
const (
	livesFor = 12 * time.Hour   // in the mean
	restart  = time.Minute      // of a slave that comes back by itself
	repair   = 20 * time.Minute // of one that somebody must look after: longer than a lease
	repaired = 0.1              // of all deaths
	askAgain = 4 * time.Second  // dispatch lets a question wait so long
)

// slave is a simulated one. Its times are those of the simulation.
type slave struct {
	farm   *simulation
	number int
	name   string
	rng    *mathrand.Rand
	wheels testing.TB // who is told that one cannot be made

	lease *farm.Lease
	good  bool          // how the build under way ends
	cause farm.Cause    // if it is not good
	began time.Duration // of that build
	ends  time.Duration // of that build
	beats time.Duration // the next one
	dies  time.Duration
	back  time.Duration // down until then; 0: it is up

	asks   time.Duration // when it will ask
	free   time.Duration // since when it has had nothing to do
	queued bool          // there was work when it last asked
	barred bool          // and it was given none
	done   bool          // it found an empty queue, and is to be woken

	tally tally
}

// tally is what a slave did with its time.
type tally struct {
	builds, lost int
	busy, down   time.Duration
	idle         time.Duration // while work was queued
	barred       time.Duration // of it, because what was queued could not be had yet
	bored        time.Duration // while none was
	claims       []time.Duration
	reports      []time.Duration
}

func newSlave(t testing.TB, s *simulation, number int) *slave {
	one := &slave{farm: s, wheels: t, number: number, name: slaveName(number), rng: s.world.draw(drawSlave, int64(number)), queued: true}
	// They come one after the other: a farm is not switched on in one millisecond.
	one.back = time.Duration(number+1) * 10 * time.Millisecond
	one.dies = one.back + one.life()
	return one
}

func (o *slave) life() time.Duration {
	return time.Duration(o.rng.ExpFloat64() * float64(o.farm.world.lives))
}

// turn is when something happens to it.
func (o *slave) turn() time.Duration {
	switch {
	case o.back > 0:
		return o.back
	case o.lease != nil:
		return min(o.ends, o.beats, o.dies)
	}
	return min(o.asks, o.dies)
}

// act lets it happen.
func (o *slave) act(ctx context.Context) error {
	now := o.turn()
	switch {
	case o.back > 0:
		return o.hello(ctx, now)
	case now == o.dies:
		return o.die(now)
	case o.lease == nil:
		return o.ask(ctx, now)
	case now == o.ends:
		return o.report(ctx)
	}
	return o.beat(ctx)
}

// measured is what f takes of real time, of which simulated time is made.
func measured(f func() error) (time.Duration, error) {
	began := time.Now()
	err := f()
	return time.Since(began), err
}

func (o *slave) hello(ctx context.Context, now time.Duration) error {
	served := []bus.ServedTarget{}
	for _, t := range targets() {
		served = append(served, bus.ServedTarget{Target: t, Facts: farm.Facts{Python: t.Python()}})
	}
	took, err := measured(func() error {
		w := o.farm.dispatch.Hello(ctx, o.name, bus.Hello{Version: "simulated", Targets: served, Memory: 1 << 30})
		return refused(w.Error)
	})
	o.back, o.free, o.asks, o.queued, o.barred = 0, now, now+took, true, false
	return err
}

func refused(words string) error {
	if words == "" {
		return nil
	}
	return fmt.Errorf("refused: %s", words)
}

// die ends what is built. Nobody is told; the next hello frees the lease, or time.
func (o *slave) die(now time.Duration) error {
	if o.lease != nil {
		o.tally.lost++
		o.tally.busy += now - o.began
		o.lease = nil
	} else {
		o.rest(now)
	}
	down := restart
	if o.rng.Float64() < repaired {
		down = repair
	}
	if down > lease {
		o.farm.sweepAt(now + lease + lease/10)
	}
	o.back = now + down
	o.tally.down += down
	o.dies = o.back + o.life()
	return nil
}

// rest counts the time in which it had nothing to do.
func (o *slave) rest(now time.Duration) {
	if o.queued {
		o.tally.idle += now - o.free
		if o.barred {
			o.tally.barred += now - o.free
		}
	} else {
		o.tally.bored += now - o.free
	}
	o.free = now
}

func (o *slave) ask(ctx context.Context, now time.Duration) error {
	var reply bus.NextReply
	took, err := measured(func() error {
		reply = o.farm.dispatch.Next(ctx, o.name, bus.Next{Request: rand.Text(), Targets: targets()})
		return refused(reply.Error)
	})
	if err != nil {
		return err
	}
	now += took
	o.rest(now)
	if reply.Lease == nil {
		o.queued, err = o.farm.somethingQueued(ctx)
		o.asks, o.done, o.barred = now+askAgain, !o.queued, true
		return err
	}
	o.tally.claims = append(o.tally.claims, took)
	return o.take(reply.Lease, now)
}

// take begins a build.
func (o *slave) take(l *farm.Lease, now time.Duration) error {
	version, err := strconv.ParseInt(strings.TrimPrefix(l.Version, "1."), 10, 64)
	if err != nil {
		return fmt.Errorf("a lease of %s %s: %w", l.Package, l.Version, err)
	}
	b := o.farm.world.build(version+1, slices.Index(targets(), l.Target))
	takes, good := b.within(l.Limits.Timeout)
	o.lease, o.good, o.cause = l, good, farm.CompilerError
	if b.hangs || b.takes > l.Limits.Timeout {
		o.cause = farm.Timeout
	}
	o.began, o.ends, o.beats = now, now+takes, now+lease/3
	o.tally.builds++
	return nil
}

// beat renews the lease; the build goes on meanwhile.
func (o *slave) beat(ctx context.Context) error {
	o.beats += lease / 3
	reply := o.farm.dispatch.Beat(ctx, o.name, bus.Beat{Held: []string{o.lease.Token}, Doing: "building " + o.lease.Package})
	return refused(reply.Error)
}

// report brings the build home, and asks for the next one.
func (o *slave) report(ctx context.Context) error {
	r, away, err := o.result()
	if err != nil {
		return err
	}
	defer away()
	var reply bus.ReportReply
	took, err := measured(func() error {
		reply = o.farm.collect.Report(ctx, o.name, r)
		return refused(reply.Error)
	})
	if err != nil {
		return err
	}
	if !reply.Accepted || reply.Reason != "" {
		return fmt.Errorf("report of %s %s: accepted %v, %s", o.lease.Package, o.lease.Version, reply.Accepted, reply.Reason)
	}
	o.tally.reports = append(o.tally.reports, took)
	o.tally.busy += o.ends - o.began
	o.farm.home(o.ends + took)
	o.free, o.queued, o.barred, o.lease = o.ends, true, false, nil
	return o.ask(ctx, o.ends+took)
}

// result is what the build left: a real wheel of a few hundred bytes, or a failure.
func (o *slave) result() (r bus.Report, away func(), err error) {
	l := o.lease
	r = bus.Report{Token: l.Token, Job: l.Job, Outcome: farm.OutcomeFailed, Record: farm.Record{
		Seconds: (o.ends - o.began).Seconds(), PeakRSS: 90 << 20, Sandbox: "bwrap", OS: "Raspbian GNU/Linux 11 (bullseye)",
	}}
	if !o.good {
		r.Failure = farm.Failure{Cause: o.cause, Detail: "main.c"}
		r.Excerpt = "error: command 'gcc' failed with exit status 1"
		return r, func() {}, nil
	}
	version, err := strconv.ParseInt(strings.TrimPrefix(l.Version, "1."), 10, 64)
	if err != nil {
		return r, nil, err
	}
	tag := "py3-none-any"
	if !o.farm.world.isPure(version + 1) {
		tag = l.Target.ABI + "-" + l.Target.ABI + "-" + l.Target.Platform
	}
	name, wheel := farmtest.Wheel(o.wheels, l.Package, l.Version, tag, []byte("version = '"+l.Version+"'\n"))
	sum := sha256.Sum256(wheel)
	f := farm.File{Name: name, SHA256: hex.EncodeToString(sum[:]), Size: int64(len(wheel))}
	r.Outcome, r.Wheels = farm.OutcomeBuilt, []farm.File{f}
	return r, o.farm.shelf.lay(f, wheel), nil
}

// wake ends the wait for a queue that has something again. Whoever waits does not
// die of it.
func (o *slave) wake(now time.Duration) {
	now = max(o.free, now)
	o.rest(now)
	o.done, o.queued, o.barred, o.asks = false, true, false, now
	if o.dies < now {
		o.dies = now + o.life()
	}
}
