package builder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"pinwheel/internal/farm"
	"pinwheel/internal/proxy"
)

// finished is a run of pip that is over, with its log still open.
type finished struct {
	ending
	log            *cappedLog
	taken          proxy.Taken
	started, ended time.Time
}

// pipWheel runs the one `pip wheel` that a build is.
func (b Build) pipWheel(ctx context.Context, x *box) (f finished, err error) {
	log, err := newLog(b.Dir, b.Limits.LogLimit, b.secrets(x)...)
	if err != nil {
		return finished{}, err
	}
	defer func() {
		if err != nil {
			log.close()
		}
	}()
	log.live = b.Live
	f = finished{log: log, started: b.now()}
	if f.ending, f.taken, err = b.withWay(ctx, x, log); err != nil {
		return finished{}, err
	}
	f.ended = b.now()
	log.add(refusals(f.taken.Contacts))
	if f.stop.Cause != "" {
		log.add(fmt.Appendf(nil, "\n[stopped: %s: %s]\n", f.stop.Cause, strings.TrimSuffix(f.stop.Detail+"; "+f.stop.Hint, "; ")))
	}
	return f, nil
}

// mostRefusals is how many hosts the log names that a build was refused: its end is what
// the excerpt is made of.
const mostRefusals = 3

// refusals says in the log whom the build was refused: what it made of that itself are
// the words of a program that knows of no fence. The record has all of them.
func refusals(contacts []farm.Contact) []byte {
	var said []byte
	n := 0
	for _, c := range contacts {
		if !c.Refused {
			continue
		}
		if n++; n <= mostRefusals {
			said = fmt.Appendf(said, "[%.300s]\n", farm.Clean(strings.ReplaceAll(c.Refusal(), "\n", " ")))
		}
	}
	if n > mostRefusals {
		said = fmt.Appendf(said, "[%s: %d hosts more]\n", farm.RefusedByFence, n-mostRefusals)
	}
	if said != nil {
		said = append([]byte("\n"), said...)
	}
	return said
}

// pipArgs is the command line. Isolated or not is left to pip: that is what
// the pip of this operating system's users would do. -v makes it pass on what
// the build says while it says it, rather than keep it in memory.
func (b Build) pipArgs(x *box) []string {
	argv := []string{x.python.Path, "-m", "pip", "wheel", "-v", "--no-deps",
		"--no-binary", b.Package, "--no-cache-dir",
		"--wheel-dir", filepath.Join(x.work(), "out")}
	argv = append(argv, x.python.WheelOptions()...)
	argv = append(argv, b.indexArgs(x.out)...)
	return append(append(argv, b.Recipe.PipOptions...), b.requirement())
}

// judge makes the result of a build whose processes are all gone.
func (b Build) judge(x *box, f finished) (r Result, err error) {
	defer f.log.close()
	if r.Log, err = f.log.save(b.LogPath); err != nil {
		return Result{}, err
	}
	r.LogWritten = f.log.taken
	r.Record = farm.Record{Seconds: f.seconds, PeakRSS: f.peakRSS, Started: f.started, Ended: f.ended,
		Sandbox: string(b.Mode), PythonVer: b.Python.Version, PipVer: b.Python.Pip, OS: b.Python.OS,
		Recipe: b.Recipe, Env: x.recorded()}
	b.recordTaken(&r.Record, f.taken)
	said, err := f.log.end(excerptFrom)
	if err != nil {
		return Result{}, fmt.Errorf("read the log: %w", err)
	}
	r.Outcome, r.Excerpt, r.Record.CauseFrom = farm.OutcomeFailed, farm.Excerpt(said), farm.FromBuilder
	switch {
	case f.stop.Cause != "":
		r.Failure = f.stop
	case f.code > 128:
		r.Failure = signalled(f.ending)
	case f.code != 0:
		r.Failure, r.Record.CauseFrom = farm.Blame(r.Excerpt,
			farm.Seen{Contacts: f.taken.Contacts, Fault: f.taken.Fault, Fenced: b.Mode == Bwrap})
	default:
		if r.Wheels, r.Failure, err = b.takeWheel(x); r.Wheels != nil {
			r.Outcome, r.Excerpt, r.Record.CauseFrom = farm.OutcomeBuilt, "", ""
		}
	}
	return r, err
}

// excerptFrom is how much of the log's end is looked at for the excerpt.
const excerptFrom = 512 << 10

// signalled is the failure of a build whose pip was killed, and not by us. Of that
// no words of its log know: they were written before.
func signalled(end ending) farm.Failure {
	signal := syscall.Signal(end.code - 128)
	if signal == syscall.SIGKILL { // the kernel's, short of memory
		return farm.Failure{Cause: farm.OutOfMemory, Detail: "killed", Hint: "a slave with more memory"}
	}
	return farm.Failure{Cause: farm.Crashed, Detail: "ended by a signal: " + signal.String()}
}

// mostNamed is how many wheels a failure names.
const mostNamed = 3

// takeWheel copies the wheel that came out to Dir/out, if it is the one that
// was asked for. It looks at names only.
func (b Build) takeWheel(x *box) ([]string, farm.Failure, error) {
	work, err := os.OpenRoot(filepath.Join(x.dir, "work"))
	if err != nil {
		return nil, farm.Failure{}, fmt.Errorf("look for the wheel: %w", err)
	}
	defer work.Close()
	names, more := wheelNames(work)
	switch {
	case more:
		return nil, wrong("more than %d files where one wheel should be", mostOut), nil
	case len(names) == 0:
		return nil, farm.Failure{Cause: farm.BuildBackend, Detail: "pip was content, but there is no wheel"}, nil
	case len(names) > 1:
		slices.Sort(names)
		return nil, wrong("%d wheels, not one: %s", len(names), strings.Join(names[:min(len(names), mostNamed)], ", ")), nil
	}
	if why := b.fits(names[0]); why != "" {
		return nil, wrong("%s: %s", names[0], why), nil
	}
	path, err := b.copyOut(work, names[0])
	if errors.Is(err, errNotPlain) || errors.Is(err, errTooLarge) {
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
