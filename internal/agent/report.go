package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"syscall"

	"github.com/rs/zerolog"

	"pinwheel/internal/bus"
	"pinwheel/internal/crash"
	"pinwheel/internal/farm"
)

// maxRounds bounds how often in a row a master may ask for files that it was
// just sent; then its loop pauses like after any failure.
const maxRounds = 5

// reports brings spooled results home, for as long as that takes: through restarts of the
// master, outages of the wire and full disks. All go at the same time and each by itself: one
// whose upload takes long, or that is in trouble, does not hold up the others. There are few,
// see maxUnreported.
func (a *Agent) reports(ctx context.Context) {
	var results sync.WaitGroup
	defer results.Wait()
	begun := map[string]bool{}
	isNew := func(token string) bool { return !begun[token] }
	for {
		f, err := a.board.await(ctx, func(f facts) bool {
			maps.DeleteFunc(begun, func(token string, _ bool) bool { return !slices.Contains(f.finished, token) })
			return slices.ContainsFunc(f.finished, isNew)
		})
		if err != nil {
			return
		}
		for _, token := range f.finished {
			if isNew(token) {
				begun[token] = true
				results.Go(func() { a.bringHome(ctx, token) })
			}
		}
	}
}

// bringHome delivers one result, again and again. A master that is back ends a pause early.
func (a *Agent) bringHome(ctx context.Context, token string) {
	pause, trouble := pauses(a.pace.retry, a.pace.retryMax), nag{log: a.log}
	for {
		hellos := a.board.facts().hellos
		err := a.deliver(ctx, token)
		if err == nil || ctx.Err() != nil || a.foreign(err) {
			return
		}
		trouble.say(err, "result not accepted yet")
		a.board.change(func(f *facts) {
			if f.late && !slices.Contains(f.hopeless, token) {
				f.hopeless = append(slices.Clip(f.hopeless), token)
			}
		})
		a.pauseUntilGreeted(ctx, hellos, pause.NextBackOff())
	}
}

// reportAll tries every result once.
func (a *Agent) reportAll(ctx context.Context) {
	var results sync.WaitGroup
	for _, token := range a.board.facts().finished {
		results.Go(func() {
			if err := a.deliver(ctx, token); err != nil {
				a.log.Debug().Err(err).Msg("result not accepted: it stays in the state folder")
			}
		})
	}
	results.Wait()
}

// deliver reports one result, sends what the master lacks, and reports again,
// until it is accepted or something goes wrong. Trying again begins with a new
// report, which also renews the tokens of the uploads.
func (a *Agent) deliver(ctx context.Context, token string) error {
	r, err := a.spool.read(token)
	if err != nil {
		return a.unreadable(token, err)
	}
	r.LogData = a.spool.smallLog(r)
	for range maxRounds {
		reply, err := a.wire.Report(ctx, r)
		switch {
		case err != nil:
			return fmt.Errorf("job %d: %w", r.Job, err)
		case reply.Accepted:
			return a.accepted(r, reply.Reason)
		case len(reply.Need) == 0:
			return fmt.Errorf("job %d: the master neither accepts the report nor asks for files: %s", r.Job, reply.Reason)
		}
		a.board.change(func(f *facts) { f.hope(token) }) // it moves
		if err := a.send(ctx, r, reply.Need); err != nil {
			return fmt.Errorf("job %d: %w", r.Job, err)
		}
		crash.At(crash.AgentUploaded)
	}
	return fmt.Errorf("job %d: the master still asks for files that it was sent %d times", r.Job, maxRounds)
}

// accepted forgets a result; the master will not ask for it again. The spool goes
// after the answer and never before: reporting once too often is harmless.
func (a *Agent) accepted(r bus.Report, reason string) error {
	crash.At(crash.AgentAccepted)
	if err := a.spool.remove(r.Token); err != nil {
		return fmt.Errorf("job %d is accepted: %w", r.Job, err)
	}
	a.board.change(func(f *facts) { f.drop(r.Token) })
	level := zerolog.InfoLevel
	if reason != "" {
		level = zerolog.WarnLevel // it is home, but did not count
	}
	event := a.log.WithLevel(level).Int64("job", r.Job).Str("outcome", string(r.Outcome)).Str("reason", reason)
	for _, w := range r.Wheels {
		event = event.Str("wheel", w.Name).Str("sha256", w.SHA256)
	}
	event.Msg("report accepted")
	a.observe(Accepted, r.Token)
	return nil
}

// send uploads what the master lacks.
func (a *Agent) send(ctx context.Context, r bus.Report, needs []bus.Need) error {
	base := a.board.facts().welcome.HTTP
	for _, need := range needs {
		file, ok := fileOf(r, need.SHA256)
		if !ok {
			return fmt.Errorf("the master asks for a file of SHA-256 %.64q, which is not of this build", need.SHA256)
		}
		err := a.http.put(ctx, base, need, a.spool.path(r.Token, file), file.Size)
		if err == nil {
			continue
		}
		if ctx.Err() == nil {
			err = errors.Join(err, a.doubt(r, file))
		}
		return err
	}
	return nil
}

// doubt looks at our own side of an upload that went wrong. A file that the disk
// has spoiled will never be taken; then the job is given back as a fault of this
// slave, and another one builds it.
func (a *Agent) doubt(r bus.Report, file farm.File) error {
	err := a.spool.verify(r.Token, file)
	if err == nil || passes(err) {
		return nil
	}
	lost := faulty(r.Token, r.Job, err, r.Record)
	if again := a.spool.commit(lost.report); again != nil {
		return errors.Join(err, a.unreadable(r.Token, again)) // a disk that takes no word of it either
	}
	a.log.Error().Err(err).Int64("job", r.Job).Msg("result lost on this slave's disk")
	return err
}

// unreadable gives up a result of which no report can be made while this program runs:
// held on to, it would keep its job from all others. What is left of it is set aside, or
// stays where it is for the next start. The job is free with the next beat.
func (a *Agent) unreadable(token string, err error) error {
	if passes(err) {
		return err
	}
	event := a.log.Error().Err(err).Str("token", token)
	if errors.Is(err, fs.ErrNotExist) { // what has no report is no result
		event = event.AnErr("left", a.spool.remove(token))
	} else if failed := a.spool.setAside(token, a.paths.broken); failed != nil {
		event = event.AnErr("left", failed)
	} else {
		event = event.Str("moved_to", a.paths.broken)
	}
	event.Msg("a spooled result cannot be read, and is not reported: its job goes back to the farm; look at this slave's disk")
	a.board.change(func(f *facts) { f.drop(token) })
	a.observe(Dropped, token)
	return nil
}

// passes says whether an error is of this moment, and says nothing of the disk: files or
// memory that others hold now.
func passes(err error) bool {
	return slices.ContainsFunc([]error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS, syscall.EINTR, syscall.EAGAIN},
		func(e error) bool { return errors.Is(err, e) })
}

func fileOf(r bus.Report, sum string) (farm.File, bool) {
	for _, f := range append(slices.Clone(r.Wheels), r.Log) {
		if f.SHA256 == sum && sum != "" {
			return f, true
		}
	}
	return farm.File{}, false
}
