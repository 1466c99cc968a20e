package armtest

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pinwheel/internal/proc"
)

// patience bounds what is waited for of one program. It is long because emulated
// builds take tens of seconds, on busy machines minutes.
const patience = 5 * time.Minute

// armRoot is the root that everything here needs.
func armRoot(t *testing.T) string {
	t.Helper()
	root := os.Getenv("PINWHEEL_ARM_ROOT")
	if root == "" {
		t.Skip("PINWHEEL_ARM_ROOT is not set: `make test-arm` sets it")
	}
	return root
}

// output is what a program writes; it can be waited for.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // closed at the next write
}

func newOutput() *output { return &output{more: make(chan struct{})} }

// Write keeps what the program says.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.more)
	o.more = make(chan struct{})
	return o.text.Write(p)
}

func (o *output) String() string {
	text, _ := o.look()
	return text
}

// look returns what was said, and what is closed when there is more.
func (o *output) look() (string, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String(), o.more
}

// daemon is a program that runs until it is told to stop.
type daemon struct {
	t      *testing.T
	name   string
	child  *proc.Child
	stdout *output
	stderr *output
}

func launch(t *testing.T, cmd *exec.Cmd) *daemon {
	t.Helper()
	d := &daemon{t: t, name: filepath.Base(cmd.Path), stdout: newOutput(), stderr: newOutput()}
	cmd.Stdout, cmd.Stderr = d.stdout, d.stderr
	var err error
	if d.child, err = proc.Start(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.child.Kill()
		<-d.child.Done()
		if t.Failed() {
			t.Logf("%s said:\n%s%s", d.name, d.stdout, d.stderr)
		}
	})
	return d
}

// await returns the first whole line of an output that has the text.
func (d *daemon) await(from *output, text string) string {
	d.t.Helper()
	late := time.After(patience)
	for {
		said, more := from.look()
		for line := range strings.Lines(said) {
			if strings.HasSuffix(line, "\n") && strings.Contains(line, text) {
				return line
			}
		}
		select {
		case <-more:
		case <-d.child.Done():
			d.t.Fatalf("%s ended without a line with %q: %s", d.name, text, d.stderr)
		case <-late:
			d.t.Fatalf("%s said no line with %q within %v", d.name, text, patience)
		}
	}
}

// end returns the exit status, or the signal's number, negative.
func (d *daemon) end() int {
	d.t.Helper()
	select {
	case <-d.child.Done():
	case <-time.After(patience):
		d.t.Fatalf("%s does not end", d.name)
	}
	var exit *exec.ExitError
	if err := d.child.Wait(); errors.As(err, &exit) {
		if w := exit.Sys().(syscall.WaitStatus); w.Signaled() {
			return -int(w.Signal())
		}
		return exit.ExitCode()
	} else if err != nil {
		d.t.Fatalf("%s: %v", d.name, err)
	}
	return 0
}

// stop ends a program as systemd does.
func (d *daemon) stop() {
	d.t.Helper()
	if err := d.child.Signal(syscall.SIGTERM); err != nil {
		d.t.Fatalf("%s: %v", d.name, err)
	}
	if code := d.end(); code != 0 {
		d.t.Errorf("%s ends with %d", d.name, code)
	}
}

// run runs a program to its end, and returns what it prints.
func run(t *testing.T, cmd *exec.Cmd) (stdout, stderr string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	child, err := proc.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer context.AfterFunc(ctx, child.Kill)()
	err = child.Wait()
	return out.String(), errs.String(), err
}
