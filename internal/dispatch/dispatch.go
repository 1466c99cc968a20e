// Package dispatch is the stage that gives queued jobs to slaves. Input: rows of
// the queue, and the slaves' hello, next and beat. Output: leases, which are
// rows first and messages second. It owns the leases' clock: it renews, frees
// and expires them. After a crash every lease still stands in the database, the
// slave goes on building, and the next dispatch renews it at the next beat. It
// never looks at wheels and never calls another stage.
package dispatch

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"pinwheel/internal/bus"
	"pinwheel/internal/crash"
	"pinwheel/internal/farm"
	"pinwheel/internal/service"
	"pinwheel/internal/store"
)

// DefaultLease is how long a lease lives without a heartbeat.
const DefaultLease = 90 * time.Second

// longPoll is how long a slave's `next` waits for work: a little less than the
// five seconds after which the slave asks again.
const longPoll = 4 * time.Second

// inFlight is the age below which a lease that a beat does not mention is left
// alone: the reply that brings it may have crossed the beat.
const inFlight = 10 * time.Second

// Config says what a dispatcher works with.
type Config struct {
	Store    *store.Store
	HTTP     string        // base URL that slaves are told to upload to
	Upstream string        // the index that builds use
	Lease    time.Duration // 0: DefaultLease
	Limits   farm.Limits   // of a build; zero: the defaults
	Wire     func() bool   // can slaves reach us right now? nil: always
	Log      zerolog.Logger
}

// Dispatcher answers slaves. Make it with New and register its Hello, Next and
// Beat on the bus while Run runs.
type Dispatcher struct {
	cfg       Config
	wake      *broadcast
	questions questions
}

// New makes a dispatcher; it does nothing until Run.
func New(cfg Config) *Dispatcher {
	cfg.Lease = cmp.Or(cfg.Lease, DefaultLease)
	cfg.Log = cfg.Log.With().Str("part", "dispatch").Logger()
	return &Dispatcher{cfg: cfg, wake: newBroadcast()}
}

// Run wakes waiting slaves when work is queued and takes back expired leases,
// until ctx ends.
func (d *Dispatcher) Run(ctx context.Context) error {
	return service.RunAll(ctx,
		service.Part{Name: "listen", Run: func(ctx context.Context) error {
			return d.cfg.Store.Listen(ctx, store.QueueChannel, func(string) { d.wake.all() })
		}},
		service.Part{Name: "sweep", Run: d.sweep},
	)
}

// sweep expires leases. It waits one whole lease first, and again after every
// outage: slaves could not renew while the master, the database or NATS was away.
func (d *Dispatcher) sweep(ctx context.Context) error {
	notBefore := time.Now().Add(d.cfg.Lease)
	return service.Loop{
		Every: d.cfg.Lease / 10,
		Log:   d.cfg.Log,
		Do: func(ctx context.Context) error {
			if d.cfg.Wire != nil && !d.cfg.Wire() {
				notBefore = time.Now().Add(d.cfg.Lease)
			}
			if time.Now().Before(notBefore) {
				return d.cfg.Store.Ping(ctx) // to see an outage that begins and ends while we wait
			}
			n, err := d.cfg.Store.Sweep(ctx, d.cfg.Lease)
			if err != nil {
				notBefore = time.Now().Add(d.cfg.Lease)
				return err
			}
			if n > 0 {
				d.cfg.Log.Warn().Int64("leases", n).Msg("expired leases taken back")
			}
			return nil
		},
	}.Run(ctx)
}

// Hello registers a slave's facts, frees what it no longer holds, and tells it
// the farm's settings.
func (d *Dispatcher) Hello(ctx context.Context, name string, h bus.Hello) bus.Welcome {
	slave, err := d.slave(ctx, name)
	if err != nil {
		return bus.Welcome{Error: err.Error()}
	}
	w, err := d.welcome(ctx, slave, h)
	if err != nil {
		d.cfg.Log.Warn().Err(err).Str("slave", name).Msg("hello refused")
		return bus.Welcome{Error: err.Error()}
	}
	d.cfg.Log.Info().Str("slave", name).Str("version", h.Version).Int("held", len(h.Held)).Msg("slave said hello")
	return w
}

func (d *Dispatcher) welcome(ctx context.Context, slave store.SlaveRow, h bus.Hello) (bus.Welcome, error) {
	if err := d.checkTargets(ctx, h); err != nil {
		return bus.Welcome{}, err
	}
	if err := d.cfg.Store.SlaveSaidHello(ctx, slave.ID, h); err != nil {
		return bus.Welcome{}, err
	}
	// At once, without grace: a slave that says hello has no question under way, at
	// most one that it will put again.
	if err := d.freeOthers(ctx, slave, h.Held, h.Asking, 0); err != nil {
		return bus.Welcome{}, err
	}
	gone, err := d.cfg.Store.Renew(ctx, slave.ID, h.Held, d.cfg.Lease, "", bus.Beat{Held: h.Held})
	if err != nil {
		return bus.Welcome{}, err
	}
	drop, err := d.useless(ctx, slave.ID, gone)
	// All of it may be done again: a slave without an answer says the same hello.
	crash.At(crash.DispatchGreeted)
	return bus.Welcome{
		HTTP: d.cfg.HTTP, Index: d.cfg.HTTP + "/simple/", Upstream: d.cfg.Upstream,
		Beat: d.cfg.Lease / 3, Lease: d.cfg.Lease, Drop: drop,
	}, err
}

// freeOthers takes back what the slave neither holds nor asks for.
func (d *Dispatcher) freeOthers(ctx context.Context, slave store.SlaveRow, held []string, asking string, grace time.Duration) error {
	if grace == 0 {
		d.questions.dismiss(slave.ID, asking)
	}
	_, err := d.cfg.Store.FreeOthers(ctx, slave.ID, held, asking, grace)
	return err
}

// checkTargets holds a slave's targets against the farm's and learns the facts
// that the farm did not have.
func (d *Dispatcher) checkTargets(ctx context.Context, h bus.Hello) error {
	known, err := d.cfg.Store.Targets(ctx)
	if err != nil {
		return err
	}
	for _, served := range h.Targets {
		if !contains(known, served.Target) {
			return fmt.Errorf("target %s is not one of this farm's; run `master target add %s`", served.Target, served.Target)
		}
		if err := d.cfg.Store.FillTargetFacts(ctx, served.Target, served.Facts); err != nil {
			return err
		}
	}
	return nil
}

func contains(rows []store.TargetRow, t farm.Target) bool {
	for _, r := range rows {
		if r.Target == t {
			return true
		}
	}
	return false
}

// useless picks, of the tokens that are leases no longer, those whose work can
// not count any more. A lease that merely expired is worth finishing: good work
// is never thrown away (design 4).
func (d *Dispatcher) useless(ctx context.Context, slave int64, gone []string) ([]string, error) {
	var drop []string
	for _, token := range gone {
		i, err := d.cfg.Store.Issued(ctx, slave, token)
		switch {
		case errors.Is(err, farm.ErrNotFound):
			drop = append(drop, token)
		case err != nil:
			return nil, err
		case i.Ended || !i.Counts():
			drop = append(drop, token)
		}
	}
	return drop, nil
}

// Next leases a job to a slave, or waits a little for one to be queued.
func (d *Dispatcher) Next(ctx context.Context, name string, n bus.Next) bus.NextReply {
	slave, err := d.slave(ctx, name)
	if err != nil {
		return bus.NextReply{Error: err.Error()}
	}
	if slave.Paused || n.Request == "" {
		return bus.NextReply{}
	}
	claim, err := d.claimFor(ctx, slave, n)
	if err != nil {
		return bus.NextReply{Error: err.Error()}
	}
	// A slave that asks anew has its answer to what it asked before, or forgot it.
	d.questions.dismiss(slave.ID, n.Request)
	ctx, over := d.questions.begin(ctx, slave.ID, n.Request)
	lease, err := d.await(ctx, claim)
	over()
	if dismissed := context.Cause(ctx); lease == nil && errors.Is(dismissed, errDismissed) {
		return bus.NextReply{Error: dismissed.Error()}
	}
	if err != nil {
		d.cfg.Log.Error().Err(err).Str("slave", name).Msg("claim failed")
		return bus.NextReply{Error: err.Error()}
	}
	if lease != nil {
		// Row before answer: a lease that the slave does not hear of is found by
		// the request's id when it asks again, but an answer without a row would
		// be work for nobody.
		crash.At(crash.DispatchLeased)
		d.cfg.Log.Info().Str("slave", name).Int64("job", lease.Job).Str("package", lease.Package).
			Str("version", lease.Version).Str("target", lease.Target.String()).Msg("leased")
	}
	return bus.NextReply{Lease: lease}
}

func (d *Dispatcher) claimFor(ctx context.Context, slave store.SlaveRow, n bus.Next) (store.ClaimRequest, error) {
	rows, err := d.cfg.Store.Targets(ctx)
	if err != nil {
		return store.ClaimRequest{}, err
	}
	c := store.ClaimRequest{Slave: slave.ID, Request: n.Request, Token: rand.Text(), Length: d.cfg.Lease}
	for _, r := range rows { // in the farm's order, lowest Python first
		for _, t := range n.Targets {
			if r.Target == t {
				c.Targets = append(c.Targets, r.ID)
			}
		}
	}
	return c, nil
}

// await claims, and while there is nothing to claim waits to be woken. The
// channel is taken before the claim: a wake-up between the two is not missed.
func (d *Dispatcher) await(ctx context.Context, c store.ClaimRequest) (*farm.Lease, error) {
	deadline := time.NewTimer(longPoll)
	defer deadline.Stop()
	for {
		woken := d.wake.next()
		lease, ok, err := d.cfg.Store.Claim(ctx, c)
		if err != nil {
			return nil, err
		}
		if ok {
			lease.Limits = d.cfg.Limits.Fill()
			return &lease, nil
		}
		select {
		case <-woken:
		case <-deadline.C:
			return nil, nil
		case <-ctx.Done():
			return nil, nil
		}
	}
}

// Beat renews a slave's leases and tells it which builds have become useless.
func (d *Dispatcher) Beat(ctx context.Context, name string, b bus.Beat) bus.BeatReply {
	slave, err := d.slave(ctx, name)
	if err != nil {
		return bus.BeatReply{Error: err.Error()}
	}
	abort, err := d.renew(ctx, slave, b)
	if err != nil {
		d.cfg.Log.Error().Err(err).Str("slave", name).Msg("beat not kept")
		return bus.BeatReply{Error: err.Error()}
	}
	return bus.BeatReply{Abort: abort, Paused: slave.Paused}
}

func (d *Dispatcher) renew(ctx context.Context, slave store.SlaveRow, b bus.Beat) ([]string, error) {
	gone, err := d.cfg.Store.Renew(ctx, slave.ID, b.Held, d.cfg.Lease, b.Doing, b)
	if err != nil {
		return nil, err
	}
	grace := inFlight
	if b.Leaving {
		grace = 0
	}
	if err := d.freeOthers(ctx, slave, b.Held, b.Asking, grace); err != nil {
		return nil, err
	}
	return d.useless(ctx, slave.ID, gone)
}

// slave finds who speaks. The name comes from the subject, which the bus let
// only the holder of its credentials use.
func (d *Dispatcher) slave(ctx context.Context, name string) (store.SlaveRow, error) {
	s, err := d.cfg.Store.Slave(ctx, name)
	if errors.Is(err, farm.ErrNotFound) {
		return s, fmt.Errorf("slave %s is not enrolled here; run `master enroll %s`", name, name)
	}
	if err == nil && s.Revoked {
		return s, fmt.Errorf("slave %s was revoked", name)
	}
	return s, err
}
