package main

import (
	"context"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"pinwheel/internal/agent"
)

// greeting is the part of a slave's start that is about its neighbours. They are asked
// when the master has told where they are; and once before that if its word is long in
// coming, for then it is they, or the way to them, that an operator must look at.
type greeting struct {
	doctor *doctor
	log    zerolog.Logger
	ready  func(status string)

	heard, over chan struct{}  // closed: the master greeted; the slave ends
	asking      sync.WaitGroup // all that goes on beside the work
	turn        sync.Mutex     // one interview at a time
	once        sync.Once
}

// awaitGreeting begins to wait, so long until the neighbours are asked without it.
func (d *doctor) awaitGreeting(ctx context.Context, log zerolog.Logger, within time.Duration, ready func(status string)) *greeting {
	g := &greeting{doctor: d, log: log, ready: ready, heard: make(chan struct{}), over: make(chan struct{})}
	alone := *d // it has no connection, and finds out why
	g.asking.Go(func() {
		late := time.NewTimer(within)
		defer late.Stop()
		select {
		case <-late.C:
			g.ask(ctx, &alone)
		case <-g.heard:
		case <-g.over:
		case <-ctx.Done():
		}
	})
	return g
}

func (g *greeting) ask(ctx context.Context, d *doctor) {
	g.turn.Lock()
	defer g.turn.Unlock()
	list := d.examineNetwork(ctx)
	if ctx.Err() == nil { // else it says that it was interrupted
		interview(g.log, list)
	}
}

// observe is told how the agent goes on.
func (g *greeting) observe(ctx context.Context) func(agent.Step, string) {
	return func(step agent.Step, _ string) {
		switch step {
		case agent.Greeted:
			g.once.Do(func() { g.greeted(ctx) })
		case agent.Accepted, agent.Dropped:
			g.asking.Go(rest)
		}
	}
}

func (g *greeting) greeted(ctx context.Context) {
	close(g.heard)
	g.ready("building for the farm at " + hidden(g.doctor.set.NATSURL))
	g.asking.Go(func() {
		g.ask(ctx, g.doctor)
		rest() // what the start took, nothing takes again
	})
}

// end returns when nothing of it runs any more.
func (g *greeting) end() {
	close(g.over)
	g.asking.Wait()
}
