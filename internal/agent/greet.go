package agent

import (
	"context"
	"errors"
	"slices"
	"time"

	"pinwheel/internal/bus"
	"pinwheel/internal/config"
	"pinwheel/internal/service"
)

// greet says hello at the start, and again each time a loop has found the master
// gone: whoever comes back may be another one, with other settings.
func (a *Agent) greet(ctx context.Context) {
	pause, trouble := pauses(a.pace.retry, a.pace.retryMax), nag{log: a.log}
	for {
		if _, err := a.board.await(ctx, mayGreet); err != nil {
			return
		}
		a.alive(talking)
		asked := a.cfg.Now()
		w, err := a.wire.Hello(ctx, a.hello())
		if err == nil {
			pause.Reset()
			trouble.over("the master is back")
			a.welcomed(w, skewOf(asked, w.Now, a.cfg.Now()))
			continue
		}
		if ctx.Err() != nil || a.foreign(err) {
			return
		}
		trouble.say(err, greetTrouble(err))
		if !service.Sleep(ctx, pause.NextBackOff()) {
			return
		}
	}
}

// greetTrouble tells a master that is away from one that says no: the first
// comes back by itself, the second needs a person.
func greetTrouble(err error) string {
	if errors.Is(err, bus.ErrRefused) {
		return "the master refuses this slave, asking again"
	}
	return "no master, asking again"
}

func (a *Agent) hello() bus.Hello {
	f := a.board.facts()
	targets, everywhere := a.tell()
	return bus.Hello{
		Version: a.cfg.Version,
		Targets: targets,
		Held:    f.held(),
		Asking:  f.request,
		Machine: a.cfg.Sensors.Model(),
		OS:      a.serves[0].Python.OS,
		Memory:  a.cfg.Sensors.Memory("MemTotal"),

		Packages: everywhere,
	}
}

func (a *Agent) welcomed(w bus.Welcome, skew time.Duration) {
	a.examine(func(f *facts) {
		f.greeted, f.welcome, f.skew = true, w, skew
		f.hellos++
	})
	if err := a.remember(w); err != nil {
		a.log.Warn().Err(err).Msg("doctor will not know where the master is")
	}
	a.log.Info().Str("upstream", config.Hide(w.Upstream)).Str("index", w.Index).Dur("beat", interval(w)).Msg("the master knows us")
	a.abort(w.Drop)
	a.observe(Greeted, "")
}

// lost makes greet begin again.
func (a *Agent) lost() {
	a.board.change(func(f *facts) { f.greeted = false })
}

// abort ends the build under way if it is one of the tokens. What is in the
// spool stays: a good wheel counts even if its lease has expired (design 4), and
// of the rest the master says itself that it did not count.
func (a *Agent) abort(tokens []string) {
	if b := a.board.facts().building; b != nil && slices.Contains(tokens, b.lease.Token) {
		b.end(errAborted)
	}
}

// interval is the time between beats: the master's word, else a third of the
// lease.
func interval(w bus.Welcome) time.Duration {
	const fallback = 20 * time.Second
	switch {
	case w.Beat > 0:
		return w.Beat
	case w.Lease > 0:
		return w.Lease / 3
	}
	return fallback
}
