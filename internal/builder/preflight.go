package builder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pinwheel/internal/farm"
)

// ErrNoCompiler says that a build here would come out wrong: without a C
// compiler many packages quietly leave their extension out and become pure.
var ErrNoCompiler = errors.New("no C compiler")

// ErrNoPython says that Python starts outside of the sandbox and not in it, so that
// nothing can be built.
var ErrNoPython = errors.New("no Python for builds")

// ready is what the sandbox says first, to be told from one that does not work.
const ready = "pinwheel: inside"

// tools looks, inside the sandbox, for what every build needs: a Python that starts
// there, which one with libraries elsewhere does not, and would fail every package by
// its own fault; and what every extension needs. Arguments: the compiler that Python's
// own extensions ask for, the folder of Python.h, "deep" to compile and link for real,
// and Python.
const tools = `
said=$("$4" -c pass 2>&1) || { set -f; echo "missing: a Python that starts:" $said; exit; }
command -v cc >/dev/null || { echo "missing: cc"; exit; }
command -v "$1" >/dev/null || { echo "missing: $1"; exit; }
test -r "$2/Python.h" || { echo "missing: $2/Python.h"; exit; }
echo "compiler: $(cc --version 2>/dev/null | head -n 1)"
if test "$3" = deep; then
  echo '#include <Python.h>
PyObject *f(void) { return PyLong_FromLong(1); }' > "$TMPDIR/t.c"
  "$1" -I"$2" -shared -fPIC -o "$TMPDIR/t.so" "$TMPDIR/t.c" 2>&1 || echo "missing: a compiler that works"
fi`

// preflightTime bounds the looking around before a build.
const preflightTime = 2 * time.Minute // an emulated root is slow

// preflight makes sure of the sandbox and the compiler before anything is
// built, and returns the compiler's name for itself.
func (x *box) preflight(ctx context.Context, deep bool) (string, error) {
	if err := x.python.CanBuild(); err != nil {
		return "", x.here(err)
	}
	depth := "shallow"
	if deep {
		depth = "deep"
	}
	said, err := x.look(ctx, tools, x.python.CC, x.python.Include, depth, x.python.Path)
	if err != nil {
		return "", err
	}
	compiler := ""
	for line := range strings.Lines(said) {
		if what, ok := strings.CutPrefix(line, "missing: "); ok {
			return "", x.here(x.missing(strings.TrimSpace(what), said))
		}
		if name, ok := strings.CutPrefix(line, "compiler: "); ok {
			compiler = strings.TrimSpace(name)
		}
	}
	if compiler == "" {
		return "", x.here(fmt.Errorf("look for a compiler: %s", oneLine(said)))
	}
	return compiler, nil
}

// here names the root of an error, where it is not the machine's own.
func (x *box) here(err error) error {
	if x.root == HostRoot {
		return err
	}
	return fmt.Errorf("root %s: %w", x.root, err)
}

func (x *box) missing(what, said string) error {
	if why, ok := strings.CutPrefix(what, "a Python that starts:"); ok {
		return fmt.Errorf("%w: %s does not start where builds run: %s; builds see /usr and Python's own prefix: take one that needs nothing else",
			ErrNoPython, x.python.Path, oneLine(why))
	}
	if strings.HasSuffix(what, "Python.h") {
		return fmt.Errorf("%w for extensions: %s cannot be read by %s: apt install python3-dev", ErrNoCompiler, what, x.user)
	}
	if strings.Contains(what, " ") {
		return fmt.Errorf("%w: %s cannot build an extension: %s: apt install build-essential", ErrNoCompiler, x.python.CC, oneLine(said))
	}
	return fmt.Errorf("%w: %s is not there for %s: apt install build-essential", ErrNoCompiler, what, x.user)
}

// look runs a shell script in the box and returns what it said. The first
// time it finds out whether further user namespaces can be forbidden.
func (x *box) look(ctx context.Context, script string, args ...string) (string, error) {
	said, err := x.tryLook(ctx, script, args)
	if err == nil || x.mode != Bwrap || x.keepUserns || !isUserns(err.Error()) {
		return said, err
	}
	x.keepUserns = true
	return x.tryLook(ctx, script, args)
}

// isUserns says whether bwrap failed of what keepUserns leaves out, and of nothing else:
// a bwrap of before 0.8 does not know the option; else it limits the namespaces by a
// file of /proc that may not be there or not be writable, makes one more for itself, and
// finds out whether there can be another still.
func isUserns(said string) bool {
	return slices.ContainsFunc([]string{"nknown option --disable-userns", "/proc/sys/user/max_user_namespaces:", "sysctl user.max_user_namespaces",
		"unshare user ns:", "creation of new user namespaces was not disabled"}, func(words string) bool { return strings.Contains(said, words) })
}

func (x *box) tryLook(ctx context.Context, script string, args []string) (string, error) {
	argv := append([]string{"/bin/sh", "-c", "echo '" + ready + "'\n" + script, "sh"}, args...)
	log, err := newLog(filepath.Dir(x.dir), 64<<10)
	if err != nil {
		return "", err
	}
	defer log.close()
	end, err := x.execute(ctx, farm.Limits{Timeout: preflightTime}, log, argv)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	if err := log.copyTo(&b); err != nil {
		return "", err
	}
	if said, ok := strings.CutPrefix(b.String(), ready+"\n"); ok && end.stop.Cause == "" {
		return said, nil
	}
	return "", x.noSandbox(b.String(), end)
}

// noSandbox says why the box cannot run so much as a shell.
func (x *box) noSandbox(said string, end ending) error {
	if why := x.shut(); why != nil {
		return why
	}
	if x.root != HostRoot {
		if why := x.noRoot(said); why != nil {
			return why
		}
	}
	if x.mode != Bwrap {
		return fmt.Errorf("start %s as %s in %s: %s (exit status %d)", x.python.Path, x.user, x.work(), oneLine(said), end.code)
	}
	remedy := "allow unprivileged user namespaces"
	if _, err := os.Stat("/.dockerenv"); err == nil {
		remedy += " (in a container: run it with --privileged or --security-opt seccomp=unconfined)"
	} else if b, err := os.ReadFile("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"); err == nil && string(bytes.TrimSpace(b)) == "1" {
		remedy += " (sysctl kernel.apparmor_restrict_unprivileged_userns=0)"
	} else if b, err := os.ReadFile("/proc/sys/kernel/unprivileged_userns_clone"); err == nil && string(bytes.TrimSpace(b)) == "0" {
		remedy += " (sysctl kernel.unprivileged_userns_clone=1)"
	}
	return fmt.Errorf("%w: %s; %s, or choose --sandbox=none", ErrNoSandbox, oneLine(said), remedy)
}

// oneLine makes a program's words fit for an error.
func oneLine(s string) string {
	return strings.Join(strings.Fields(farm.Clean(s)), " ")
}
