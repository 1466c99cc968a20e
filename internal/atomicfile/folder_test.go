package atomicfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestFolder writes a page and its copy beside a linked file, twice and changed.
func TestFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	src := filepath.Join(t.TempDir(), "src")
	if err := WriteFile(src, []byte("linked"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		page, copy string
		placed     []string
	}{
		{"one", "1", []string{"page", "page.gz"}}, {"one", "1", nil}, {"one", "2", []string{"page.gz"}},
		{"two", "2", []string{"page", "page.gz"}}, // the copy is of another page now
	} {
		f := In(dir)
		err := errors.Join(f.Link(src, "file"), f.Write("page", []byte(c.page), 0o644), f.WriteLike("page.gz", []byte(c.copy), 0o644, "page"))
		if err != nil {
			t.Fatal(err)
		}
		var placed []string
		if err := f.Commit(func(name string) { placed = append(placed, name) }); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.placed, placed); diff != "" {
			t.Errorf("placed:\n%s", diff)
		}
		if got := read(t, f.Path("page")) + read(t, f.Path("page.gz")) + read(t, f.Path("file")); got != c.page+c.copy+"linked" {
			t.Errorf("the files hold %q", got)
		}
		if !timeOf(t, f.Path("page")).Equal(timeOf(t, f.Path("page.gz"))) {
			t.Error("page and copy have two times")
		}
	}
	onlyFiles(t, dir, "file", "page", "page.gz")
}

// TestFolderInSteps: nothing has its name before the commit, and nothing stays of
// what was not committed.
func TestFolderInSteps(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := In(dir)
	if err := f.Write("page", []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(f.Path("page")); err == nil {
		t.Error("the name is there too early")
	}
	f.Close()
	onlyFiles(t, dir)
	if err := f.Commit(nil); err != nil {
		t.Errorf("nothing to commit: %v", err)
	}
	onlyFiles(t, dir)
	gone := In(filepath.Join(dir, "gone"))
	if err := gone.Write("page", nil, 0o644); err == nil || !strings.Contains(err.Error(), "gone/page") {
		t.Errorf("a folder that is not there: %v", err)
	}
}

// TestFolderThatCannotBeFinished: an error in the middle leaves whole files only.
func TestFolderThatCannotBeFinished(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := In(dir)
	for _, name := range []string{"a", "b", "c"} {
		if err := f.Write(name, []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(f.Path("b/in the way"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := f.Commit(nil); err == nil || !strings.Contains(err.Error(), f.Path("b")) {
		t.Errorf("got %v", err)
	}
	if got := read(t, f.Path("a")); got != "a" {
		t.Errorf("a holds %q", got)
	}
	onlyFiles(t, dir, "a", "b")
}

// TestFolderOfManyFiles keeps few of them open.
func TestFolderOfManyFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := In(dir)
	var want []string
	for i := range 3*mostReady + 1 {
		name := fmt.Sprint("file", i)
		if err := f.Write(name, []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
		if len(f.ready) > mostReady {
			t.Fatalf("%d files are open", len(f.ready))
		}
		want = append(want, name)
	}
	if err := f.Commit(nil); err != nil {
		t.Fatal(err)
	}
	slices.Sort(want)
	onlyFiles(t, dir, want...)
}
