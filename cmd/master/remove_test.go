package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/bus"
	"pinwheel/internal/cli"
	"pinwheel/internal/farmtest"
)

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	farmtest.Eventually(t, what, ok)
}

func (f *testFarm) status(path string) int {
	f.t.Helper()
	resp, err := http.Get(f.URL + path)
	f.must(err)
	resp.Body.Close()
	return resp.StatusCode
}

// TestRemoveEndsEverything: page, files, jobs, and the build under way, which
// hears of it by order and by beat.
func TestRemoveEndsEverything(t *testing.T) {
	t.Parallel()
	f := newOpsFarm(t)
	f.built("demo", "2.0", "a log")
	f.built("other", "1.0", "")
	f.check()
	f.queue("demo", "1.0")
	s := f.wireSlave("pi-01")
	lease := s.lease("r1")
	f.awaitAttended()
	type removed struct {
		Schema           int
		Package          string
		Versions, Wheels []string
		Jobs, Aborted    int
	}
	got := answer[removed](f, "remove", "Demo")
	want := removed{1, "demo", []string{"2.0", "1.0"}, []string{"demo-2.0-py3-none-any.whl"}, 2, 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if o := s.order(); o.Do != bus.DoAbort || o.Token != lease.Token {
		t.Errorf("order %+v", o)
	}
	beat, err := s.Beat(t.Context(), bus.Beat{Held: []string{lease.Token}})
	if err != nil || len(beat.Abort) != 1 {
		t.Errorf("beat %+v, %v", beat, err)
	}
	f.check()
	if code := f.status("/simple/demo/"); code != http.StatusNotFound {
		t.Errorf("its page answers %d", code)
	}
	if _, err := os.Stat(filepath.Join(f.Settings.SiteDir, "simple/demo")); err == nil {
		t.Error("its folder is still there")
	}
	if code := f.status("/simple/other/"); code != http.StatusOK {
		t.Errorf("the page of another project answers %d", code)
	}
}

func TestRemoveVersion(t *testing.T) {
	t.Parallel()
	f := newOpsFarm(t)
	f.built("demo", "1.0", "")
	f.built("demo", "2.0", "")
	if got := f.done("remove", "demo==1.0"); !strings.HasPrefix(got, "demo: 1 versions, 1 jobs, 1 wheels removed") {
		t.Errorf("said %q", got)
	}
	f.check()
	for path, want := range map[string]int{
		"/simple/demo/demo-1.0-py3-none-any.whl": http.StatusNotFound, "/simple/demo/demo-2.0-py3-none-any.whl": http.StatusOK,
	} {
		if code := f.status(path); code != want {
			t.Errorf("%s answers %d, want %d", path, code, want)
		}
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"remove", "nowhere"}, cli.ExitFailed, "remove nowhere: the farm has no such package: not found; nothing was removed"},
		{[]string{"remove", "demo", "2.0", "9.9"}, cli.ExitFailed, "no version 9.9 of it: not found; nothing was removed"},
		{[]string{"remove", "no name"}, cli.ExitUsage, "is not a package name"},
		{[]string{"remove"}, cli.ExitUsage, "use: master remove"},
	} {
		code, out, stderr := f.command(c.args...)
		if code != c.code || !strings.Contains(stderr, c.want) || out != "" {
			t.Errorf("master %q: exit status %d, %q, %q; want %d and %q", c.args, code, out, stderr, c.code, c.want)
		}
	}
	f.check()
}
