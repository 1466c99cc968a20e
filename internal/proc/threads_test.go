package proc_test

import (
	"os/exec"
	"syscall"
	"testing"
	"time"

	"pinwheel/internal/proc"
)

// TestOthersChildrenLive: a child that somebody else forked with a death signal, as
// bwrap does for itself, lives on while children of ours come and go. The signal comes
// when the thread ends that forked, and threads are shared.
func TestOthersChildrenLive(t *testing.T) {
	t.Parallel()
	const others = 4
	ends := make(chan error, others)
	var cmds []*exec.Cmd
	for range others {
		started := make(chan error)
		cmd := exec.Command("sleep", "infinity")
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
		go func() {
			started <- cmd.Start()
		}()
		if err := <-started; err != nil {
			t.Fatal(err)
		}
		cmds = append(cmds, cmd)
		go func() { ends <- cmd.Wait() }()
	}
	for range 100 {
		child, err := proc.Start(exec.Command("true"))
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case err := <-ends:
		t.Errorf("one of the others ended: %v", err)
	case <-time.After(100 * time.Millisecond): // a signal needs no time
	}
	for _, cmd := range cmds {
		_ = cmd.Process.Kill() // it may have ended
	}
}
