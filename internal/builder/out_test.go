package builder

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"pinwheel/internal/farm"
)

// TestCrowdedOut: a build that leaves names without end where its wheel should be is told
// of as one that left a few, and a wheel among them is not taken.
func TestCrowdedOut(t *testing.T) {
	t.Parallel()
	out := `
out = os.path.dirname(os.path.expanduser("~")) + "/out"
os.makedirs(out, exist_ok=True)
def leave(n, end):
    for i in range(n): os.close(os.open("%s/%06d%s%s" % (out, i, "x" * 220, end), os.O_CREAT | os.O_WRONLY))
`
	for name, c := range map[string]struct {
		body string
		want string // how the detail begins
	}{
		"fewwheels":  {"leave(7, '.whl')", "8 wheels, not one: 000000xxx"},
		"manywheels": {"leave(2000, '.whl')", "more than 1000 files"},
		"manyfiles":  {"leave(2000, '.txt')", "more than 1000 files"},
	} {
		for _, mode := range modes() {
			t.Run(name+"/"+string(mode), func(t *testing.T) {
				t.Parallel()
				b := newBuild(t, mode, name, index(t, map[string][]byte{name: sdist(t, name, out+c.body+"\nreturn wheel(d)\n")}))
				r := build(t, b)
				if r.Failure.Cause != farm.WrongWheel || !strings.HasPrefix(r.Failure.Detail, c.want) || len(r.Failure.Detail) > 1000 {
					t.Errorf("%s, %d bytes of detail: %.100s", r.Failure.Cause, len(r.Failure.Detail), r.Failure.Detail)
				}
			})
		}
	}
}

// TestOutCostsNoMemory: however many names there are, no more are read than are looked at.
// It is not parallel: others would be measured.
func TestOutCostsNoMemory(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "out"), 0o755))
	for i := range 6_000 {
		must(t, os.WriteFile(filepath.Join(dir, "out", fmt.Sprintf("%06d%s.whl", i, strings.Repeat("x", 240))), nil, 0o600))
	}
	work, err := os.OpenRoot(dir)
	must(t, err)
	defer work.Close()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	names, more := wheelNames(work)
	runtime.ReadMemStats(&after)
	n := after.TotalAlloc - before.TotalAlloc
	t.Logf("%d names cost %d bytes of memory", len(names), n)
	if !more || n > 2<<20 {
		t.Errorf("%d names, more: %v; they cost %d bytes of memory", len(names), more, n)
	}
}

// TestNoFolder: whatever stands where wheels should be, it holds none, and nobody waits
// for it.
func TestNoFolder(t *testing.T) {
	t.Parallel()
	elsewhere := t.TempDir()
	must(t, os.WriteFile(filepath.Join(elsewhere, "a.whl"), nil, 0o644))
	for what, put := range map[string]func(path string) error{
		"nothing":          func(string) error { return nil },
		"a file":           func(path string) error { return os.WriteFile(path, nil, 0o644) },
		"a pipe":           func(path string) error { return syscall.Mkfifo(path, 0o644) },
		"a link":           func(path string) error { return os.Symlink(elsewhere, path) },
		"a link to a pipe": func(path string) error { return os.Symlink("pipe", path) },
		"an empty folder":  func(path string) error { return os.Mkdir(path, 0o755) },
	} {
		dir := t.TempDir()
		must(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644))
		must(t, put(filepath.Join(dir, "out")))
		work, err := os.OpenRoot(dir)
		must(t, err)
		if names, more := wheelNames(work); len(names) > 0 || more {
			t.Errorf("%s: %q, %v", what, names, more)
		}
		must(t, work.Close())
	}
}
