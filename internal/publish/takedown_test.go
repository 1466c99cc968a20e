package publish

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"pinwheel/internal/crash"
	"pinwheel/internal/farm"
	"pinwheel/internal/web"
)

// checkRows verifies what must hold at every moment: what a page names has a row,
// and the depot has the file of every row.
func (w *world) checkRows() {
	w.t.Helper()
	rows, err := w.sql.QueryContext(w.t.Context(),
		`select filename, sha256, size from wheels union all select filename, sha256, size from withdrawn`)
	w.must(err)
	defer rows.Close()
	has := map[string]bool{}
	for rows.Next() {
		var f farm.File
		w.must(rows.Scan(&f.Name, &f.SHA256, &f.Size))
		has[f.Name] = true
		if there, err := w.depot.Has(f.SHA256, f.Size); err != nil || !there {
			w.t.Errorf("the row of %s names a file that is gone: %v", f.Name, err)
		}
	}
	w.must(rows.Err())
	pages, err := filepath.Glob(filepath.Join(w.site(), "simple/*/index.html"))
	w.must(err)
	for _, page := range pages {
		for _, l := range readHTML(w.t, page) {
			if !has[l[""]] {
				w.t.Errorf("%s names %s, which has no row", page, l[""])
			}
		}
	}
}

// traces are what there is of a wheel: "page row depot site".
func (w *world) traces(project string, f farm.File) string {
	w.t.Helper()
	var out []string
	if page, err := os.ReadFile(filepath.Join(w.site(), "simple", project, pageHTML)); err == nil && strings.Contains(string(page), f.Name) {
		out = append(out, "page")
	}
	list, err := w.WithdrawnOf(context.WithoutCancel(w.t.Context()), []string{project})
	w.must(err)
	if len(list) > 0 {
		out = append(out, "row")
	}
	if has, err := w.depot.Has(f.SHA256, f.Size); err == nil && has {
		out = append(out, "depot")
	}
	if _, err := os.Stat(filepath.Join(w.site(), "simple", project, f.Name)); err == nil {
		out = append(out, "site")
	}
	return strings.Join(out, " ")
}

// TestPageRowFile follows what is taken down, step by step.
func TestPageRowFile(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		versions []string
		want     []string
	}{
		"a release": {[]string{"2.0"}, []string{
			"publish-files: page row depot site", "publish-html: row depot site", "publish-html-copy: row depot site",
			"publish-json: row depot site", "publish-pages: row depot site", "publish-forgotten: depot site",
			"publish-discarded: site", "publish-cleaned: ", "publish-done: ",
		}},
		"a project": {nil, []string{
			"publish-root-html: page row depot site", "publish-root-html-copy: page row depot site",
			"publish-root-json: page row depot site", "publish-root-pages: page row depot site", "publish-root-done: page row depot site",
			"publish-withdrawn: row depot site", "publish-forgotten: depot site", "publish-discarded: site", "publish-done: ",
		}},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			p := w.publisher()
			stays := w.build(artifact{project: "foo", version: "1.0"})
			gone := w.build(artifact{project: "foo", version: "2.0"})
			w.write(p)
			w.remove("foo", c.versions...)
			var got []string
			p.passed = func(point crash.Point, _ string) {
				if point != crash.PublishWheel { // of the other release
					got = append(got, fmt.Sprintf("%s: %s", point, w.traces("foo", gone)))
				}
			}
			w.must(p.writeStale(t.Context()))
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
			if want, got := len(c.versions) > 0, w.traces("foo", stays) != ""; got != want {
				t.Errorf("the other release is there: %v, want %v", got, want)
			}
			names, err := w.PublishedNames(t.Context())
			w.must(err)
			if len(names) != 2 {
				t.Errorf("%d published names, they are for ever", len(names))
			}
			w.checkRows()
		})
	}
}

// TestSharedBytesStay: a file that another wheel has too is not deleted.
func TestSharedBytesStay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.publisher()
	gone := w.build(artifact{project: "foo", version: "1.0"})
	w.build(artifact{project: "bar", version: "1.0"})
	w.write(p)
	w.exec(`insert into published_names (filename, sha256, size) values ('bar-2.0-py3-none-any.whl', $1, $2)`, gone.SHA256, gone.Size)
	w.exec(`update wheels set filename = 'bar-2.0-py3-none-any.whl', sha256 = $1, size = $2 where filename like 'bar%'`, gone.SHA256, gone.Size)
	w.must(w.MarkStale(t.Context(), []string{"bar"}))
	w.remove("foo")
	w.write(p)
	if has, err := w.depot.Has(gone.SHA256, gone.Size); err != nil || !has {
		t.Errorf("the depot has it: %v, %v", has, err)
	}
	w.checkRows()
}

// TestTakenDownWithPublishAll: the site may be deleted before the page is written.
func TestTakenDownWithPublishAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	gone := w.build(artifact{project: "foo", version: "1.0"})
	w.must(w.publisher().WriteAll(t.Context()))
	w.remove("foo")
	w.exec(`delete from stale_pages`) // as a program would that knows nothing of withdrawn wheels
	w.must(os.RemoveAll(w.site()))
	w.must(w.publisher().WriteAll(t.Context()))
	if got := w.traces("foo", gone); got != "" {
		t.Errorf("left: %s", got)
	}
}

// TestLossHoldsNothingBack: what must go goes, also if the depot has lost all else
// that the project has.
func TestLossHoldsNothingBack(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		goes func(w *world)
		left string
	}{
		"removed":  {func(w *world) { w.remove("foo", "2.0") }, ""},
		"withheld": {func(w *world) { w.hold("foo", "2.0", true) }, "depot"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			p := w.publisher()
			lost := w.build(artifact{project: "foo", version: "1.0"})
			goes := w.build(artifact{project: "foo", version: "2.0"})
			w.write(p)
			path, err := w.depot.Path(lost.SHA256)
			w.must(err)
			w.must(os.Remove(path))
			w.must(os.Remove(filepath.Join(w.site(), "simple/foo", lost.Name)))
			c.goes(w)
			w.write(p)
			if got := w.traces("foo", goes); got != c.left {
				t.Errorf("left: %q, want %q", got, c.left)
			}
			if diff := cmp.Diff([]string{"foo"}, w.stale()); diff != "" {
				t.Errorf("stale, for what is lost may come back:\n%s", diff)
			}
		})
	}
}

// handler serves the world's site.
func (w *world) handler() http.Handler {
	return web.New(web.Config{Store: w.Store, Depot: w.depot, SiteDir: w.site(), Log: zerolog.Nop()})
}

func get(h http.Handler, path string) *httptest.ResponseRecorder {
	r := httptest.NewRecorder()
	h.ServeHTTP(r, httptest.NewRequest(http.MethodGet, path, nil))
	return r
}

// TestQuarantine: as long as a project is withheld nobody gets its files, by no
// name and no page, and then everything is what it was, to the byte.
func TestQuarantine(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.publisher()
	held := w.build(artifact{project: "Foo", version: "1.0", requiresPython: ">=3.7"})
	w.build(artifact{project: "Foo", version: "2.0"})
	w.build(artifact{project: "other", version: "1.0"})
	w.write(p)
	before := tree(t, p.simple())
	for _, writing := range []struct {
		how string
		do  func() error
	}{
		{"of what is stale", func() error { return p.writeStale(t.Context()) }},
		{"of everything", func() error { return p.WriteAll(t.Context()) }},
		{"of a repair", func() error { return p.Repair(t.Context(), []string{"foo"}) }},
	} {
		w.setStatus("foo", "quarantined", `<malware> & "more"`)
		w.must(writing.do())
		after := tree(t, p.simple())
		left := slices.DeleteFunc(slices.Sorted(maps.Keys(after)), func(name string) bool { return !strings.HasPrefix(name, "foo/") })
		if diff := cmp.Diff([]string{"foo/index.html", "foo/index.html.gz", "foo/index.json", "foo/index.json.gz"}, left); diff != "" {
			t.Errorf("writing %s: files while withheld (-want +got):\n%s", writing.how, diff)
		}
		for _, form := range []string{"html", "json"} {
			want, err := os.ReadFile("testdata/withheld." + form)
			w.must(err)
			if diff := cmp.Diff(string(want), after["foo/index."+form]); diff != "" {
				t.Errorf("writing %s: the page (-want +got):\n%s", writing.how, diff)
			}
		}
		for name, body := range before {
			if !strings.HasPrefix(name, "foo/") && after[name] != body {
				t.Errorf("writing %s: %s is not what it was", writing.how, name)
			}
		}
		for _, file := range []string{held.Name, held.Name + metadataSuffix} {
			if code := get(w.handler(), "/simple/foo/"+file).Code; code != http.StatusNotFound {
				t.Errorf("writing %s: %s by an old link: %d", writing.how, file, code)
			}
		}
		w.checkRows() // the depot keeps the files
		w.setStatus("foo", "active", "")
		w.must(writing.do())
		if diff := cmp.Diff(before, tree(t, p.simple())); diff != "" {
			t.Errorf("writing %s: not restored (-before +after):\n%s", writing.how, diff)
		}
	}
	if r := get(w.handler(), "/simple/foo/"+held.Name); r.Code != http.StatusOK || hexSum(r.Body.Bytes()) != held.SHA256 {
		t.Errorf("afterwards: %d, %d bytes", r.Code, r.Body.Len())
	}
}

// TestQuarantinedRelease: as long as one release is withheld, its project's page and
// site are what they were without it, and then what they were with it, to the byte.
func TestQuarantinedRelease(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.publisher()
	w.build(artifact{project: "Foo", version: "1.0", requiresPython: ">=3.7"})
	w.build(artifact{project: "other", version: "1.0"})
	w.write(p)
	without := tree(t, p.simple())
	held := w.build(artifact{project: "Foo", version: "2.0"})
	w.write(p)
	with := tree(t, p.simple())
	for _, writing := range []struct {
		how string
		do  func() error
	}{
		{"of what is stale", func() error { return p.writeStale(t.Context()) }},
		{"of everything", func() error { return p.WriteAll(t.Context()) }},
		{"of a repair", func() error { return p.Repair(t.Context(), []string{"foo"}) }},
	} {
		w.hold("foo", "2.0", true)
		w.must(writing.do())
		if diff := cmp.Diff(without, tree(t, p.simple())); diff != "" {
			t.Errorf("writing %s: while withheld (-before it came +now):\n%s", writing.how, diff)
		}
		for _, file := range []string{held.Name, held.Name + metadataSuffix} {
			if code := get(w.handler(), "/simple/foo/"+file).Code; code != http.StatusNotFound {
				t.Errorf("writing %s: %s by an old link: %d", writing.how, file, code)
			}
		}
		w.checkRows() // the depot keeps the files
		w.hold("foo", "2.0", false)
		w.must(writing.do())
		if diff := cmp.Diff(with, tree(t, p.simple())); diff != "" {
			t.Errorf("writing %s: not restored (-before +after):\n%s", writing.how, diff)
		}
	}
	w.hold("other", "1.0", true)
	w.write(p)
	if links := readHTML(t, filepath.Join(p.simple(), "other", pageHTML)); len(links) != 0 {
		t.Errorf("links of what is all withheld: %v", links)
	}
	w.remove("foo", "1.0") // what is beside it may go
	w.hold("foo", "2.0", true)
	w.write(p)
	w.checkRows()
}

// TestRemovedWhileWithheld: what is withheld can go as well.
func TestRemovedWhileWithheld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.publisher()
	gone := w.build(artifact{project: "foo", version: "1.0"})
	w.build(artifact{project: "foo", version: "2.0"})
	w.write(p)
	w.setStatus("foo", "quarantined", "")
	w.write(p)
	w.remove("foo", "1.0")
	w.write(p)
	if got := w.traces("foo", gone); got != "" {
		t.Errorf("left: %s", got)
	}
	w.checkRows()
	w.setStatus("foo", "active", "")
	w.write(p)
	if links := readHTML(t, filepath.Join(p.simple(), "foo", pageHTML)); len(links) != 1 || links[0][""] != "foo-2.0-py3-none-any.whl" {
		t.Errorf("links: %v", links)
	}
	checkSite(t, w.site())
}

// slowly is a visitor on a slow line: between is called once he has some bytes.
type slowly struct {
	*httptest.ResponseRecorder
	between func()
}

func (s *slowly) Write(b []byte) (int, error) {
	n, err := s.ResponseRecorder.Write(b)
	if s.between != nil {
		s.between()
		s.between = nil
	}
	return n, err
}

// TestDownloadOutlivesRemoval: who has begun gets all of it.
func TestDownloadOutlivesRemoval(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.publisher()
	file := w.build(artifact{project: "foo", version: "1.0", padding: 1 << 20})
	w.write(p)
	visitor := &slowly{ResponseRecorder: httptest.NewRecorder()}
	visitor.between = func() {
		if n := int64(visitor.Body.Len()); n >= file.Size {
			t.Errorf("%d bytes at once: nothing is left to be sent", n)
		}
		w.remove("foo")
		w.write(p)
		if got := w.traces("foo", file); got != "" {
			t.Errorf("left: %s", got)
		}
	}
	w.handler().ServeHTTP(visitor, httptest.NewRequest(http.MethodGet, "/simple/foo/"+file.Name, nil))
	if visitor.Code != http.StatusOK || hexSum(visitor.Body.Bytes()) != file.SHA256 {
		t.Errorf("%d, %d of %d bytes", visitor.Code, visitor.Body.Len(), file.Size)
	}
	if code := get(w.handler(), "/simple/foo/"+file.Name).Code; code != http.StatusNotFound {
		t.Errorf("who comes later: %d", code)
	}
}
