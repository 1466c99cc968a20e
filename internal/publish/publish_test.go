package publish

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/crash"
	"pinwheel/internal/store"
)

func TestWriteAllGivesTheSameBytes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.build(artifact{project: "Some.Name", version: "1.9", requiresPython: ">=3.7"})
	w.build(artifact{project: "Some.Name", version: "1.10"})
	w.build(artifact{project: "other", version: "1!2.0+l.1"})
	w.yank("other", "1!2.0+l.1", `<script>"`)
	var trees []map[string]string
	for _, site := range []string{"one", "two"} {
		p := w.publisher(func(c *Config) { c.SiteDir = filepath.Join(w.dir, site) })
		w.must(p.WriteAll(t.Context()))
		checkSite(t, p.cfg.SiteDir)
		checkCopies(t, p.cfg.SiteDir)
		trees = append(trees, tree(t, p.cfg.SiteDir))
		w.must(p.WriteAll(t.Context()))
		if c := p.Counts(); c != (Counts{Pages: 4, Files: 3, Roots: 1}) {
			t.Errorf("the second time wrote what was there: %+v", c)
		}
	}
	if diff := cmp.Diff(trees[0], trees[1]); diff != "" {
		t.Errorf("two sites of the same rows differ:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"other", "some-name"}, rootOf(t, filepath.Join(w.dir, "one"))); diff != "" {
		t.Errorf("root index:\n%s", diff)
	}
	if left := w.stale(); len(left) != 0 {
		t.Errorf("still stale: %v", left)
	}
}

// TestRun follows a wheel from the commit of its row to the pages, woken by the
// notification: the safety scan is an hour away.
func TestRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.publisher(func(c *Config) { c.RootEvery, c.Rescan = time.Hour, time.Hour })
	done := make(chan string, 100)
	p.passed = func(point crash.Point, scope string) {
		if point == crash.PublishDone || point == crash.PublishRootDone {
			done <- scope
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	wait := func(scope string) {
		t.Helper()
		select {
		case got := <-done:
			if got != scope {
				t.Errorf("written: %q, want %q", got, scope)
			}
		case <-time.After(time.Minute):
			t.Fatalf("page %q was not written: stale %v", scope, w.stale())
		}
	}
	wait(store.RootScope) // of the empty site, and the next one is an hour away
	file := w.build(artifact{project: "foo", version: "1.0"})
	wait("foo")
	checkSite(t, w.site())
	if _, err := os.Stat(filepath.Join(w.site(), "simple/foo", file.Name)); err != nil {
		t.Error(err)
	}
	if root := rootOf(t, w.site()); len(root) != 0 {
		t.Errorf("the root index did not wait: %v", root)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// TestRootComesWithTheFirstPage: the leading edge, and then the pages that the
// first round brought are in the index at once.
func TestRootComesWithTheFirstPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.build(artifact{project: "foo", version: "1.0"})
	p := w.publisher(func(c *Config) { c.RootEvery = time.Hour })
	w.must(p.writeStale(t.Context()))
	w.must(p.writeStaleRoot(t.Context()))
	if diff := cmp.Diff([]string{"foo"}, rootOf(t, w.site())); diff != "" {
		t.Errorf("root index:\n%s", diff)
	}
	if p.pace.left(p.cfg.Now()) < 59*time.Minute {
		t.Error("the next root index need not wait")
	}
}

// TestRootNamesNoPendingPage: a project whose page is not there is not named, and
// the index stays stale until it is.
func TestRootNamesNoPendingPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.publisher()
	w.build(artifact{project: "foo", version: "1.0"})
	w.write(p)
	w.build(artifact{project: "foo", version: "2.0"}) // has a page, an old one
	w.build(artifact{project: "new", version: "1.0"}) // has none
	w.must(p.writeRoot(t.Context()))
	if diff := cmp.Diff([]string{"foo"}, rootOf(t, w.site())); diff != "" {
		t.Errorf("root index:\n%s", diff)
	}
	if !slices.Contains(w.stale(), store.RootScope) {
		t.Error("the root index is not stale any more")
	}
	w.write(p)
	if diff := cmp.Diff([]string{"foo", "new"}, rootOf(t, w.site())); diff != "" {
		t.Errorf("root index:\n%s", diff)
	}
	checkSite(t, w.site())
}

func TestYank(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.publisher()
	w.build(artifact{project: "foo", version: "1.0"})
	w.build(artifact{project: "foo", version: "1.1"})
	w.write(p)
	const reason = `"><script>alert('1.1')</script> & more`
	w.yank("foo", "1.1", reason)
	w.write(p)
	links := readHTML(t, filepath.Join(w.site(), "simple/foo/index.html"))
	if len(links) != 2 {
		t.Fatalf("links: %v", links)
	}
	if _, yanked := links[0]["data-yanked"]; yanked || links[1]["data-yanked"] != reason {
		t.Errorf("links: %v", links)
	}
	page := readJSON[struct{ Files []struct{ Yanked any } }](t, filepath.Join(w.site(), "simple/foo/index.json"))
	if page.Files[0].Yanked != false || page.Files[1].Yanked != reason {
		t.Errorf("files: %v", page.Files)
	}
	checkSite(t, w.site())
}

func TestWithdraw(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.publisher()
	for _, v := range []string{"1.0", "2.0"} {
		w.build(artifact{project: "foo", version: v})
	}
	w.build(artifact{project: "bar", version: "1.0"})
	w.write(p)
	w.remove("foo", "2.0")
	w.remove("bar")
	w.write(p)
	checkSite(t, w.site())
	var files []string
	for name := range tree(t, filepath.Join(w.site(), "simple")) {
		files = append(files, name)
	}
	slices.Sort(files)
	want := []string{"foo/foo-1.0-py3-none-any.whl", "foo/foo-1.0-py3-none-any.whl.build.json", "foo/foo-1.0-py3-none-any.whl.metadata",
		"foo/index.html", "foo/index.html.gz", "foo/index.json", "foo/index.json.gz",
		"index.html", "index.html.gz", "index.json", "index.json.gz"}
	if diff := cmp.Diff(want, files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if left := w.stale(); len(left) != 0 {
		t.Errorf("still stale: %v", left)
	}
}

// TestLostFile: what the depot lost is not named, all else is, and it is tried
// again later.
func TestLostFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	now := time.Now()
	p := w.publisher(func(c *Config) { c.Now = func() time.Time { return now } })
	lost := w.build(artifact{project: "foo", version: "1.0"})
	w.build(artifact{project: "foo", version: "2.0"})
	w.build(artifact{project: "bar", version: "1.0"})
	path, err := w.depot.Path(lost.SHA256)
	w.must(err)
	w.must(os.Rename(path, path+".lost"))
	w.write(p)
	checkSite(t, w.site())
	links := readHTML(t, filepath.Join(w.site(), "simple/foo/index.html"))
	if len(links) != 1 || links[0][""] != "foo-2.0-py3-none-any.whl" {
		t.Errorf("links: %v", links)
	}
	if diff := cmp.Diff([]string{"foo"}, w.stale()); diff != "" {
		t.Errorf("stale:\n%s", diff)
	}
	w.must(os.Rename(path+".lost", path))
	w.write(p) // too early
	if diff := cmp.Diff([]string{"foo"}, w.stale()); diff != "" {
		t.Errorf("stale:\n%s", diff)
	}
	now = now.Add(firstPause)
	w.write(p)
	checkSite(t, w.site())
	if len(readHTML(t, filepath.Join(w.site(), "simple/foo/index.html"))) != 2 || len(w.stale()) != 0 {
		t.Errorf("not healed: stale %v", w.stale())
	}
	if c := p.Counts(); c.Failures != 1 {
		t.Errorf("counts %+v", c)
	}
}

// TestTroubleOfOneProject: whatever stands in the way of some pages, the others
// are written, and the errors name the thing.
func TestTroubleOfOneProject(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.publisher()
	w.build(artifact{project: "blocked", version: "1.0"})
	w.build(artifact{project: "forged", version: "1.0"})
	w.build(artifact{project: "misfit", version: "1.0"})
	w.build(artifact{project: "good", version: "1.0"})
	w.must(os.WriteFile(filepath.Join(w.site(), "simple/blocked"), nil, 0o644))
	w.exec(`update wheels set metadata = 'x' where filename like 'forged%'`)
	w.exec(`insert into published_names (filename, sha256, size) values ('../../evil.whl', repeat('a', 64), 1)`)
	w.exec(`update wheels set filename = '../../evil.whl', sha256 = repeat('a', 64), size = 1 where filename like 'misfit%'`)
	err := p.WriteAll(t.Context())
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"simple/blocked", "forged-1.0-py3-none-any.whl: the stored METADATA", "../../evil.whl"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not name %q: %v", want, err)
		}
	}
	checkSite(t, w.site())
	if diff := cmp.Diff([]string{"good"}, rootOf(t, w.site())); diff != "" {
		t.Errorf("root index:\n%s", diff)
	}
	w.must(p.writeStale(t.Context())) // a loop meets the same, and goes on
	if diff := cmp.Diff([]string{"blocked", "forged", "misfit", store.RootScope}, sorted(w.stale())); diff != "" {
		t.Errorf("stale:\n%s", diff)
	}
}

func sorted(s []string) []string {
	slices.SortFunc(s, func(a, b string) int { // the root last, as it is listed
		if a == "" || b == "" {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	return s
}

// TestSiteDeleted: a site that is gone is written again without being asked, and
// what does not belong there goes with publish --all.
func TestSiteDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.publisher()
	w.build(artifact{project: "foo", version: "1.0"})
	w.write(p)
	before := tree(t, filepath.Join(w.site(), "simple"))
	w.must(os.RemoveAll(w.site()))
	w.write(p)
	if diff := cmp.Diff(before, tree(t, filepath.Join(w.site(), "simple"))); diff != "" {
		t.Errorf("site:\n%s", diff)
	}
	for _, stray := range []string{"gone", "foo/.foo-2.0-py3-none-any.whl123"} {
		w.must(os.MkdirAll(filepath.Join(w.site(), "simple", stray), 0o755))
	}
	w.must(os.WriteFile(filepath.Join(w.site(), "simple/.index.html123"), nil, 0o600))
	w.must(p.WriteAll(t.Context()))
	if diff := cmp.Diff(before, tree(t, filepath.Join(w.site(), "simple"))); diff != "" {
		t.Errorf("site:\n%s", diff)
	}
	if _, err := os.Stat(filepath.Join(w.site(), "simple/gone")); err == nil {
		t.Error("a folder that no row names is still there")
	}
}

// TestLock: a second writer waits for the first, and no longer than it is told.
func TestLock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, q := w.publisher(), w.publisher()
	unlock, err := p.lock(t.Context(), pagesLock)
	w.must(err)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := q.lock(ctx, pagesLock); err == nil {
		t.Error("two hold one lock")
	}
	unlock()
	unlock, err = q.lock(t.Context(), pagesLock)
	w.must(err)
	unlock()
}

// TestFoldersOfOneThatDied: who dies over a project's page, be it another process, may
// leave a folder whose name is not flushed. Whoever is next flushes it, before the row goes
// that would have it made again.
func TestFoldersOfOneThatDied(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.publisher()
	w.build(artifact{project: "first", version: "1.0"})
	w.write(other)
	for i, point := range []crash.Point{crash.PublishFolder, crash.PublishPages} {
		if other.made.Load() {
			t.Fatal("what it wrote before is not flushed")
		}
		w.build(artifact{project: fmt.Sprint("new-", i), version: "1.0"})
		w.killAtPoint(point)
		unlock, err := other.lock(t.Context(), pagesLock)
		w.must(err)
		if !other.made.Load() {
			t.Errorf("killed at %s: the next one flushes no name", point)
		}
		unlock() // with nothing flushed: that is left to whoever comes
		third := w.publisher()
		third.made.Store(false)
		unlock, err = third.lock(t.Context(), pagesLock)
		w.must(err)
		if !third.made.Load() {
			t.Errorf("killed at %s: the one after that flushes no name", point)
		}
		unlock()
		w.write(other)
		if left := w.stale(); len(left) != 0 {
			t.Errorf("stale: %v", left)
		}
	}
}

func TestNewNamesTheFolder(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := New(Config{SiteDir: file})
	if err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "--site-dir") {
		t.Errorf("got %v", err)
	}
}
