package agent

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"

	"pinwheel/internal/bus"
	"pinwheel/internal/crash"
	"pinwheel/internal/farm"
	"pinwheel/internal/service"
)

// errAborted is why a build under way was ended from outside.
var errAborted = errors.New("aborted by the master")

// work takes one job after another until take ends; build is the context of the
// builds themselves, which may go on for longer.
func (a *Agent) work(take, build context.Context) {
	fault := pauses(a.pace.fault, a.pace.faultMax)
	faults := 0
	for a.ready(take) {
		lease := a.ask(take)
		if lease == nil {
			a.board.answered()
			continue
		}
		err := a.do(build, *lease)
		a.examine(func(*facts) {}) // a build heats, and fills the disk
		if err == nil {
			fault.Reset()
			faults = 0
			continue
		}
		a.jobLog(*lease).Error().Err(err).Msg("this slave could not do its part")
		// One fault may be the job's own luck; several are this machine's, and
		// the jobs are better off elsewhere.
		if faults++; faults > 1 && !service.Sleep(take, fault.NextBackOff()) {
			return
		}
	}
}

// ready returns true when a job may be asked for, false when take has ended.
func (a *Agent) ready(take context.Context) bool {
	_, err := a.board.await(take, mayAsk)
	return err == nil
}

// ask returns a lease, or nil when there is no work yet. It keeps the request's
// id until there is an answer: if that was lost on the way, the master gives the
// same lease again. A lease counts as on its way until the caller has it on the
// board, or has refused it.
func (a *Agent) ask(take context.Context) *farm.Lease {
	request := rand.Text()
	pause, trouble := pauses(a.pace.retry, a.pace.retryMax), nag{log: a.log}
	for {
		if _, err := a.board.await(take, mayAsk); err != nil {
			return nil
		}
		if !a.board.startAsking(request) {
			continue
		}
		reply, err := a.question(take, request)
		if err == nil && reply.Lease != nil {
			return reply.Lease
		}
		a.board.stopAsking()
		if err == nil || take.Err() != nil {
			return nil
		}
		if errors.Is(err, context.Canceled) {
			continue // hello comes first; the question is put again after it
		}
		if a.foreign(err) {
			return nil
		}
		trouble.say(err, "no answer to the request for work")
		if errors.Is(err, bus.ErrNobody) {
			a.lost()
		}
		if !service.Sleep(take, pause.NextBackOff()) {
			return nil
		}
	}
}

// question waits for an answer as long as the master of now is thought to be
// there; when it is not, hello must come first.
func (a *Agent) question(ctx context.Context, request string) (bus.NextReply, error) {
	ctx, cancel := context.WithCancel(ctx)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel()
	watch.Go(func() {
		if _, err := a.board.await(ctx, notGreeted); err == nil {
			cancel()
		}
	})
	return a.wire.Next(ctx, bus.Next{
		Request: request,
		Targets: a.targets(),
		Held:    a.board.facts().held(),
	})
}

// do builds one lease and spools the result. The error is a fault of our own;
// the job is then reported as such, if that can be written down at all.
func (a *Agent) do(ctx context.Context, lease farm.Lease) error {
	if err := a.refuse(lease); err != nil {
		a.board.answered()
		return err
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	started := a.cfg.Now()
	a.board.change(func(f *facts) {
		f.building = &building{lease: lease, end: end}
		f.endRequest()
	})
	a.jobLog(lease).Info().Msg("build begins")
	a.observe(Leased, lease.Token)
	// Nothing is kept of a lease before its result: what cannot be built to the
	// end is not held after the next start, and so given out again.
	crash.At(crash.AgentLeased)

	d, fault := a.run(ctx, lease)
	defer a.discard(d.dir)
	// What was good before the end was ordered stays good.
	if ctx.Err() != nil && d.report.Outcome != farm.OutcomeBuilt {
		a.abandon(lease, context.Cause(ctx))
		return nil
	}
	if fault == nil {
		fault = a.keep(d)
	}
	if fault == nil {
		return nil
	}
	// Without the files: of all that can be kept this needs the least space.
	if err := a.keep(faulty(lease.Token, lease.Job, fault, a.since(started))); err != nil {
		a.abandon(lease, err)
	}
	return fault
}

// refuse says why a lease cannot be worked on. It is not held then, so the
// master gets it back by the next beat.
func (a *Agent) refuse(lease farm.Lease) error {
	if !namesFolder(lease.Token) {
		return fmt.Errorf("lease of job %d: its token %.40q cannot name a folder", lease.Job, lease.Token)
	}
	if _, ok := a.serving(lease.Target); !ok {
		return fmt.Errorf("lease of job %d: it is for %s, this slave serves %v", lease.Job, lease.Target, a.targets())
	}
	if slices.Contains(a.board.facts().finished, lease.Token) {
		return fmt.Errorf("lease of job %d: its result is already being reported", lease.Job)
	}
	return nil
}

// abandon ends a lease without a result.
func (a *Agent) abandon(lease farm.Lease, why error) {
	a.board.change(func(f *facts) { f.building = nil })
	a.jobLog(lease).Warn().AnErr("cause", why).Msg("build abandoned")
	a.observe(Dropped, lease.Token)
}

// keep makes a result durable; from then on only the report loop has it. The
// token goes from one place to the other in one step, so no beat misses it.
func (a *Agent) keep(d done) error {
	crash.At(crash.AgentBuilt)
	report, err := a.spool.put(d)
	if err != nil {
		return err
	}
	crash.At(crash.AgentSpooled)
	a.board.change(func(f *facts) {
		f.building = nil
		f.finished = append(f.finished, report.Token)
	})
	a.log.Info().Str("token", report.Token).Int64("job", report.Job).Str("outcome", string(report.Outcome)).
		Str("cause", string(report.Failure.Cause)).Float64("seconds", report.Record.Seconds).Msg("build ended")
	a.observe(Spooled, report.Token)
	return nil
}
