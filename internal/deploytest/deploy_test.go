package deploytest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pinwheel/internal/hosttest"
	"pinwheel/internal/pgtest"
)

var update = flag.Bool("update", false, "write the tables of docs/configuration.md again")

func TestMain(m *testing.M) { pgtest.Main(m) }

// patience bounds every wait; a test that passes never waits so long.
const patience = 90 * time.Second

// programs are the two programs, built from this tree.
type programs struct{ master, slave, monitor string }

// TestDeployed builds the programs once for all that follows.
func TestDeployed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	build := exec.Command("go", "build", "-buildvcs=false", "-o", dir, "pinwheel/cmd/master", "pinwheel/cmd/slave", "pinwheel/cmd/monitor")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	p := programs{filepath.Join(dir, "master"), filepath.Join(dir, "slave"), filepath.Join(dir, "monitor")}
	for name, test := range map[string]func(*testing.T, programs){
		"settings":                  testSettings,
		"manual":                    testManual,
		"external database":         testDatabase,
		"external NATS":             testNATS,
		"NATS that comes later":     testLateNATS,
		"credentials of the master": testMasterCreds,
		"TLS":                       testTLS,
		"external NATS with TLS":    testSecureNATS,
		"metrics":                   testMetrics,
		"as the units say":          testSupervised,
		"two hosts":                 testTwoHosts,
		"database behind a cable":   testDatabaseCut,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, p)
		})
	}
}

// environment is what every program here gets: nothing of the caller's settings,
// and a home of its own.
func environment(home string, more ...string) []string {
	return append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "XDG_CONFIG_HOME=" + home, "XDG_STATE_HOME=" + home, "TMPDIR=" + os.TempDir(),
	}, more...)
}

// result is a program that has ended.
type result struct {
	stdout, stderr string
	code           int
}

// run runs a program to its end.
func run(t *testing.T, env []string, argv ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var out, errs bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = env, &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v: %v", argv, err)
	}
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// must runs a program that does what it is told, and returns what it prints.
func must(t *testing.T, env []string, argv ...string) string {
	t.Helper()
	r := run(t, env, argv...)
	if r.code != 0 {
		t.Fatalf("%v: exit status %d\n%s", argv, r.code, r.stderr)
	}
	return r.stdout
}

// refuses wants one line on stderr that has all the words, and nothing on stdout.
func refuses(t *testing.T, r result, code int, words ...string) {
	t.Helper()
	if r.code != code || r.stdout != "" || strings.Count(r.stderr, "\n") != 1 {
		t.Errorf("exit status %d, want %d, and one line:\n%s%s", r.code, code, r.stdout, r.stderr)
	}
	for _, w := range words {
		if !strings.Contains(r.stderr, w) {
			t.Errorf("no %q in: %s", w, r.stderr)
		}
	}
}

// daemon is a program that runs until it is told to stop.
type daemon struct {
	t    *testing.T
	name string
	cmd  *exec.Cmd
	out  *hosttest.Lines // of stdout
	log  *hosttest.Lines // of stderr
	done chan struct{}
}

// start starts a program on a host; nil is this one. It dies with the host.
func start(t *testing.T, h *hosttest.Host, env []string, argv ...string) *daemon {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = env
	return launch(t, h, cmd)
}

// launch is start for a command that is somebody else's.
func launch(t *testing.T, h *hosttest.Host, cmd *exec.Cmd) *daemon {
	t.Helper()
	d := &daemon{t: t, name: filepath.Base(cmd.Path), cmd: cmd, out: hosttest.NewLines(patience), log: hosttest.NewLines(patience), done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = d.out, d.log
	if h != nil {
		if cmd.SysProcAttr == nil {
			cmd.SysProcAttr = &syscall.SysProcAttr{}
		}
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
	var err error
	h.Run(func() { err = d.cmd.Start() })
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(d.done)
		_ = d.cmd.Wait() // the exit code tells
		d.out.End()
		d.log.End()
	}()
	t.Cleanup(func() {
		_ = d.cmd.Process.Kill()
		<-d.done
		if t.Failed() {
			t.Logf("%s said:\n%s", d.name, d.log.Text())
		}
	})
	return d
}

func (d *daemon) signal(sig syscall.Signal) {
	d.t.Helper()
	if err := d.cmd.Process.Signal(sig); err != nil {
		d.t.Fatalf("%s: %v", d.name, err)
	}
}

// stop ends it as systemd does.
func (d *daemon) stop() {
	d.t.Helper()
	d.signal(syscall.SIGTERM)
	select {
	case <-d.done:
	case <-time.After(patience):
		d.t.Fatalf("%s does not end", d.name)
	}
	if code := d.cmd.ProcessState.ExitCode(); code != 0 {
		d.t.Errorf("%s ends with %d", d.name, code)
	}
}

// ready is the line that a master prints when it can be used.
type ready struct {
	Ready bool
	URL   string
	NATS  string

	Metrics string // empty: there are none
}

func (d *daemon) ready() ready {
	d.t.Helper()
	var r ready
	if err := json.Unmarshal([]byte(d.out.Await(d.t, `"ready":true`)), &r); err != nil {
		d.t.Fatal(err)
	}
	return r
}
