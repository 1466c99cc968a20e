package builder

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"pinwheel/internal/elffile"
)

// helper gives the path of the program that opens the way out, where the build's user
// can run it: as it is installed; or, of a program in a folder of our own, a second
// name of it in the box, or a copy.
func (x *box) helper(path string) (string, error) {
	if path == "" {
		var err error
		if path, err = os.Executable(); err != nil {
			return "", fmt.Errorf("find this program for the build's way out: %w", err)
		}
	}
	if x.known.canRun(x, path) == nil {
		return path, nil
	}
	to := filepath.Join(x.dir, "way-out")
	if os.Link(path, to) == nil && x.user.CanExec(to) == nil {
		return to, nil
	}
	if err := errors.Join(copyProgram(path, to), x.user.CanExec(to)); err != nil {
		return "", fmt.Errorf("copy this program for the build's way out: %w", err)
	}
	return to, nil
}

// loader is what the kernel starts a program by, "" for one that needs none. Of one that
// cannot be read it is "", too: nobody can run that, and the run says so.
func loader(path string) string {
	p, err := elffile.OpenProgram(path)
	if err != nil {
		return ""
	}
	return p.Loader
}

// opens says whether the helper can start in the box's root: said before any build
// begins, since each would fail.
func (x *box) opens(helper string) error {
	if x.mode != Bwrap || x.root == HostRoot {
		return nil
	}
	path, err := x.helper(helper)
	if err != nil {
		return err
	}
	if needs := loader(path); needs != "" {
		if _, err := InRoot(x.root, needs); err != nil {
			return fmt.Errorf("%w: %s: this program needs %s, which is not there: take one that needs no C library (CGO_ENABLED=0), as `make build` makes it",
				ErrRoot, x.root, needs)
		}
	}
	return nil
}

func copyProgram(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	// A child that is forked meanwhile has the copy open for writing, too, until it is
	// another program, and for so long nobody could start the copy.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Chmod(0o755), out.Close())
}
