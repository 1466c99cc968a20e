package builder

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pinwheel/internal/farm"
	"pinwheel/internal/pip"
	"pinwheel/internal/proc"
)

// countedBwrap puts a bwrap on the PATH that tells how often it was started, and fails
// as that of a machine without user namespaces does while the file "broken" is beside it.
func countedBwrap(t *testing.T) (dir string, starts func() int) {
	t.Helper()
	real, err := findBwrap()
	must(t, err)
	dir, err = proc.SharedTempDir("builder-test-", proc.BuildUser())
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	list := filepath.Join(dir, "starts")
	must(t, os.WriteFile(list, nil, 0o666))
	must(t, os.Chmod(list, 0o666))
	script := "#!/bin/sh\necho >>" + list + "\ntest -e " + filepath.Join(dir, "broken") +
		" && { echo 'bwrap: No permissions to create new namespace' >&2; exit 1; }\nexec " + real + " \"$@\"\n"
	must(t, os.WriteFile(filepath.Join(dir, "bwrap"), []byte(script), 0o755))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return dir, func() int {
		text, err := os.ReadFile(list)
		must(t, err)
		must(t, os.Truncate(list, 0))
		return len(text)
	}
}

// A sandbox only for asking is made by the first build, and again whenever the answer may be
// another; what the next one is told is the same.
func TestKnown(t *testing.T) {
	bwrapOnly(t)
	dir, starts := countedBwrap(t)
	b := newBuild(t, Bwrap, "sd_ok", index(t, nil))
	b.Known = &Known{}
	compiler := ""
	for _, c := range []struct {
		name   string
		before func()
		starts int
	}{
		{"the first", func() {}, 2},
		{"the second", func() {}, 1},
		{"another bwrap", func() { must(t, os.Chmod(filepath.Join(dir, "bwrap"), 0o775)) }, 2},
		{"after that", func() {}, 1},
		{"late", func() { b.Known.before.until = time.Now() }, 2},
		{"a recipe", func() { b.Recipe.Env = map[string]string{"CPPFLAGS": "-O1"} }, 2},
	} {
		c.before()
		r := build(t, b)
		if n := starts(); n != c.starts || r.Outcome != farm.OutcomeBuilt {
			t.Errorf("%s: %d sandboxes, want %d: %+v", c.name, n, c.starts, r)
		}
		if compiler == "" {
			compiler = r.Record.Compiler
		}
		if r.Record.Compiler != compiler {
			t.Errorf("%s: compiler %q, the first was told %q", c.name, r.Record.Compiler, compiler)
		}
	}
}

// A fence that does not hold any more is the machine's fault, with the remedy, also
// where it was known to hold; when it holds again, builds go on.
func TestKnownNoMore(t *testing.T) {
	bwrapOnly(t)
	dir, starts := countedBwrap(t)
	b := newBuild(t, Bwrap, "sd_ok", index(t, nil))
	b.Known = &Known{}
	build(t, b)
	broken := filepath.Join(dir, "broken")
	must(t, os.WriteFile(broken, nil, 0o644))
	if _, err := Run(t.Context(), b); !errors.Is(err, ErrNoSandbox) || !strings.Contains(err.Error(), "allow unprivileged user namespaces") {
		t.Errorf("Run = %v", err)
	}
	nothingLeft(t, b)
	must(t, os.Remove(broken))
	starts()
	if r := build(t, b); r.Outcome != farm.OutcomeBuilt || starts() != 2 {
		t.Errorf("not asked again, or %+v", r)
	}
}

// What a compiler check has its answer from is told apart as it is in the root.
func TestAsked(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	in := func(path string) string { return filepath.Join(root, path) }
	put := func(path string) {
		must(t, os.MkdirAll(filepath.Dir(in(path)), 0o755))
		must(t, os.WriteFile(in(path), []byte(path), 0o755))
	}
	for _, path := range []string{"usr/bin/gcc-12", "usr/bin/gcc-13", "usr/include/p/Python.h"} {
		put(path)
	}
	must(t, os.Symlink("/etc/alternatives/cc", in("usr/bin/cc"))) // leads out of the folder, if not followed in the root
	must(t, os.Mkdir(in("etc"), 0o755))
	must(t, os.Mkdir(in("etc/alternatives"), 0o755))
	must(t, os.Symlink("/usr/bin/gcc-12", in("etc/alternatives/cc")))
	x := &box{root: root, python: pip.Python{Path: "/usr/bin/python3", CC: "gcc-13", Include: "/usr/include/p"}}
	before := x.asked()
	for _, c := range []struct {
		name   string
		change func()
	}{
		{"another link", func() {
			must(t, os.Remove(in("etc/alternatives/cc")))
			must(t, os.Symlink("/usr/bin/gcc-13", in("etc/alternatives/cc")))
		}},
		{"other rights", func() { must(t, os.Chmod(in("usr/bin/gcc-13"), 0o700)) }},
		{"an earlier one", func() { put("usr/local/bin/gcc-13") }},
		{"written to", func() { must(t, os.Truncate(in("usr/local/bin/gcc-13"), 1)) }},
		{"no headers", func() { must(t, os.Remove(in("usr/include/p/Python.h"))) }},
		{"no cc", func() { must(t, os.Remove(in("usr/bin/cc"))) }},
		{"another Python", func() { x.python.Path = "/usr/bin/python3.12" }},
	} {
		if again := x.asked(); again != before {
			t.Errorf("before %s: nothing changed, but\n%s\nis not\n%s", c.name, again, before)
		}
		c.change()
		after := x.asked()
		if after == before {
			t.Errorf("%s is not seen:\n%s", c.name, after)
		}
		before = after
	}
}

// A folder that the build's user cannot enter is named, also that nobody asked of it before.
func TestFolderOutOfReach(t *testing.T) {
	t.Parallel()
	for _, mode := range modes() {
		b := newBuild(t, mode, "sd_ok", index(t, nil))
		closed := filepath.Join(filepath.Dir(b.Dir), "closed")
		must(t, os.Mkdir(closed, 0o700))
		b.Dir = filepath.Join(closed, "b")
		_, err := Run(t.Context(), b)
		if os.Geteuid() == 0 && (err == nil || !strings.Contains(err.Error(), "permission denied to enter "+closed)) {
			t.Errorf("%s: Run = %v", mode, err)
		}
		if os.Geteuid() != 0 && err != nil {
			t.Errorf("%s: Run = %v", mode, err)
		}
	}
}
