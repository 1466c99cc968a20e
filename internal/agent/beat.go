package agent

import (
	"context"
	"time"

	"pinwheel/internal/service"
)

// beats keeps the leases alive and hears what to end, also while there is
// nothing to do. The time between two is measured from start to start: a slow
// answer must not stretch it beyond the lease.
func (a *Agent) beats(ctx context.Context) {
	trouble := nag{log: a.log}
	for last := time.Now(); ; {
		f, err := a.board.await(ctx, greetedNow)
		a.alive(interval(f.welcome) + talking)
		if err != nil || !service.Sleep(ctx, time.Until(last.Add(interval(f.welcome)))) {
			return
		}
		last = time.Now()
		a.alive(talking)
		switch err := a.beat(ctx); {
		case err == nil:
			trouble.over("beats are answered again")
		case ctx.Err() == nil && !a.foreign(err):
			trouble.say(err, "beat not answered")
			a.lost()
		}
	}
}

// talking is more than a question to the master takes, answered or not.
const talking = 2 * time.Minute

func (a *Agent) alive(within time.Duration) {
	if a.cfg.Alive != nil {
		a.cfg.Alive(within)
	}
}

func (a *Agent) beat(ctx context.Context) error {
	a.examine(func(*facts) {}) // before it is told
	asked := a.cfg.Now()
	reply, err := a.wire.Beat(ctx, a.pulse(ctx))
	if err != nil {
		return err
	}
	skew := skewOf(asked, reply.Now, a.cfg.Now())
	if f := a.board.facts(); f.paused != reply.Paused || f.skew != skew {
		a.examine(func(f *facts) { f.paused, f.skew = reply.Paused, skew })
	}
	a.abort(reply.Abort)
	a.tellPackages()
	return nil
}
