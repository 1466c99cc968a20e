package agent

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"

	"pinwheel/internal/builder"
	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
)

// done is a build that has ended, with its files where the builder left them.
type done struct {
	report bus.Report // without the facts of the files
	wheels []string   // paths
	log    string     // path; empty: there is none
	dir    string     // of the files; nobody needs it once they are spooled
}

// run has the builder do one lease. The error is a fault of our own, or the
// context's.
func (a *Agent) run(ctx context.Context, lease farm.Lease) (done, error) {
	// A build sees where its folder lies on the machine (/proc/self/mountinfo), so that is not
	// named by the token, with which whoever has it reports the job.
	dir, err := os.MkdirTemp(a.paths.build, fmt.Sprintf("job-%d-*", lease.Job))
	if err != nil {
		return done{}, err
	}
	if err := makeOpen(dir); err != nil {
		return done{dir: dir}, err
	}
	live := newLogStream(lease.Job, a.wire.Log)
	defer live.close()
	w := a.board.facts().welcome
	target, ok := a.serving(lease.Target)
	if !ok { // it was refused before
		return done{dir: dir}, fmt.Errorf("build %s %s: nothing here is for %s", lease.Package, lease.Version, lease.Target)
	}
	b := builder.Build{
		Package:        lease.Package,
		Version:        lease.Version,
		IndexURL:       w.Upstream,
		ExtraIndexURLs: []string{w.Index},
		Root:           target.Root,
		Python:         target.Python,
		Dir:            filepath.Join(dir, "work"),
		Mode:           a.cfg.Mode,
		User:           a.cfg.User,
		Limits:         lease.Limits.Fill(),
		Recipe:         lease.Recipe,
		Epoch:          lease.Release,
		Proxy:          a.proxy,
		Helper:         a.cfg.Helper,
		LogPath:        filepath.Join(dir, "log"),
		Live:           live,
		Now:            a.cfg.Now,
		System:         target.system,
		Known:          target.known,
	}
	res, err := a.build(ctx, b)
	if err != nil {
		return done{dir: dir}, fmt.Errorf("build %s %s: %w", lease.Package, lease.Version, err)
	}
	return done{report: reportOf(lease, res), wheels: res.Wheels, log: b.LogPath, dir: dir}, nil
}

func reportOf(lease farm.Lease, res builder.Result) bus.Report {
	res.Record.ELF = nil // the master reads it in the wheel
	return bus.Report{
		Token:   lease.Token,
		Job:     lease.Job,
		Outcome: res.Outcome,
		Failure: res.Failure,
		Excerpt: bus.CutText(res.Excerpt, bus.MaxExcerpt),
		Record:  res.Record,
	}
}

// faulty is the report of a job that failed by no fault of its own: the master
// gives it to another slave.
func faulty(token string, job int64, why error, record farm.Record) done {
	record.CauseFrom = farm.FromBuilder
	return done{report: bus.Report{
		Token:   token,
		Job:     job,
		Outcome: farm.OutcomeFailed,
		Failure: farm.Failure{Cause: farm.SlaveFault, Detail: why.Error()},
		Excerpt: bus.CutText(why.Error(), bus.MaxExcerpt),
		Record:  record,
	}}
}

// since is the record of a build that never came to a result.
func (a *Agent) since(started time.Time) farm.Record {
	now := a.cfg.Now()
	return farm.Record{Started: started, Ended: now, Seconds: now.Sub(started).Seconds()}
}

// makeOpen makes a folder that every user may enter and only we may list: the
// build user must get to what lies below it.
func makeOpen(dir string) error {
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return err
	}
	return os.Chmod(dir, 0o711) // the umask may have taken from it
}

func (a *Agent) jobLog(l farm.Lease) *zerolog.Logger {
	log := a.log.With().Str("package", l.Package).Str("version", l.Version).
		Str("target", l.Target.String()).Int64("job", l.Job).Logger()
	return &log
}
