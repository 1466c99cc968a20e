package builder

import (
	"fmt"
	"io"
	"os/exec"
	"syscall"

	"pinwheel/internal/proc"
)

// guard ends bwrap's processes when this program is killed. bwrap and its child die with
// us by themselves, but for one moment: the child waits for a word of bwrap before it asks
// to die with anyone, and if we are killed by then, so is bwrap, and the child waits for
// ever. Who outlives us, and hears of our end by a pipe, is a shell.
type guard struct {
	cmd  *exec.Cmd
	word io.WriteCloser
}

// guarding is told a process group, and then that it has ended. When it hears no more
// before that, it ends the group.
const guarding = `read -r group && { read -r over || kill -KILL -"$group"; } 2>/dev/null; exit 0`

// newGuard starts one, as the user whose processes it may have to end.
func newGuard(user proc.User) (*guard, error) {
	g := &guard{cmd: exec.Command("/bin/sh", "-c", guarding)}
	g.cmd.Env, g.cmd.Dir = []string{}, "/"
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // what is meant for us and our group is not for it
	user.Apply(g.cmd)
	var err error
	if g.word, err = g.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start a guard of builds: %w", err)
	}
	if err := g.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a guard of builds: %w", err)
	}
	return g, nil
}

// over watches a process group, if one has begun, until its leader has ended.
func (g *guard) over(c *proc.Child) {
	if c != nil {
		fmt.Fprintln(g.word, c.Pid()) // an error means that somebody killed the guard: it only helps
		<-c.Done()
		fmt.Fprintln(g.word, "over")
	}
	g.word.Close()
	_ = g.cmd.Wait() // it says nothing
}
