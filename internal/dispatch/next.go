package dispatch

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"pinwheel/internal/bus"
	"pinwheel/internal/crash"
	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// Next leases a job to a slave, or waits a little for one to be queued.
func (d *Dispatcher) Next(ctx context.Context, name string, n bus.Next) bus.NextReply {
	lease, err := d.lease(ctx, name, n)
	if errors.Is(err, errDismissed) { // nobody hears it, and nothing is wrong
		return bus.NextReply{Error: err.Error()}
	}
	if err != nil {
		d.refused(name, "next", err)
		return bus.NextReply{Error: err.Error()}
	}
	d.refusals.over(refusal{name, "next"})
	if lease != nil {
		d.served.now(name)
		// Row before answer: a lease that the slave does not hear of is found by
		// the request's id when it asks again, but an answer without a row would
		// be work for nobody.
		crash.At(crash.DispatchLeased)
		d.cfg.Log.Info().Str("slave", name).Int64("job", lease.Job).Str("package", lease.Package).
			Str("version", lease.Version).Str("target", lease.Target.String()).Msg("leased")
		d.tell(bus.Event{Kind: "leased", Package: lease.Package, Version: lease.Version, Target: lease.Target.String(), Slave: name,
			Detail: fmt.Sprintf("build %d", lease.Build)})
	}
	return bus.NextReply{Lease: lease}
}

// lease claims by what is known of the slave, and if that gives nothing by what the
// rows say of it now, which is also what a refusal stands on. Only then it waits.
func (d *Dispatcher) lease(ctx context.Context, name string, n bus.Next) (*farm.Lease, error) {
	if who, ok := d.known.get(name); ok {
		lease, err := d.leaseTo(ctx, who, n, d.claim)
		if err == nil && lease != nil || errors.Is(err, errDismissed) || errors.Is(err, farm.ErrNoAnswer) {
			return lease, err
		}
		d.known.forget(name)
	}
	slave, err := d.slave(ctx, name)
	if err != nil {
		return nil, err
	}
	targets, err := d.cfg.Store.Targets(ctx)
	if err != nil {
		return nil, err
	}
	who := acquaintance{slave: slave, targets: targets}
	lease, err := d.leaseTo(ctx, who, n, d.await)
	if lease != nil {
		d.known.keep(name, who)
	}
	return lease, err
}

// leaseTo claims a job, by await or without waiting.
func (d *Dispatcher) leaseTo(
	ctx context.Context, who acquaintance, n bus.Next, claim func(ctx, waiting context.Context, c store.ClaimRequest) (*farm.Lease, error),
) (*farm.Lease, error) {
	c, err := d.claimFor(ctx, who, n)
	if err != nil {
		return nil, err
	}
	// A slave that asks anew has its answer to what it asked before, or forgot it.
	d.questions.dismiss(who.slave.Name, n.Request)
	waiting, over := d.questions.begin(ctx, who.slave.Name, n.Request)
	defer over()
	lease, err := claim(ctx, waiting, c)
	if cause := context.Cause(waiting); lease == nil && err == nil && errors.Is(cause, errDismissed) {
		return nil, cause
	}
	return lease, err
}

func (d *Dispatcher) claimFor(ctx context.Context, who acquaintance, n bus.Next) (store.ClaimRequest, error) {
	c := store.ClaimRequest{
		Slave: who.slave.ID, Request: n.Request, Token: rand.Text(), Length: d.cfg.Lease, Most: d.cfg.ProjectLeases,
		Memory: who.slave.Memory, Since: d.served.since(who.slave.Name),
	}
	if n.Request == "" {
		return c, errors.New("a request for work without an id, which a repeat could not name")
	}
	packages, err := d.cfg.Store.PackagesOf(ctx, who.slave)
	if err != nil {
		return c, err
	}
	if packages != nil {
		c.Packages = map[int64][]string{}
	}
	for _, r := range who.targets { // in the farm's order, lowest Python first
		for _, t := range n.Targets {
			if r.Target == t {
				c.Targets = append(c.Targets, r.ID)
				if packages != nil {
					c.Packages[r.ID] = packages.On(t.String())
				}
			}
		}
	}
	if len(c.Targets) == 0 { // it said hello, so they were retired since
		return c, fmt.Errorf("none of the targets %v is one of this farm's any more; `master target add` brings one back", n.Targets)
	}
	return c, nil
}

// await claims, and while there is nothing to claim waits to be woken, until
// waiting ends. The channel is taken before the claim: a wake-up between the two
// is not missed. A claim under way is not broken off with the question, for it
// might be committed all the same: who dismisses the question would not see it. A
// paused slave can claim nothing, and waits like the others.
func (d *Dispatcher) await(ctx, waiting context.Context, c store.ClaimRequest) (*farm.Lease, error) {
	deadline := time.NewTimer(d.poll)
	defer deadline.Stop()
	for waiting.Err() == nil {
		woken := d.wake.next()
		if lease, err := d.claim(ctx, waiting, c); lease != nil || err != nil {
			return lease, err
		}
		c.Woken = false
		d.waits()
		select {
		case <-woken:
			c.Woken = true
		case <-deadline.C:
			return nil, nil
		case <-waiting.Done():
		}
	}
	return nil, nil
}

// claim is one look at the queue.
func (d *Dispatcher) claim(ctx, _ context.Context, c store.ClaimRequest) (*farm.Lease, error) {
	lease, ok, err := d.cfg.Store.Claim(ctx, c)
	if err != nil || !ok {
		return nil, err
	}
	lease.Limits = lease.Limits.For(lease.Recipe, d.cfg.Limits)
	return &lease, nil
}
