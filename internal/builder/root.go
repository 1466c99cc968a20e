package builder

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"pinwheel/internal/elffile"
	"pinwheel/internal/pip"
	"pinwheel/internal/proc"
)

// HostRoot is the root of the machine's own userland.
const HostRoot = "/"

// rootPython is the interpreter of a root whose operator names none.
const rootPython = "/usr/bin/python3"

// certificates is where Debian keeps the certificates that pip of its own trusts.
const certificates = "/etc/ssl/certs/ca-certificates.crt"

// ErrRoot says that nothing can be built in a root as it is.
var ErrRoot = errors.New("root cannot be used")

// newRoot is the remedy of a root that is none.
const newRoot = "make one with `make armroot` (scripts/armroot on a slave), which prints its folder, and name that as the target's root"

// Ask asks the interpreter of a root other than HostRoot what it is, as user, in the
// sandbox that its builds get: for the Python of the machine itself there is
// pip.Find. The path is one inside the root; empty, it is /usr/bin/python3. The error
// is one line that names the root and the remedy.
func Ask(ctx context.Context, root, python string, user proc.User) (pip.Python, error) {
	python = cmp.Or(python, rootPython)
	py, err := ask(ctx, root, python, user)
	if err != nil {
		return pip.Python{}, err
	}
	if _, err := os.Stat(filepath.Join(root, certificates)); err != nil {
		if _, err := os.Stat(certificates); err == nil {
			py.Bundle = certificates
		}
	}
	return py, nil
}

func ask(ctx context.Context, root, python string, user proc.User) (pip.Python, error) {
	dir, err := proc.NewTempDir("pinwheel-root-", user)
	if err != nil {
		return pip.Python{}, err
	}
	defer dir.Remove() // nothing but the box was in it, which removes itself
	if !filepath.IsAbs(python) {
		return pip.Python{}, fmt.Errorf("root %s: Python %q: want an absolute path, as it is inside", root, python)
	}
	x, err := openBox(Build{Dir: dir.Path, Mode: Bwrap, User: user, Root: root, Python: pip.Python{Path: python}})
	if err != nil {
		return pip.Python{}, err
	}
	py, err := x.ask(ctx)
	return py, errors.Join(err, x.remove())
}

// ask has the box's interpreter say what it is.
func (x *box) ask(ctx context.Context) (pip.Python, error) {
	real, err := InRoot(x.root, x.python.Path)
	if err != nil {
		return pip.Python{}, fmt.Errorf("root %s: has no %s: chroot %s apt-get install python3 python3-pip python3-venv python3-dev, or name another Python with the target",
			x.root, x.python.Path, x.root)
	}
	// What is to be seen of it, before it can say so itself.
	inside := strings.TrimPrefix(real, strings.TrimSuffix(x.root, "/"))
	for _, path := range []string{x.python.Path, inside} {
		x.python.Prefixes = append(x.python.Prefixes, filepath.Dir(filepath.Dir(path)))
	}
	said, err := x.look(ctx, `exec "$1" -c "$2"`, x.python.Path, pip.ProbeScript())
	if err != nil {
		return pip.Python{}, err
	}
	py, err := pip.ReadAnswer(x.python.Path, said)
	if err != nil {
		return pip.Python{}, fmt.Errorf("root %s: %w", x.root, err)
	}
	return py, nil
}

// openRoot finds the folder of a build's root, and says why there is none.
func (b Build) openRoot() (string, error) {
	if b.Root == "" || b.Root == HostRoot {
		return HostRoot, nil
	}
	if !filepath.IsAbs(b.Root) {
		return "", fmt.Errorf("%w: %s: want an absolute path", ErrRoot, b.Root)
	}
	if b.Mode != Bwrap {
		return "", fmt.Errorf("%w: %s: without bubblewrap there is only the root /", ErrRoot, b.Root)
	}
	info, err := os.Stat(b.Root)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%w: %s: there is no such folder; %s", ErrRoot, b.Root, newRoot)
	}
	if err == nil && !info.IsDir() {
		err = errors.New("not a folder")
	}
	var real string
	if err == nil {
		real, err = filepath.EvalSymlinks(b.Root)
	}
	if err != nil {
		return "", rootOutOfReach(b.Root, err)
	}
	if _, err := InRoot(real, "/bin/sh"); err != nil {
		return "", fmt.Errorf("%w: %s: has no /bin/sh, so it is no userland; %s", ErrRoot, b.Root, newRoot)
	}
	return real, nil
}

// InRoot resolves path as a process sees it whose root is root, and returns where
// that lies on this machine: a link's absolute target begins at root, and no ".."
// leads above it.
func InRoot(root, path string) (string, error) {
	todo, at := strings.Split(path, "/"), ""
	for links := 0; len(todo) > 0; {
		name := todo[0]
		todo = todo[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			at = at[:max(strings.LastIndexByte(at, '/'), 0)]
			continue
		}
		next := at + "/" + name
		info, err := os.Lstat(filepath.Join(root, next))
		if err != nil {
			return "", err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			at = next
			continue
		}
		to, err := os.Readlink(filepath.Join(root, next))
		if err != nil {
			return "", err
		}
		if links++; links > maxLinks {
			return "", &fs.PathError{Op: "resolve", Path: path, Err: errors.New("too many links")}
		}
		if filepath.IsAbs(to) {
			at = ""
		}
		todo = append(strings.Split(to, "/"), todo...)
	}
	return filepath.Join(root, at), nil
}

// rootOutOfReach is the error of a root that lies where the build's user cannot go.
func rootOutOfReach(root string, why error) error {
	return fmt.Errorf("%w: %s: %w; keep it where the build user can go, for example below /var/cache/pinwheel", ErrRoot, root, why)
}

// maxLinks is how many links the kernel follows in one path.
const maxLinks = 40

// noRoot says why no program of the root starts, if it is the root that is to blame
// and not the fence.
func (x *box) noRoot(said string) error {
	switch {
	case strings.Contains(said, "find source path"):
		if err := x.user.CanEnter(x.root); err != nil {
			return rootOutOfReach(x.root, err)
		}
		return fmt.Errorf("%w: %s: %s; all of it must lie where %s can go", ErrRoot, x.root, oneLine(said), x.user)
	case !strings.Contains(said, "execvp /bin/sh"):
		return nil
	case !strings.Contains(said, "Exec format error"):
		return fmt.Errorf("%w: %s: its /bin/sh does not start: %s", ErrRoot, x.root, oneLine(said))
	}
	name := machineOf(x.root)
	return fmt.Errorf("%w: %s: its programs are for %s, which this kernel does not run: apt install qemu-user-static binfmt-support; update-binfmts --enable qemu-%s",
		ErrRoot, x.root, name, name)
}

// machineOf is the machine that a root's programs are for, by qemu's name.
func machineOf(root string) string {
	path, err := InRoot(root, "/bin/sh")
	if err != nil {
		return "another machine"
	}
	p, err := elffile.OpenProgram(path)
	if err != nil && p.Machine == "" {
		return "another machine"
	}
	others := map[string]string{"riscv": "riscv64", "ppc64": "ppc64le", "ppc64-be": "ppc64", "s390-be": "s390x"}
	return cmp.Or(others[p.Machine], p.Machine)
}
