package chaostest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"pinwheel/internal/proc"
)

// again is the pause before a program that has ended is started again.
const again = 300 * time.Millisecond

// unit is one program of the farm with whoever starts it again when it ends, as
// systemd would. What it writes goes to a file.
type unit struct {
	name string
	make func(skew time.Duration) *exec.Cmd
	out  *os.File

	wake chan struct{} // wanted has changed
	over chan struct{} // closed when nobody starts it any more

	mu      sync.Mutex
	child   *proc.Child // nil: it does not run
	wanted  bool
	told    bool // what runs was told to end
	closing bool
	skew    time.Duration // of its clock
	starts  int
	odd     []string // ends that nobody asked for and that no trouble explains
}

func newUnit(logs, name string, cmd func(skew time.Duration) *exec.Cmd) (*unit, error) {
	out, err := os.Create(filepath.Join(logs, name+".log"))
	if err != nil {
		return nil, err
	}
	u := &unit{name: name, make: cmd, out: out, wake: make(chan struct{}, 1), over: make(chan struct{})}
	go u.keep()
	return u, nil
}

// keep starts the program whenever it is wanted and does not run, until close.
func (u *unit) keep() {
	defer close(u.over)
	defer u.out.Close()
	for {
		child, closing := u.next()
		switch {
		case closing:
			return
		case child == nil:
			<-u.wake
		default:
			<-child.Done()
			u.ended(child)
			t := time.NewTimer(again)
			select {
			case <-u.wake: // somebody wants it, or nobody does any more
			case <-t.C:
			}
			t.Stop()
		}
	}
}

// next starts the program if it is to run.
func (u *unit) next() (child *proc.Child, closing bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.wanted || u.closing {
		return nil, u.closing
	}
	cmd := u.make(u.skew)
	cmd.Stdout, cmd.Stderr = u.out, u.out
	child, err := proc.Start(cmd)
	if err != nil {
		u.odd = append(u.odd, err.Error())
		u.wanted = false
		return nil, false
	}
	u.starts++
	u.child, u.told = child, false
	return child, false
}

// ended looks at how the program ended. A master without a database, or a slave
// without space, ends with status 1 and is started again; all else that nobody
// asked for is a fault of the program.
func (u *unit) ended(child *proc.Child) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.child = nil
	var exit *exec.ExitError
	if err := child.Wait(); !u.told && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		u.odd = append(u.odd, fmt.Sprintf("%s ended by itself: %v", u.name, err))
	}
}

func (u *unit) nudge() {
	select {
	case u.wake <- struct{}{}:
	default:
	}
}

// start has the program run.
func (u *unit) start() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.wanted = true
	u.nudge()
}

// end signals the program, and nobody starts it again before start.
func (u *unit) end(sig syscall.Signal) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.wanted, u.told = false, true
	if u.child != nil {
		_ = u.child.Signal(sig) // it may just have ended
	}
}

// signal is for the program as it runs.
func (u *unit) signal(sig syscall.Signal) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.child != nil {
		_ = u.child.Signal(sig) // it may just have ended
	}
}

// pid is 0 when it does not run.
func (u *unit) pid() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.child == nil {
		return 0
	}
	return u.child.Pid()
}

// record is how often it was started, and what was odd about its ends.
func (u *unit) record() (starts int, odd []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.starts, slices.Clone(u.odd)
}

func (u *unit) setClock(skew time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.skew = skew
}

// gone returns when the program does not run any more, or the time is over.
func (u *unit) gone(within time.Duration) bool {
	u.mu.Lock()
	child := u.child
	u.mu.Unlock()
	if child == nil {
		return true
	}
	late := time.NewTimer(within)
	defer late.Stop()
	select {
	case <-child.Done():
		return true
	case <-late.C:
		return false
	}
}

// close kills the program, if it still runs, and returns when nobody starts it.
func (u *unit) close() {
	u.end(syscall.SIGKILL)
	u.mu.Lock()
	u.closing = true
	u.mu.Unlock()
	u.nudge()
	<-u.over
}

// stop is what systemd does to a program that is to end for good.
func (u *unit) stop(within time.Duration) error {
	u.mu.Lock()
	child := u.child
	u.mu.Unlock()
	u.end(syscall.SIGTERM)
	if !u.gone(within) {
		return fmt.Errorf("%s has not ended %v after SIGTERM", u.name, within)
	}
	if child == nil {
		return fmt.Errorf("%s does not run", u.name)
	}
	if err := child.Wait(); err != nil {
		return fmt.Errorf("%s after SIGTERM: %w", u.name, err)
	}
	return nil
}
