package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pinwheel/internal/cli"
	"pinwheel/internal/store"
)

func (f *testFarm) inSite(path string) string {
	return filepath.Join(f.Settings.SiteDir, "simple", path)
}

// TestPublishBesideAMaster: it writes, and the command waits for it.
func TestPublishBesideAMaster(t *testing.T) {
	t.Parallel()
	f := newOpsFarm(t)
	f.built("demo", "1.0", "")
	f.built("other", "1.0", "")
	f.check()
	f.awaitAttended()
	for _, args := range [][]string{{"publish", "Demo"}, {"publish", "--all"}} {
		f.must(os.Remove(f.inSite("demo/index.html")))
		f.done(args...)
		if code := f.status("/simple/demo/"); code != http.StatusOK {
			t.Errorf("after master %q the page answers %d", args, code)
		}
		f.check()
	}
	f.done("publish")
}

// TestPublishAlone: without a master the command writes by itself.
func TestPublishAlone(t *testing.T) {
	t.Parallel()
	f := newOpsFarm(t)
	f.built("demo", "1.0", "")
	f.check()
	f.end()
	var err error
	f.Store, err = store.Open(t.Context(), f.Settings.DatabaseURL) // the master's is closed
	f.must(err)
	defer f.Store.Close()
	f.built("late", "1.0", "")
	f.done("publish")
	if _, err := os.Stat(f.inSite("late/index.json")); err != nil {
		t.Error(err)
	}
	before, err := os.ReadFile(f.inSite("demo/index.html"))
	f.must(err)
	for _, args := range [][]string{{"publish", "demo"}, {"publish", "--all"}} {
		f.must(os.WriteFile(f.inSite("demo/index.html"), []byte("spoilt"), 0o644))
		f.done(args...)
		if after, err := os.ReadFile(f.inSite("demo/index.html")); err != nil || string(after) != string(before) {
			t.Errorf("master %q wrote %q, %v", args, after, err)
		}
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"publish", "nowhere"}, cli.ExitFailed, "`master add nowhere` adds it"},
		{[]string{"publish", "--all", "demo"}, cli.ExitUsage, "either --all or packages"},
		{[]string{"publish", "no name"}, cli.ExitUsage, "is not a package name"},
	} {
		code, out, stderr := f.command(c.args...)
		if code != c.code || !strings.Contains(stderr, c.want) || out != "" {
			t.Errorf("master %q: exit status %d, %q, %q; want %d and %q", c.args, code, out, stderr, c.code, c.want)
		}
	}
}

// TestPublishGivesUpOnAPage that the master cannot write, and names it.
func TestPublishGivesUpOnAPage(t *testing.T) {
	t.Parallel()
	f := newOpsFarm(t)
	row := f.built("demo", "1.0", "")
	f.check()
	page, err := f.Store.Page(t.Context(), row.Package)
	f.must(err)
	f.must(f.Depot.Remove(page.Wheels[0].SHA256))
	f.must(os.RemoveAll(f.inSite("demo")))
	f.must(f.Store.MarkStale(t.Context(), []string{"demo"}))
	w := waiting{st: f.Store, names: []string{"demo"}, bar: newProgress(io.Discard), stall: 100 * time.Millisecond, rootStall: time.Hour}
	err = w.wait(t.Context())
	if err == nil || !strings.Contains(err.Error(), "1 pages are not written (demo); the master's log says why") {
		t.Errorf("error %v", err)
	}
}
