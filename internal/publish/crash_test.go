package publish

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"pinwheel/internal/crash"
	"pinwheel/internal/depot"
	"pinwheel/internal/store"
)

// The environment of the process that is to be killed: at which point, by its number or
// its name, and what it works on.
const (
	crashEnv      = "PUBLISH_CRASH_AT"
	crashDatabase = "PUBLISH_CRASH_DATABASE"
	crashDir      = "PUBLISH_CRASH_DIR"
	crashPoint    = "PUBLISH_CRASH_POINT" // the first of this name
)

// writeAndDie writes what is stale and kills itself at the point with that number. If
// it comes to the end before, its exit status is 0.
func writeAndDie() {
	if err := writeUntilKilled(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func writeUntilKilled(ctx context.Context) error {
	at, err := strconv.ParseInt(os.Getenv(crashEnv), 10, 64)
	if err != nil {
		return err
	}
	s, err := store.Open(ctx, os.Getenv(crashDatabase))
	if err != nil {
		return err
	}
	d, err := depot.Open(filepath.Join(os.Getenv(crashDir), "depot"))
	if err != nil {
		return err
	}
	p, err := New(Config{Store: s, Depot: d, SiteDir: filepath.Join(os.Getenv(crashDir), "site"), Log: zerolog.Nop()})
	if err != nil {
		return err
	}
	var n atomic.Int64
	p.passed = func(point crash.Point, scope string) {
		if n.Add(1) == at || string(point) == os.Getenv(crashPoint) {
			fmt.Printf("%s of %q\n", point, scope)
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	return errors.Join(p.writeStale(ctx), p.writeRoot(ctx))
}

// TestKilledAnywhere kills a publisher at each of its points in turn, while one
// project comes, one grows, one shrinks, one is withheld and one goes. The site must
// be sound each time, and whoever comes next must finish the work: a new process, or
// another master's, which wrote here before and does not know that one has died.
func TestKilledAnywhere(t *testing.T) {
	t.Parallel()
	t.Run("and started again", func(t *testing.T) {
		t.Parallel()
		killedAnywhere(t, func(w *world, _ *Publisher) *Publisher { return w.publisher() })
	})
	t.Run("and another goes on", func(t *testing.T) {
		t.Parallel()
		killedAnywhere(t, func(_ *world, other *Publisher) *Publisher { return other })
	})
}

func killedAnywhere(t *testing.T, next func(*world, *Publisher) *Publisher) {
	w := newWorld(t)
	p := w.publisher()
	for n := 1; ; n++ {
		// Projects of their own each time: the number of points must not grow.
		goes, grows, shrinks, held := fmt.Sprintf("goes-%d", n), fmt.Sprintf("grows-%d", n), fmt.Sprintf("shrinks-%d", n), fmt.Sprintf("held-%d", n)
		w.build(artifact{project: goes, version: "1.0"})
		w.build(artifact{project: grows, version: "1.0"})
		w.build(artifact{project: shrinks, version: "1.0"})
		w.build(artifact{project: shrinks, version: "2.0"})
		w.build(artifact{project: held, version: "1.0"})
		w.write(p)
		w.remove(goes)
		w.remove(shrinks, "1.0")
		w.setStatus(held, "quarantined", "")
		w.build(artifact{project: grows, version: "1.1"})
		w.build(artifact{project: fmt.Sprintf("comes-%d", n), version: "1.0"})
		point, finished := w.killAt(n)
		checkSite(t, w.site())
		w.checkRows()
		p = next(w, p)
		w.write(p)
		checkSite(t, w.site())
		w.checkRows()
		checkCopies(t, w.site())
		if left := w.stale(); len(left) != 0 {
			t.Errorf("killed after %s: still stale: %v", point, left)
		}
		if t.Failed() {
			t.Fatalf("killed after point %d: %s", n, point)
		}
		if finished {
			t.Logf("%d points", n-1)
			break
		}
	}
	fresh := w.publisher(func(c *Config) { c.SiteDir = filepath.Join(w.dir, "fresh") })
	w.must(fresh.WriteAll(t.Context()))
	if diff := cmp.Diff(tree(t, fresh.simple()), tree(t, p.simple())); diff != "" {
		t.Errorf("the site is not what its rows say (-want +got):\n%s", diff)
	}
}

// killAt runs this test binary once more, as writeAndDie.
func (w *world) killAt(n int) (point string, finished bool) {
	w.t.Helper()
	return w.kill(n, "")
}

// killAtPoint kills it at the first point of that name.
func (w *world) killAtPoint(at crash.Point) {
	w.t.Helper()
	if _, finished := w.kill(-1, at); finished {
		w.t.Fatalf("it did not come to %s", at)
	}
}

func (w *world) kill(n int, at crash.Point) (point string, finished bool) {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), crashEnv+"="+strconv.Itoa(n), crashPoint+"="+string(at), crashDatabase+"="+w.dsn, crashDir+"="+w.dir)
	out, err := cmd.Output()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return "the end", true
	case errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL:
		return string(out), false
	}
	w.t.Fatalf("the process that was to be killed: %v: %s %s", err, out, exit.Stderr)
	return "", false
}
