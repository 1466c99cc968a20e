package pip

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"pinwheel/internal/proc"
)

// ErrNoPython says that no interpreter here can build.
var ErrNoPython = errors.New("no usable Python: apt install python3 python3-pip python3-venv, or name one with --python")

// systemPython is what every Debian has, where any user can run it.
const systemPython = "/usr/bin/python3"

// Find finds the Python to build with: the explicit one, which then must work,
// else the first of the PATH's python3 and /usr/bin/python3 that user can run
// with pip and venv. It is tried for real, as that user. What was passed over
// comes back with its reason, one line each, also beside an error.
func Find(ctx context.Context, explicit string, user proc.User) (py Python, passedOver []string, err error) {
	if explicit != "" {
		py, err = Ask(ctx, explicit, user)
		return py, nil, err
	}
	for _, c := range candidates() {
		py, err = Ask(ctx, c, user)
		if err == nil {
			return py, passedOver, nil
		}
		if ctx.Err() != nil {
			return Python{}, passedOver, ctx.Err()
		}
		passedOver = append(passedOver, err.Error())
	}
	return Python{}, passedOver, ErrNoPython
}

func candidates() []string {
	var all []string
	if p, err := exec.LookPath("python3"); err == nil {
		all = append(all, p)
	}
	if len(all) == 0 || all[0] != systemPython {
		if _, err := os.Stat(systemPython); err == nil {
			all = append(all, systemPython)
		}
	}
	return all
}

// Ask asks one interpreter, as user, what it is; path may be a name on the
// PATH. The error is one line that starts with the path.
func Ask(ctx context.Context, path string, user proc.User) (Python, error) {
	full, err := exec.LookPath(path)
	if err != nil {
		return Python{}, fmt.Errorf("%s: no such interpreter", path)
	}
	if full, err = filepath.Abs(full); err != nil {
		return Python{}, fmt.Errorf("%s: %w", path, err)
	}
	if err := user.CanExec(full); err != nil {
		return Python{}, fmt.Errorf("%s: %w", full, err)
	}
	real, err := behindShim(ctx, full, user)
	if err != nil {
		return Python{}, err
	}
	py, err := interrogate(ctx, real, user)
	if err != nil {
		return Python{}, err
	}
	py.Bundle, err = bundle(ctx, py)
	return py, err
}

// behindShim asks what really runs when full is started: version managers put
// scripts on the PATH that read the caller's environment, which builds do not
// have.
func behindShim(ctx context.Context, full string, user proc.User) (string, error) {
	out, err := command{
		argv: []string{full, "-E", "-s", "-c", "import sys; print(sys.executable)"},
		env:  os.Environ(), dir: "/", user: user,
	}.output(ctx)
	if err != nil {
		return "", fmt.Errorf("%s: run as %s: %w", full, user, err)
	}
	real := strings.TrimSpace(out)
	if !filepath.IsAbs(real) {
		return "", fmt.Errorf("%s: does not know its own path (%q)", full, real)
	}
	if err := user.CanExec(real); err != nil {
		return "", fmt.Errorf("%s: %w", full, err)
	}
	return real, nil
}

// interrogate runs the probe in the environment of a build: a pip that only
// the caller's home or PYTHONPATH holds is not there for builds either.
func interrogate(ctx context.Context, path string, user proc.User) (Python, error) {
	out, err := command{
		argv: []string{path, "-c", probeScript},
		env:  Python{Path: path}.CleanEnv("/nonexistent", ""), dir: "/", user: user,
	}.output(ctx)
	if err != nil {
		return Python{}, fmt.Errorf("%s: run as %s: %w", path, user, err)
	}
	return ReadAnswer(path, out)
}
