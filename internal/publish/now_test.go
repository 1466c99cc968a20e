package publish

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func (w *world) spoil(path string, content string) {
	w.t.Helper()
	path = filepath.Join(w.site(), "simple", path)
	w.must(os.MkdirAll(filepath.Dir(path), 0o755))
	w.must(os.RemoveAll(path)) // never through a link into the depot
	w.must(os.WriteFile(path, []byte(content), 0o644))
}

// TestRepair spoils a site in every way, and finds it as it was.
func TestRepair(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.publisher()
	wheel := w.build(artifact{project: "foo", version: "1.0"})
	w.build(artifact{project: "bar", version: "1.0"})
	w.build(artifact{project: "blocked", version: "1.0"})
	w.write(p)
	simple := filepath.Join(w.site(), "simple")
	before := tree(t, simple)

	w.spoil("foo/"+wheel.Name, strings.Repeat("x", int(wheel.Size))) // of the right size
	w.spoil("foo/index.html", "nothing")
	w.spoil("foo/more", "")
	w.spoil("foo/"+wheel.Name+".metadata", strings.Repeat("x", len(before["foo/"+wheel.Name+".metadata"])))
	w.spoil("foo/"+wheel.Name+recordSuffix, "{}")
	w.spoil("foo/index.json.gz", before["bar/index.json.gz"])
	w.must(os.RemoveAll(filepath.Join(simple, "bar")))
	w.must(os.RemoveAll(filepath.Join(simple, "blocked")))
	w.spoil("blocked", "a file where a folder belongs")
	w.spoil("gone/index.html", "of a project that was removed")
	w.spoil("Not A Project/\xff", "")
	w.spoil("index.json", "{}")
	w.spoil("index.html.gz", "")
	w.spoil("stray.txt", "")
	w.must(p.Repair(t.Context(), []string{"foo", "bar", "blocked", "gone", "Not A Project"}))
	if diff := cmp.Diff(before, tree(t, simple)); diff != "" {
		t.Errorf("after the repair:\n%s", diff)
	}
	for _, gone := range []string{"gone", "Not A Project", "stray.txt"} {
		if _, err := os.Lstat(filepath.Join(simple, gone)); err == nil {
			t.Errorf("%s is still there", gone)
		}
	}
}

// TestRepairStaysInTheSite: a name is never a way out of it.
func TestRepairStaysInTheSite(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.publisher()
	for _, name := range []string{"..", ".", "../depot", "a/b", "/etc", ""} {
		if err := p.Repair(t.Context(), []string{name}); err == nil {
			t.Errorf("%q was taken for a folder", name)
		}
	}
	if _, err := os.Stat(filepath.Join(w.dir, "depot")); err != nil {
		t.Error(err)
	}
}

// TestRepairKeepsTheLastCopy: a wheel that the depot has lost stays on the site.
func TestRepairKeepsTheLastCopy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.publisher()
	wheel := w.build(artifact{project: "foo", version: "1.0"})
	w.write(p)
	before := tree(t, filepath.Join(w.site(), "simple"))
	w.must(w.depot.Remove(wheel.SHA256))
	w.must(p.Repair(t.Context(), []string{"foo"}))
	if diff := cmp.Diff(before, tree(t, filepath.Join(w.site(), "simple"))); diff != "" {
		t.Errorf("after the repair:\n%s", diff)
	}
}

// TestRenderIsWhatIsWritten holds the one to the other, of a wheel that is new, which comes with all that its files are
// made of, and of one for which that is asked.
func TestRenderIsWhatIsWritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.publisher()
	w.build(artifact{project: "foo", version: "1.10"})
	w.build(artifact{project: "foo", version: "1.9", requiresPython: ">=3.7"})
	w.exec(`update wheels set published_at = now() - interval '1 hour' where filename like 'foo-1.9-%'`)
	for page, err := range w.PageFacts(t.Context(), []string{"foo"}) {
		w.must(err)
		for _, f := range page.Wheels {
			if isNew := f.Version == "1.10"; len(page.Wheels) != 2 || isNew != (f.Metadata != nil) || isNew != (f.Record != nil) {
				t.Errorf("of %d wheels %s came with %d bytes of METADATA and %v", len(page.Wheels), f.Version, len(f.Metadata), f.Record)
			}
		}
	}
	w.write(p)
	page, err := w.Page(t.Context(), "foo")
	w.must(err)
	files, err := Render(page)
	w.must(err)
	if len(files) != 8 {
		t.Errorf("%d files, want two pages, their copies, two METADATA and two build records", len(files))
	}
	for name, body := range RenderRoot([]string{"foo"}) {
		files["../"+name] = body
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(w.site(), "simple/foo", name))
		w.must(err)
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s (-rendered +written):\n%s", name, diff)
		}
	}
}

func TestWriteStale(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var told []int
	p := w.publisher(func(c *Config) { c.Told = func(_, all int) { told = append(told, all) } })
	w.build(artifact{project: "foo", version: "1.0"})
	w.build(artifact{project: "bar", version: "1.0"})
	w.must(p.writeRoot(t.Context())) // so that the site is not taken for a deleted one
	w.must(p.WriteStale(t.Context(), "foo", "unknown"))
	if diff := cmp.Diff([]string{"bar", ""}, w.stale()); diff != "" {
		t.Errorf("stale after foo was written:\n%s", diff)
	}
	w.must(p.WriteStale(t.Context()))
	if left := w.stale(); len(left) > 0 {
		t.Errorf("still stale: %v", left)
	}
	checkSite(t, w.site())
	if diff := cmp.Diff([]int{1, 1}, told); diff != "" {
		t.Errorf("told:\n%s", diff)
	}
}
