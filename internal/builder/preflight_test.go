package builder

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pinwheel/internal/proc"
)

// TestPythonOutsideTheFence: a Python whose parts are where builds do not see them is
// the machine's fault, and no package's.
func TestPythonOutsideTheFence(t *testing.T) {
	t.Parallel()
	bwrapOnly(t)
	b := newBuild(t, Bwrap, "sd_ok", index(t, nil))
	dir, err := proc.SharedTempDir("builder-python-", b.User)
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	must(t, os.MkdirAll(filepath.Join(dir, "seen", "bin"), 0o755))
	must(t, os.Symlink(b.Python.Path, filepath.Join(dir, "python3")))
	path := filepath.Join(dir, "seen", "bin", "python3")
	must(t, os.WriteFile(path, []byte("#!/bin/sh\nexec "+dir+`/python3 "$@"`+"\n"), 0o755))
	must(t, exec.Command(path, "-c", "pass").Run())
	b.Python.Path, b.Python.Prefixes = path, append(b.Python.Prefixes, filepath.Join(dir, "seen"))
	for _, try := range []func() error{
		func() error { _, err := Check(t.Context(), b); return err },
		func() error { _, err := Run(t.Context(), b); return err },
	} {
		if err := try(); !errors.Is(err, ErrNoPython) || !strings.Contains(err.Error(), path+" does not start where builds run") ||
			!strings.Contains(err.Error(), "not found") {
			t.Error(err)
		}
	}
	nothingLeft(t, b)
}
