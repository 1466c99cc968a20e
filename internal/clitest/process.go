package clitest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"syscall"
	"time"
)

// patience is how long a program may take for anything it is waited for. Machines
// that test are busy; a test that passes never waits so long.
const patience = 90 * time.Second

// nobody is the ordinary user that root's tests can be.
const nobody = 65534

// process is a program under way.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr output
	done           chan struct{}
	err            error // of cmd.Wait; readable once done is closed
}

// spec says how a program is started.
type spec struct {
	argv   []string // argv[0] is a path
	env    []string
	dir    string
	nobody bool // be an ordinary user if we are root
	stdin  *os.File
}

func start(s spec) (*process, error) {
	cmd := exec.Command(s.argv[0], s.argv[1:]...)
	p := &process{cmd: cmd, done: make(chan struct{})}
	cmd.Env, cmd.Dir = s.env, s.dir
	cmd.Stdout, cmd.Stderr = &p.stdout, &p.stderr
	if s.stdin != nil {
		cmd.Stdin = s.stdin
	}
	// A group of its own: what a terminal sends to all must not be needed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if s.nobody && os.Geteuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	}
	// A child that holds its output for longer than it lives is a fault.
	cmd.WaitDelay = 30 * time.Second
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", s.argv[0], err)
	}
	go func() {
		defer close(p.done)
		p.err = cmd.Wait()
		p.stdout.end()
		p.stderr.end()
	}()
	return p, nil
}

// await returns the submatches of the first line of either output that matches;
// each is looked at from after the line that it gave last.
func (p *process) await(ctx context.Context, line *regexp.Regexp) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		found, more := p.stderr.find(line)
		if found == nil {
			var also <-chan struct{}
			if found, also = p.stdout.find(line); found == nil {
				select {
				case <-more:
					continue
				case <-also:
					continue
				case <-p.done:
				case <-ctx.Done():
				}
				if found, _ = p.stderr.find(line); found == nil {
					found, _ = p.stdout.find(line)
				}
			}
		}
		if found == nil {
			return nil, fmt.Errorf("%s did not say %q", p.cmd.Args[0], line)
		}
		return found, nil
	}
}

// wait returns the exit status; a program that a signal ended has the signal's
// number, negative.
func (p *process) wait(ctx context.Context) (int, error) {
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-p.done:
	case <-ctx.Done():
		return 0, errors.Join(fmt.Errorf("%s did not end before the test", p.cmd.Args[0]), p.kill())
	case <-late.C:
		return 0, errors.Join(fmt.Errorf("%s did not end within %s; it is in the middle of:\n%s", p.cmd.Args[0], patience, p.stacks()), p.kill())
	}
	if errors.Is(p.err, exec.ErrWaitDelay) {
		return 0, fmt.Errorf("%s ended, but somebody holds its output", p.cmd.Args[0])
	}
	if w := p.cmd.ProcessState.Sys().(syscall.WaitStatus); w.Signaled() {
		return -int(w.Signal()), nil
	}
	return p.cmd.ProcessState.ExitCode(), nil
}

// kill ends a program that the test has given up, and waits for its end.
func (p *process) kill() error {
	err := p.cmd.Process.Kill()
	<-p.done
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// output is what a program writes, for who waits for it.
type output struct {
	mu    sync.Mutex
	text  bytes.Buffer
	found int // bytes up to the end of the line that find found last
	ended bool
	grew  chan struct{}
}

// Write takes what the program writes.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(b)
	if o.grew != nil {
		close(o.grew)
		o.grew = nil
	}
	return len(b), nil
}

func (o *output) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
}

// find looks through the whole lines since the one found last. More is closed when there is more;
// it is nil, and so never ready, when there will be none.
func (o *output) find(line *regexp.Regexp) (found []string, more <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	at := o.found
	for l := range bytes.Lines(o.text.Bytes()[at:]) {
		at += len(l)
		if m := line.FindSubmatch(bytes.TrimRight(l, "\n")); m != nil && (o.ended || bytes.HasSuffix(l, []byte("\n"))) {
			o.found = at
			for _, s := range m {
				found = append(found, string(s))
			}
			return found, nil
		}
	}
	if o.grew == nil && !o.ended {
		o.grew = make(chan struct{})
	}
	return nil, o.grew
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
