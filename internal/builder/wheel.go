package builder

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"pinwheel/internal/farm"
)

// finished is a run of pip that is over, with its log still open.
type finished struct {
	ending
	log            *cappedLog
	started, ended time.Time
}

// pipWheel runs the one `pip wheel` that a build is.
func (b Build) pipWheel(ctx context.Context, x *box) (finished, error) {
	log, err := newLog(b.Dir, b.Limits.LogLimit)
	if err != nil {
		return finished{}, err
	}
	log.live = b.Live
	f := finished{log: log, started: b.now()}
	if f.ending, err = x.execute(ctx, b.Limits, log, b.pipArgs(x)); err != nil {
		log.close()
		return finished{}, err
	}
	f.ended = b.now()
	if f.stop != "" {
		log.add(fmt.Appendf(nil, "\n[stopped: %s]\n", b.stopped(f.ending).Detail))
	}
	return f, nil
}

// pipArgs is the command line. Isolated or not is left to pip: that is what
// the pip of this operating system's users would do. -v makes it pass on what
// the build says while it says it, rather than keep it in memory.
func (b Build) pipArgs(x *box) []string {
	argv := []string{x.python.Path, "-m", "pip", "wheel", "-v", "--no-deps",
		"--no-binary", b.Package, "--prefer-binary", "--no-cache-dir", "--progress-bar", "off",
		"--wheel-dir", filepath.Join(x.work(), "out"), "--index-url", b.IndexURL}
	for _, u := range b.ExtraIndexURLs {
		argv = append(argv, "--extra-index-url", u)
	}
	for _, u := range append([]string{b.IndexURL}, b.ExtraIndexURLs...) {
		// An index without TLS was chosen by an operator: pip would pass
		// over it in silence.
		if p, err := url.Parse(u); err == nil && p.Scheme == "http" {
			argv = append(argv, "--trusted-host", p.Host)
		}
	}
	return append(argv, b.requirement())
}

// judge makes the result of a build whose processes are all gone.
func (b Build) judge(x *box, f finished) (r Result, err error) {
	defer f.log.close()
	if r.Log, err = f.log.save(b.LogPath); err != nil {
		return Result{}, err
	}
	r.LogWritten = f.log.written
	r.Record = farm.Record{Seconds: f.seconds, PeakRSS: f.peakRSS, Started: f.started, Ended: f.ended,
		Sandbox: string(b.Mode), PythonVer: b.Python.Version, PipVer: b.Python.Pip, OS: b.Python.OS}
	said, err := f.log.end(excerptFrom)
	if err != nil {
		return Result{}, fmt.Errorf("read the log: %w", err)
	}
	r.Outcome, r.Excerpt = farm.OutcomeFailed, farm.Excerpt(said)
	switch {
	case f.stop != "":
		r.Failure = b.stopped(f.ending)
	case f.code != 0:
		r.Failure = diagnose(f.ending, r.Excerpt)
	default:
		if r.Wheels, r.Failure, err = b.takeWheel(x); r.Wheels != nil {
			r.Outcome, r.Excerpt = farm.OutcomeBuilt, ""
		}
	}
	return r, err
}

// excerptFrom is how much of the log's end is looked at for the excerpt.
const excerptFrom = 512 << 10

// stopped is the failure of a build that we ended.
func (b Build) stopped(end ending) farm.Failure {
	detail := "not done after " + b.Limits.Timeout.String()
	if end.stop == farm.LogLimit {
		detail = fmt.Sprintf("wrote more than %d bytes of log", floodFactor*b.Limits.LogLimit)
	}
	return farm.Failure{Cause: end.stop, Detail: detail}
}

// diagnose asks the rules, and the signal where they know nothing.
func diagnose(end ending, excerpt string) farm.Failure {
	f := farm.Classify(excerpt)
	if end.code <= 128 || (f.Cause != farm.Unknown && f.Cause != farm.BuildBackend) {
		return f
	}
	signal := syscall.Signal(end.code - 128)
	if signal == syscall.SIGKILL { // not ours: the kernel's, short of memory
		return farm.Failure{Cause: farm.OutOfMemory, Detail: "killed", Hint: "a slave with more memory"}
	}
	return farm.Failure{Cause: farm.Crashed, Detail: "ended by a signal: " + signal.String()}
}

// takeWheel copies the wheel that came out to Dir/out, if it is the one that
// was asked for. It looks at names only.
func (b Build) takeWheel(x *box) ([]string, farm.Failure, error) {
	work, err := os.OpenRoot(filepath.Join(x.dir, "work"))
	if err != nil {
		return nil, farm.Failure{}, fmt.Errorf("look for the wheel: %w", err)
	}
	defer work.Close()
	names := wheelNames(work)
	if len(names) == 0 {
		return nil, farm.Failure{Cause: farm.BuildBackend, Detail: "pip was content, but there is no wheel"}, nil
	}
	if len(names) > 1 {
		return nil, wrong("%d wheels, not one: %s", len(names), strings.Join(names, ", ")), nil
	}
	if why := b.fits(names[0]); why != "" {
		return nil, wrong("%s: %s", names[0], why), nil
	}
	path, err := b.copyOut(work, names[0])
	if errors.Is(err, errNotPlain) {
		return nil, wrong("%s: %v", names[0], err), nil
	}
	if err != nil {
		return nil, farm.Failure{}, fmt.Errorf("take the wheel %s: %w", names[0], err)
	}
	return []string{path}, farm.Failure{}, nil
}

func wrong(format string, args ...any) farm.Failure {
	return farm.Failure{Cause: farm.WrongWheel, Detail: farm.Clean(fmt.Sprintf(format, args...))}
}
