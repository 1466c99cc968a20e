package ingest

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"pinwheel/internal/farm"
	"pinwheel/internal/pypi"
	"pinwheel/internal/service"
	"pinwheel/internal/store"
)

// Index is the upstream as it is followed. Its errors are pypi's sentinels; any
// other error says that the answer was none, and tells nothing of the project.
type Index interface {
	ProjectAt(ctx context.Context, name string, seen pypi.Seen, serial int64) (pypi.Project, error)
	Changes(ctx context.Context, since int64) (pypi.Changes, error)
	LastSerial(ctx context.Context) (int64, error)
	Names(ctx context.Context, etag string, visit func(pypi.Listed) error) (pypi.NamesInfo, error)
}

// FollowConfig says how the upstream is followed. Zero fields take the defaults
// named here.
type FollowConfig struct {
	Store *store.Store
	Index Index

	// Upstream is what Index is called, without credentials: serials and ETags are its
	// own, and are forgotten when another one is followed. Empty: always the same.
	Upstream string

	// Leaves is the index that was followed before, where the farm is to follow another
	// one from now on. Without that word it refuses to.
	Leaves string

	// Large is the same index with a higher bound on answers, for the few projects
	// whose pages Index refuses as too big: it is asked for one at a time, so that
	// memory is bounded by one large page beside Requests usual ones. Nil: Index.
	Large Index

	// Stats are the counts of Index and Large, which end up in the database.
	Stats []func() pypi.Stats

	Policy farm.Policy
	Log    zerolog.Logger
	Now    func() time.Time // of day, time.Now

	// Quiet leaves the upstream's events and the walks by the clock alone: only what
	// people ask for is read.
	Quiet bool

	Poll      time.Duration // between two looks at the changelog; 10 s
	Requests  int           // projects asked for at once; 8
	WalkEvery time.Duration // between two lists of names, where there is no changelog; 10 min
	Nightly   time.Duration // after local midnight, when all names are compared; 0 is midnight
	Reread    time.Duration // after which a project is read again unasked; 30 days
}

// Follower keeps the database in agreement with the upstream. Four loops share
// the work, and what one leaves to another are rows:
//
//   - the poll fills the worklist `reading` from the changelog, or where there is
//     none from the list of names, and moves the serial in the same transaction;
//   - the walks fill it from the list of names: all of them once (backfill), what
//     differs every night, what has not been read for long;
//   - the reader takes names from it, asks, and makes the rows of these projects
//     agree, in the transaction that takes the names off the list;
//   - the plan decides everything anew when targets, live slaves or policy change.
//
// So a crash costs requests in flight, a project that cannot be read waits on the
// list without standing in the way of another, and doing anything twice is harmless.
type Follower struct {
	cfg    FollowConfig
	log    zerolog.Logger
	times  times
	now    func() time.Time
	wake   chan struct{} // the reader: something is due
	look   chan struct{} // the walks: one was asked for
	stage  stage         // what everything is decided by
	mass   *allowance    // of removals that nobody announced
	large  sync.Mutex    // held while Large is asked
	idle   func()        // for tests: called when nothing is due and nothing under way
	faults faults

	spelled spelled
}

// times are the pauses that no operator sets; tests shorten them.
type times struct {
	firstPause, longPause time.Duration // after the changelog's troubles
	absent                time.Duration // until a changelog that there is not is asked for again
	behindCheck           time.Duration // between two looks whether the upstream's serial is behind ours
	behindSaid            time.Duration // for so long it may be, before people are told
	twice                 time.Duration // between two 404s that are believed
	stale                 []time.Duration
	unread                time.Duration // after a first failure of a project, then growing
	unreadMost            time.Duration
	badMost               time.Duration // likewise of pages that do not parse
	lease                 time.Duration // of a name that is being read
	rescan                time.Duration // notifications may be lost
	away                  time.Duration // first pause of a reader that gets nothing from anybody
	awayMost              time.Duration
	aged                  time.Duration // between two looks for projects not read for long
	plan                  time.Duration // between two looks at targets and slaves
	list, listMost        time.Duration // after a list of names that failed
	watch                 time.Duration // between two looks at how far a backfill is
}

func usualTimes() times {
	return times{
		firstPause: time.Second, longPause: 5 * time.Minute, absent: time.Hour,
		behindCheck: 10 * time.Minute, behindSaid: time.Hour, twice: time.Hour,
		stale: []time.Duration{
			2 * time.Second, 5 * time.Second, 15 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute,
		},
		unread: 5 * time.Second, unreadMost: time.Hour, badMost: 24 * time.Hour,
		lease: 10 * time.Minute, rescan: 15 * time.Second, away: 10 * time.Second, awayMost: 10 * time.Minute,
		aged: time.Hour, plan: 10 * time.Second, watch: time.Second, list: 10 * time.Second, listMost: 10 * time.Minute,
	}
}

// NewFollower makes a follower; it does nothing until Run or Backfill.
func NewFollower(cfg FollowConfig) *Follower {
	cfg.Poll = cmp.Or(cfg.Poll, 10*time.Second)
	cfg.Requests = cmp.Or(cfg.Requests, 8)
	cfg.WalkEvery = cmp.Or(cfg.WalkEvery, 10*time.Minute)
	cfg.Reread = cmp.Or(cfg.Reread, 30*24*time.Hour)
	if cfg.Large == nil {
		cfg.Large = cfg.Index
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	f := &Follower{
		cfg: cfg, log: cfg.Log.With().Str("part", "ingest").Logger(), times: usualTimes(), now: cfg.Now,
		wake: make(chan struct{}, 1), look: make(chan struct{}, 1),
		idle: func() {}, spelled: spelled{by: map[string]heard{}},
	}
	f.cfg.Index = &patientIndex{Index: cfg.Index, now: time.Now, times: &f.times}
	f.mass = newAllowance(massLimit, massWindow)
	f.faults = faults{store: cfg.Store, stats: cfg.Stats, own: map[string]int64{}, told: map[string]int64{}, detail: map[string]string{}}
	return f
}

// leaderKey is by which of several masters on one database one follows.
const leaderKey = "ingest"

// Run follows until ctx ends. Of several on one database one does, and another
// takes over within seconds when it ends.
func (f *Follower) Run(ctx context.Context) error {
	parts := append(f.reading(), service.Part{Name: "plan", Run: f.plan})
	if !f.cfg.Quiet {
		parts = append(parts, service.Part{Name: "poll", Run: f.poll}, service.Part{Name: "clock", Run: f.byTheClock})
	}
	return f.lead(ctx, parts)
}

// lead runs the parts whenever nobody else on this database does.
func (f *Follower) lead(ctx context.Context, parts []service.Part) error {
	return f.cfg.Store.WhileLeader(ctx, leaderKey, func(ctx context.Context) error {
		if err := f.begin(ctx); err != nil {
			return err
		}
		return service.RunAll(ctx, parts...)
	})
}

// reading are the parts that do what is on the lists.
func (f *Follower) reading() []service.Part {
	return []service.Part{
		{Name: "listen", Run: func(ctx context.Context) error {
			return f.cfg.Store.Listen(ctx, store.ReadingChannel, func(string) { wake(f.wake); wake(f.look) })
		}},
		{Name: "walk", Run: f.walks},
		{Name: "read", Run: f.read},
		{Name: "faults", Run: f.faults.run(f.log)},
	}
}

// begin waits until the database tells what everything is decided by. Who reads
// now is alone, so what others had in work is free.
func (f *Follower) begin(ctx context.Context) error {
	return f.persist(ctx, "begin to follow", func(ctx context.Context) error {
		if err := f.follows(ctx); err != nil {
			return err
		}
		if _, err := f.survey(ctx); err != nil {
			return err
		}
		return f.cfg.Store.FreeReading(ctx)
	})
}

// follows forgets the words of another upstream.
func (f *Follower) follows(ctx context.Context) error {
	if f.cfg.Upstream == "" {
		return nil
	}
	former, err := f.cfg.Store.Follows(ctx, f.cfg.Upstream, f.cfg.Leaves)
	if err == nil && former != "" {
		f.log.Warn().Str("former", former).Str("upstream", f.cfg.Upstream).
			Msg("another upstream is followed from now on: all projects are read again")
	}
	return err
}

// persist does something until it works, is refused, or ctx ends: the database comes
// back by itself.
func (f *Follower) persist(ctx context.Context, what string, do func(context.Context) error) error {
	pause := growing{first: time.Second, most: 30 * time.Second}
	for ctx.Err() == nil {
		err := do(ctx)
		if err == nil || errors.Is(err, farm.ErrConflict) {
			return err // of two words the farm does not choose one
		}
		if ctx.Err() == nil {
			f.log.Error().Err(err).Msg(what)
		}
		sleep(ctx, pause.next(), nil)
	}
	return ctx.Err()
}

// growing is a pause that doubles, with jitter: farms that fail together must not
// come back together.
type growing struct{ first, most, last time.Duration }

func (g *growing) next() time.Duration {
	g.last = min(max(2*g.last, g.first), g.most)
	return jitter(g.last, 4)
}

func (g *growing) reset() { g.last = 0 }

// jitter changes d by up to a part of it, both ways.
func jitter(d time.Duration, part int64) time.Duration {
	return d + time.Duration(rand.Int64N(2*int64(d)/part+1)-int64(d)/part)
}

// sleep waits, for a wake-up too; false says that ctx ended.
func sleep(ctx context.Context, d time.Duration, woken <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-woken:
	case <-t.C:
	}
	return ctx.Err() == nil
}

// wake never blocks: a loop that is to be woken already will see this change too.
func wake(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
