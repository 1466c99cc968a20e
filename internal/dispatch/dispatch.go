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

// DefaultProjectLeases is how many jobs of one project are built at once: enough
// to get on with a large one, and not enough to keep the others waiting.
const DefaultProjectLeases = 4

// longPoll is how long a slave's `next` waits for work: a little less than the
// five seconds after which the slave asks again.
const longPoll = 4 * time.Second

// inFlight is the age below which a lease that a beat does not mention is left
// alone: the reply that brings it may have crossed the beat.
const inFlight = 10 * time.Second

// lookEvery is how often those are looked after who wait for build requirements.
// What comes and goes by reports is told at once; this is for the rest.
const lookEvery = time.Minute

// longestRound is more than any statement of a sweep takes, also after an outage.
const longestRound = 10 * time.Minute

// Config says what a dispatcher works with.
type Config struct {
	Store    *store.Store
	HTTP     string        // base URL that slaves are told to upload to
	Upstream string        // the index that builds use
	Lease    time.Duration // 0: DefaultLease
	// ProjectLeases is how many jobs of one project may be leased at once, by all
	// masters of the farm; 0: DefaultProjectLeases.
	ProjectLeases int
	Limits        farm.Limits     // of a build; zero: the defaults
	Wait          time.Duration   // for work, of a question; 0: a little less than a slave's patience
	Wire          func() bool     // can slaves reach us right now? nil: always
	Tell          func(bus.Event) // whoever watches; may be nil
	Log           zerolog.Logger
}

// Dispatcher answers slaves. Make it with New and register its Hello, Next, Beat
// and Overheard on the bus while Run runs.
type Dispatcher struct {
	cfg       Config
	wake      *broadcast
	questions questions
	refusals  refusals
	known     known
	served    served
	poll      time.Duration
	waits     func() // for tests: called when a question begins to wait
}

// New makes a dispatcher; it does nothing until Run.
func New(cfg Config) *Dispatcher {
	cfg.Lease = cmp.Or(cfg.Lease, DefaultLease)
	cfg.ProjectLeases = cmp.Or(cfg.ProjectLeases, DefaultProjectLeases)
	cfg.Log = cfg.Log.With().Str("part", "dispatch").Logger()
	return &Dispatcher{cfg: cfg, wake: newBroadcast(), poll: cmp.Or(cfg.Wait, longPoll), waits: func() {}}
}

// Run wakes waiting slaves when work is queued and takes back expired leases,
// until ctx ends.
func (d *Dispatcher) Run(ctx context.Context) error {
	return service.RunAll(ctx,
		service.Part{Name: "listen", Run: func(ctx context.Context) error {
			return d.cfg.Store.Listen(ctx, store.QueueChannel, func(string) { d.wake.all() })
		}},
		service.Part{Name: "sweep", Run: d.sweep},
		service.Part{Name: "waiting", Run: service.Loop{Every: lookEvery, Log: d.cfg.Log, Do: d.cfg.Store.LookAfterWaiting}.Run},
	)
}

// sweep takes expired leases back until ctx ends.
func (d *Dispatcher) sweep(ctx context.Context) error {
	s := newSweeper(d.cfg.Lease, time.Now)
	s.ping, s.take = d.cfg.Store.Ping, d.takeExpired
	if d.cfg.Wire != nil {
		s.wire = d.cfg.Wire
	}
	return service.Loop{Every: d.cfg.Lease / 10, Log: d.cfg.Log, Do: s.round, Longest: longestRound}.Run(ctx)
}

func (d *Dispatcher) takeExpired(ctx context.Context) error {
	n, err := d.cfg.Store.Sweep(ctx, d.cfg.Lease)
	if n > 0 {
		d.cfg.Log.Warn().Int64("leases", n).Msg("expired leases taken back")
		d.tell(bus.Event{Kind: "lost", Detail: fmt.Sprintf("leases whose slave was not heard: %d", n)})
	}
	return err
}

// Hello registers a slave's facts, frees what it no longer holds, and tells it
// the farm's settings.
func (d *Dispatcher) Hello(ctx context.Context, name string, h bus.Hello) bus.Welcome {
	w, err := d.welcome(ctx, name, h)
	if err != nil {
		d.refused(name, "hello", err)
		return bus.Welcome{Error: err.Error()}
	}
	d.refusals.over(refusal{name, "hello"})
	d.cfg.Log.Info().Str("slave", name).Str("version", h.Version).Int("held", len(h.Held)).Msg("slave said hello")
	for _, b := range h.Broken {
		d.cfg.Log.Warn().Str("slave", name).Str("root", b.Root).Str("why", b.Why).Msg("slave cannot serve one of its targets")
	}
	d.tell(bus.Event{Kind: "hello", Slave: name, Detail: h.Version})
	return w
}

// tell is for whoever watches; nothing depends on it.
func (d *Dispatcher) tell(e bus.Event) {
	if d.cfg.Tell != nil {
		d.cfg.Tell(e)
	}
}

func (d *Dispatcher) welcome(ctx context.Context, name string, h bus.Hello) (bus.Welcome, error) {
	d.known.forget(name) // it may be another machine now
	slave, err := d.slave(ctx, name)
	if err != nil {
		return bus.Welcome{}, err
	}
	if err := d.learn(ctx, h.Targets); err != nil {
		return bus.Welcome{}, err
	}
	// At once, without grace: a slave that says hello has no question under way, at
	// most one that it will put again.
	drop, err := d.heard(ctx, name, store.Word{Slave: slave.ID, Machine: machine(h), Held: h.Held, Asking: h.Asking})
	if err != nil {
		return bus.Welcome{}, err
	}
	// All of it may be done again: a slave without an answer says the same hello.
	crash.At(crash.DispatchGreeted)
	return bus.Welcome{
		HTTP: d.cfg.HTTP, Index: d.cfg.HTTP + "/simple/", Upstream: d.cfg.Upstream,
		Beat: d.cfg.Lease / 3, Lease: d.cfg.Lease, Drop: drop, Now: slave.Now,
	}, nil
}

// heard renews what the slave holds and takes back what it neither holds nor asks
// for. It returns what of the held is of no use any more.
func (d *Dispatcher) heard(ctx context.Context, name string, w store.Word) ([]string, error) {
	if w.Grace == 0 {
		d.questions.dismiss(name, w.Asking)
	}
	w.Length = d.cfg.Lease
	gone, err := d.cfg.Store.Heard(ctx, w)
	if err != nil {
		return nil, err
	}
	return d.useless(ctx, w.Slave, gone)
}

// Overheard is a hello that another master may answer. What the slave asked of us
// before has no hearer any more; the other one cannot know of it.
func (d *Dispatcher) Overheard(name string, h bus.Hello) {
	d.known.forget(name)
	d.questions.drop(name, h.Asking)
}

func machine(h bus.Hello) *farm.Machine {
	m := &farm.Machine{Version: h.Version, Model: h.Machine, OS: h.OS, Memory: h.Memory, Packages: h.Packages}
	for _, t := range h.Targets {
		m.Targets = append(m.Targets, farm.Served(t))
	}
	return m
}

func pulse(b bus.Beat) *farm.Pulse {
	return &farm.Pulse{
		Doing: b.Doing, Load: b.Load, Temperature: b.Temperature, MemoryFree: b.MemoryFree, DiskFree: b.DiskFree,
		Throttled: b.Throttled, Unfit: b.Unfit,
	}
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

// Beat renews a slave's leases and tells it which builds have become useless.
func (d *Dispatcher) Beat(ctx context.Context, name string, b bus.Beat) bus.BeatReply {
	reply, err := d.renew(ctx, name, b)
	if err != nil {
		d.refused(name, "beat", err)
		return bus.BeatReply{Error: err.Error()}
	}
	d.refusals.over(refusal{name, "beat"})
	return reply
}

func (d *Dispatcher) renew(ctx context.Context, name string, b bus.Beat) (bus.BeatReply, error) {
	slave, err := d.slave(ctx, name)
	if err != nil {
		return bus.BeatReply{}, err
	}
	grace := inFlight
	if b.Leaving {
		grace = 0
	}
	abort, err := d.heard(ctx, name, store.Word{Slave: slave.ID, Pulse: pulse(b), Held: b.Held, Asking: b.Asking, Grace: grace})
	return bus.BeatReply{Abort: abort, Paused: slave.Paused, Now: slave.Now}, err
}

// refused keeps a trace of what a slave was told. It is a warning: the slave asks
// again, and of a database that is away the loops say it louder. What it was told
// the last time is for debugging only.
func (d *Dispatcher) refused(name, kind string, err error) {
	level := zerolog.WarnLevel
	if d.refusals.again(refusal{name, kind}, err.Error()) {
		level = zerolog.DebugLevel
	}
	d.cfg.Log.WithLevel(level).Err(err).Str("slave", name).Msg(kind + " refused")
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
