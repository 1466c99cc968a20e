package crashtest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pinwheel/internal/pgtest"
	"pinwheel/internal/proc"
)

// patience is how long a program may take for what it is waited for. It is long
// because machines that test are busy; a test that passes never waits so long.
const patience = 90 * time.Second

// programs are built by the first test that starts one. They are real, and not
// this test binary once more, because a slave is another program than a master.
var programs = sync.OnceValues(build)

// built is the folder of the programs once there is one, for TestMain to remove.
var built string

func TestMain(m *testing.M) {
	code := pgtest.Run(m)
	if err := os.RemoveAll(built); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// build makes the programs where the user of builds can reach them: a slave
// starts itself again inside the sandbox.
func build() (dir string, err error) {
	if built, err = proc.SharedTempDir("pinwheel-programs-", proc.BuildUser()); err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", built, "./cmd/master", "./cmd/slave")
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the programs: %w: %s", err, out)
	}
	return built, nil
}

// process is a program under way.
type process struct {
	t      testing.TB
	name   string
	child  *proc.Child
	stdout *lines
	stderr *lines
}

// start starts master or slave with variables of the environment, which may be
// none, until the test ends. What it logs is shown if the test fails.
func start(t testing.TB, env []string, program string, args ...string) *process {
	t.Helper()
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, name: program + " " + args[0], stdout: newLines(), stderr: newLines()}
	cmd := exec.Command(filepath.Join(dir, program), args...)
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PINWHEEL_") }), env...)
	cmd.Stdout, cmd.Stderr = p.stdout, p.stderr
	if p.child, err = proc.Start(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.child.Kill()
		<-p.child.Done()
		if t.Failed() {
			t.Logf("%s %v:\n%s%s", p.name, env, p.stdout, p.stderr)
		}
	})
	return p
}

// awaitEnd returns how the process ended.
func (p *process) awaitEnd() syscall.WaitStatus {
	p.t.Helper()
	select {
	case <-p.child.Done():
	case <-time.After(patience):
		p.t.Fatalf("%s has not ended", p.name)
	}
	var exit *exec.ExitError
	if err := p.child.Wait(); err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	if exit == nil {
		return 0
	}
	return exit.Sys().(syscall.WaitStatus)
}

// awaitCrash returns when the process has killed itself at its point.
func (p *process) awaitCrash(point string) {
	p.t.Helper()
	status := p.awaitEnd()
	if !status.Signaled() || status.Signal() != syscall.SIGKILL || !strings.Contains(p.stderr.String(), "crash: killed at "+point+"\n") {
		p.t.Fatalf("%s was to be killed at %s; its status is %#x", p.name, point, int(status))
	}
}

// end ends the process from outside: told to (SIGTERM), it must say that all is
// well.
func (p *process) end(sig syscall.Signal) {
	p.t.Helper()
	if err := p.child.Signal(sig); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
	if status := p.awaitEnd(); sig == syscall.SIGTERM && status != 0 {
		p.t.Errorf("%s: status %#x after SIGTERM", p.name, int(status))
	}
}

// lines is output that can be waited for.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // closed and replaced when something is added
}

func newLines() *lines { return &lines{more: make(chan struct{})} }

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.more)
	l.more = make(chan struct{})
	return l.text.Write(p)
}

func (l *lines) String() string {
	text, _ := l.look()
	return text
}

func (l *lines) look() (string, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String(), l.more
}

// await returns true when the output contains the words, false when it cannot
// any more, because the process has ended.
func (p *process) await(l *lines, words string) bool {
	p.t.Helper()
	late := time.After(patience)
	for {
		text, more := l.look()
		if strings.Contains(text, words) {
			return true
		}
		select {
		case <-more:
		case <-p.child.Done():
			return strings.Contains(l.String(), words)
		case <-late:
			p.t.Fatalf("%s does not say %q", p.name, words)
		}
	}
}
