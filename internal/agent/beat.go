package agent

import (
	"context"
	"time"

	"pinwheel/internal/bus"
)

// beats keeps the leases alive and hears what to end, also while there is
// nothing to do. The time between two is measured from start to start: a slow
// answer must not stretch it beyond the lease.
func (a *Agent) beats(ctx context.Context) {
	trouble := nag{log: a.log}
	for last := time.Now(); ; {
		f, err := a.board.await(ctx, greetedNow)
		if err != nil || !sleep(ctx, time.Until(last.Add(interval(f.welcome)))) {
			return
		}
		last = time.Now()
		switch err := a.beat(ctx); {
		case err == nil:
			trouble.over("beats are answered again")
		case ctx.Err() == nil:
			trouble.say(err, "beat not answered")
			a.lost()
		}
	}
}

func (a *Agent) beat(ctx context.Context) error {
	reply, err := a.wire.Beat(ctx, a.pulse())
	if err != nil {
		return err
	}
	if a.board.facts().paused != reply.Paused {
		a.board.change(func(f *facts) { f.paused = reply.Paused })
	}
	a.abort(reply.Abort)
	return nil
}

func (a *Agent) pulse() bus.Beat {
	f := a.board.facts()
	return bus.Beat{
		Held:        f.held(),
		Asking:      f.request,
		Doing:       f.doing(),
		Load:        senseLoad(),
		Temperature: senseTemperature(),
		MemoryFree:  senseMemory("MemAvailable"),
		DiskFree:    diskFree(a.paths.build),
	}
}
