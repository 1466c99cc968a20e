package proc

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Child is a started process, the leader of a process group of its own.
type Child struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // of cmd.Wait; readable once done is closed

	mu    sync.Mutex
	ended bool // the leader is gone, its process group's number may be reused
}

// Start starts cmd in a process group of its own (or in a session of its own,
// if cmd.SysProcAttr says Setsid). The kernel sends it SIGKILL, or the
// Pdeathsig that cmd.SysProcAttr names, when this program ends, however it
// ends. When the child itself ends, what is left of its group is killed, so a
// pipe held by a grandchild cannot keep Wait waiting. Who leaves the group by
// setsid is out of reach here: that takes a PID namespace. It has a session keyring of
// its own.
//
// The error is cmd.Start's, with the program's path.
func Start(cmd *exec.Cmd) (*Child, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	if cmd.SysProcAttr.Pdeathsig == 0 {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
	cmd.SysProcAttr.Setpgid = !cmd.SysProcAttr.Setsid
	c := &Child{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go c.run(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return c, nil
}

// run starts the child and waits for it on one locked thread. The kernel's
// "parent" of the death signal is the thread that forked, not the process: were
// that thread to end early, the child would be killed for no reason. Nor does it end with
// the child: others may have forked on it before, whom that would kill.
func (c *Child) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ownKeyring()
	defer ownKeyring() // whoever has the thread next finds nothing of this child's
	err := c.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	c.awaitLeader()
	c.endGroup()
	c.err = c.cmd.Wait()
	close(c.done)
}

// ownKeyring gives this thread, and so its child, a session keyring of its own
// (session-keyring(7)): what the child keeps in the kernel's is found by nobody after it,
// nor does it find anything. Where the kernel has none, or they are forbidden, there is
// nothing to be found either.
func ownKeyring() {
	_, _, _ = unix.Syscall(unix.SYS_KEYCTL, unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0) // 0: without a name
}

// awaitLeader returns when the child has ended but is not yet reaped: until
// then its number cannot belong to another process or group.
func (c *Child) awaitLeader() {
	for {
		err := unix.Waitid(unix.P_PID, c.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return
		}
	}
}

func (c *Child) endGroup() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.killGroup()
	c.ended = true
}

// killGroup ignores the error: it says that nobody is left.
func (c *Child) killGroup() { _ = unix.Kill(-c.cmd.Process.Pid, unix.SIGKILL) }

// Wait waits for the child's end and returns what cmd.Wait returned. It may be
// called by several, and often.
func (c *Child) Wait() error {
	<-c.done
	return c.err
}

// Done is closed when the child has ended, its group was killed, and its
// output is read.
func (c *Child) Done() <-chan struct{} { return c.done }

// Pid is the child's process number, also its group's.
func (c *Child) Pid() int { return c.cmd.Process.Pid }

// Signal sends sig to the child alone, not to its group. After its end the
// error is os.ErrProcessDone.
func (c *Child) Signal(sig os.Signal) error { return c.cmd.Process.Signal(sig) }

// Kill kills the child and its whole group, and does nothing after the child's
// end. It does not wait.
func (c *Child) Kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		c.killGroup()
	}
}
