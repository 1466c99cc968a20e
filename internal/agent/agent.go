package agent

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"pinwheel/internal/builder"
	"pinwheel/internal/bus"
	"pinwheel/internal/certs"
	"pinwheel/internal/machine"
	"pinwheel/internal/proc"
	"pinwheel/internal/proxy"
)

// Config is the manual of New.
type Config struct {
	Conn     *bus.Conn    // with a slave's credentials; its owner closes it after Run
	StateDir string       // made if need be; one agent at a time; the build user must be able to enter it
	Targets  []Target     // what this slave serves, at least one
	Broken   []Broken     // what it was to serve and cannot; told to the master
	Mode     builder.Mode // how builds are fenced
	User     proc.User    // as whom builds run
	Version  string       // of this program
	Log      zerolog.Logger
	Certs    *certs.Certs // whom uploads and the farm's index trust; nil: the system's

	// Allow are networks that builds may reach although they are not public, Deny those
	// that they may not reach although they are. ProxyNames is as Config.ParentNames of
	// package proxy, Helper as in builder.Build.
	Allow, Deny []netip.Prefix
	ProxyNames  bool
	CacheDir    string // of what builds took from indexes; empty: cache/ below StateDir
	Helper      string

	Now     func() time.Time // of day, for the records of builds; nil: time.Now
	Sensors machine.Sensors  // of this machine
	Fitness Fitness          // without which no job is asked for

	// Alive, if set, hears from the loops that talk to the master, at the latest after
	// the time that it was given the last time. It must be quick.
	Alive func(within time.Duration)

	// Observe, if set, hears of each step of a lease, with its token. It is
	// called by the loops themselves, so it must be quick.
	Observe func(step Step, token string)
}

// Step is one of the things that Config.Observe hears of.
type Step string

// The steps, in the order of a lease's life.
const (
	Greeted  Step = "greeted"  // the master took our hello; no token
	Leased   Step = "leased"   // a job came
	Spooled  Step = "spooled"  // its result is safe on disk
	Dropped  Step = "dropped"  // its build was ended or lost; there is no result
	Accepted Step = "accepted" // its result is in the master's database
)

// Agent is one slave. Run runs it, once.
type Agent struct {
	cfg   Config
	wire  *bus.SlaveEnd
	board *board
	spool *spool
	http  *uploader
	proxy *proxy.Proxy

	serves []served
	log    zerolog.Logger
	paths  paths
	pace   pace

	// build is builder.Run, but in tests that are about all the rest.
	build func(context.Context, builder.Build) (builder.Result, error)

	drain    chan struct{}
	draining sync.Once
}

// maxUnreported bounds the results on disk beyond which no job is asked for. Results go home
// together, and a master that is asked much takes many for little more than the price of one:
// a slave whose builds are short should not wait for each of its answers.
const maxUnreported = 8

// pace is how long the loops pause after failures; tests are less patient.
type pace struct {
	retry, retryMax time.Duration // talking to the master
	fault, faultMax time.Duration // after faults of our own, several in a row
	stall           time.Duration // an upload that does not move for so long is begun again
	last            time.Duration // reporting what no master takes, once no more work is taken
}

func usualPace() pace {
	return pace{
		retry: 200 * time.Millisecond, retryMax: 5 * time.Second,
		fault: 5 * time.Second, faultMax: 5 * time.Minute,
		stall: 30 * time.Second,
		// Whoever stopped the program waits for it, and nothing is lost if it waits no longer.
		last: 30 * time.Second,
	}
}

// farewellWithin bounds what is said to the master after the end was ordered:
// nobody waits long for a program that was told to stop.
const farewellWithin = 2 * time.Second

// Run works until the end of ctx, or until Drain or the master's order to quit
// is done; then it returns nil. Its errors are those of the start, the state
// folder being in use or not readable, and bus.ErrProtocol: with the master that
// there is nothing can be done until one of both is replaced. The build under way
// is finished then, and kept for the next start. So is, after Drain, what no master
// takes within half a minute; an upload that moves is not cut off.
//
// At the end of ctx the build under way is killed and its lease given back; what
// is finished stays on disk for the next start. Run returns when nothing of it
// runs any more.
func (a *Agent) Run(ctx context.Context) error {
	unlock, err := lockDir(a.cfg.StateDir)
	if err != nil {
		return err
	}
	defer unlock()
	if err := a.recover(); err != nil {
		return err
	}
	if a.proxy, err = a.newProxy(); err != nil {
		return err
	}
	defer a.proxy.Close()
	stopControl, err := a.wire.OnControl(a.obey)
	if err != nil {
		return err
	}
	defer stopControl()
	a.loops(ctx)
	a.farewell(context.WithoutCancel(ctx))
	return a.board.facts().foreign
}

// loops runs the parts in the order of their ends: when no more work is to be
// taken and the last build has ended, reporting goes on until all is accepted, or no
// master has taken it for a while; beats go on as long as anything is held.
func (a *Agent) loops(ctx context.Context) {
	life, endLife := context.WithCancel(ctx)
	take, endTaking := context.WithCancel(ctx)
	var loops sync.WaitGroup
	loops.Go(func() { a.greet(life) })
	loops.Go(func() { a.beats(life) })
	loops.Go(func() { a.reports(life) })
	loops.Go(func() { a.watchDrain(life, endTaking) })
	a.work(take, ctx)
	late := time.AfterFunc(a.pace.last, func() { a.board.change(func(f *facts) { f.late = true }) })
	// An error means that ctx has ended: what is unreported stays on disk.
	if f, err := a.board.await(ctx, reportingIsOver); err == nil && !nothingUnreported(f) {
		a.log.Warn().Int("results", len(f.finished)).Msg("no master takes what is finished: it stays in the state folder, and is reported after the next start")
	}
	late.Stop()
	endTaking()
	endLife()
	loops.Wait()
}

func (a *Agent) watchDrain(ctx context.Context, endTaking func()) {
	select {
	case <-ctx.Done():
	case <-a.drain:
		a.log.Info().Msg("no more work is taken; the program ends when all is reported")
		endTaking()
	}
}

// foreign says whether nothing will come of asking this master, and has the program
// end then. It is not greeted any more either, so nobody else asks.
func (a *Agent) foreign(err error) bool {
	if !errors.Is(err, bus.ErrProtocol) {
		return false
	}
	a.log.Error().Err(err).Msg("this slave ends: bring master and slave to the same version")
	a.board.change(func(f *facts) { f.greeted, f.foreign = false, err })
	a.Drain()
	return true
}

// farewell has a short context of its own. A last try brings home what was
// finished in the same moment, if that is small; the beat gives back what is not held any
// more, so that nobody has to wait for the lease to expire. It has half of the time to itself.
func (a *Agent) farewell(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, farewellWithin)
	defer cancel()
	defer a.http.close()
	f := a.board.facts()
	if !f.greeted {
		return
	}
	brief, enough := context.WithTimeout(ctx, farewellWithin/2)
	a.reportAll(brief)
	enough()
	last := a.pulse(ctx)
	last.Leaving = true
	if _, err := a.wire.Beat(ctx, last); err != nil {
		a.log.Debug().Err(err).Msg("last beat not sent")
	}
}

// Drain makes Run end when the build under way is finished and everything is
// reported. It returns at once; calling it again, or before Run, is allowed.
func (a *Agent) Drain() { a.draining.Do(func() { close(a.drain) }) }

// obey carries out an order. The next beat brings the master's word on pauses
// again, so a lost order is not lost for long.
func (a *Agent) obey(c bus.Control) {
	a.log.Info().Str("order", c.Do).Msg("order from the master")
	switch c.Do {
	case bus.DoPause, bus.DoResume:
		a.board.change(func(f *facts) { f.paused = c.Do == bus.DoPause })
	case bus.DoAbort:
		a.abort([]string{c.Token})
	case bus.DoQuit:
		a.Drain()
	}
}

func (a *Agent) observe(s Step, token string) {
	if a.cfg.Observe != nil {
		a.cfg.Observe(s, token)
	}
}
