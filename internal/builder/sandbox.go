package builder

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"syscall"

	"pinwheel/internal/farm"
	"pinwheel/internal/pip"
	"pinwheel/internal/proc"
)

// supervisor is the parent of a build without bwrap: it takes in every orphan
// of the build and ends them all.
//
//go:embed supervise.py
var supervisor string

// ErrNoSandbox says that bwrap cannot fence builds here.
var ErrNoSandbox = errors.New("builds cannot be fenced")

// command makes the command that runs argv in the box, not yet started. In
// mode bwrap the child's descriptor 3 must take bwrap's info.
func (x *box) command(limits farm.Limits, argv ...string) (*exec.Cmd, error) {
	cmd := exec.Command(x.python.Path, append([]string{"-I", "-S", "-c", supervisor, inWords(x.bounds(limits))}, argv...)...)
	cmd.Dir = x.work()
	// The supervisor must live long enough to end the others.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGTERM}
	if x.mode == Bwrap {
		bwrap, err := findBwrap()
		if err != nil {
			return nil, err
		}
		cmd = exec.Command(bwrap, append(x.fence(limits), x.out.command(argv)...)...)
		cmd.Dir = "/"
		cmd.SysProcAttr = nil
	}
	cmd.Env = x.env()
	// First the user, then bwrap: bwrap started by root would set up the view
	// with root's eyes and leave root's files readable.
	x.user.Apply(cmd)
	return cmd, nil
}

// fence is bwrap's command line up to the program.
func (x *box) fence(limits farm.Limits) []string {
	args := []string{"--unshare-user"}
	if !x.keepUserns {
		args = append(args, "--disable-userns")
	}
	args = append(args, "--unshare-net", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try",
		"--hostname", "build", "--new-session", "--die-with-parent", "--as-pid-1",
		"--cap-drop", "ALL", "--info-fd", "3")
	args = append(args, x.out.fence()...)
	return append(append(args, x.view()...), "/bin/sh", "-c", x.leader(limits), "sh")
}

func findBwrap() (string, error) {
	path, err := exec.LookPath("bwrap")
	if err != nil {
		return "", fmt.Errorf("%w: no bwrap on the PATH: apt install bubblewrap", ErrNoSandbox)
	}
	return path, nil
}

// shut says what keeps the build's user from its folder or from bwrap, if anything
// does. It is asked when nothing started, not before: to ask takes processes of its own.
func (x *box) shut() error {
	if err := x.user.CanEnter(filepath.Join(x.dir, "work")); err != nil {
		return err
	}
	if x.mode != Bwrap {
		return nil
	}
	path, err := findBwrap()
	if err != nil {
		return err
	}
	if err := x.user.CanExec(path); err != nil {
		return fmt.Errorf("%w: %w", ErrNoSandbox, err)
	}
	return nil
}

// Probe says whether bwrap can fence builds of this user here, by running it
// with the flags of a build. The error is an ErrNoSandbox and names the remedy.
func Probe(ctx context.Context, user proc.User) error {
	dir, err := proc.NewTempDir("pinwheel-probe-", user)
	if err != nil {
		return err
	}
	defer dir.Remove() // nothing but the box was in it, which removes itself
	x, err := openBox(Build{Dir: dir.Path, Mode: Bwrap, User: user, Python: pip.Python{Path: "/usr/bin/python3"}})
	if err != nil {
		return err
	}
	_, err = x.look(ctx, "exit 0")
	return errors.Join(err, x.remove())
}
