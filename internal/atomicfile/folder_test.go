package atomicfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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
		f := none.In(dir)
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
	f := none.In(dir)
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
	gone := none.In(filepath.Join(dir, "gone"))
	if err := gone.Write("page", nil, 0o644); err == nil || !strings.Contains(err.Error(), "gone/page") {
		t.Errorf("a folder that is not there: %v", err)
	}
}

// TestFolderThatCannotBeFinished: an error in the middle leaves whole files only.
func TestFolderThatCannotBeFinished(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := none.In(dir)
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
	f := none.In(dir)
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

// TestNewFolder: where nothing was, nothing is looked for; from the first commit on it is
// a folder like any other.
func TestNewFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := none.InNew(dir)
	put := func(page, copy string) (placed []string) {
		t.Helper()
		err := errors.Join(f.Write("page", []byte(page), 0o640), f.WriteLike("page.gz", []byte(copy), 0o644, "page"),
			f.Commit(func(name string) { placed = append(placed, name) }))
		if err != nil {
			t.Fatal(err)
		}
		if !timeOf(t, f.Path("page")).Equal(timeOf(t, f.Path("page.gz"))) {
			t.Error("page and copy have two times")
		}
		return placed
	}
	if f.Look("page") != nil {
		t.Error("a file is there")
	}
	for _, c := range []struct {
		page, copy string
		placed     []string
	}{
		{"one", "1", []string{"page", "page.gz"}}, {"one", "1", nil}, {"two", "2", []string{"page", "page.gz"}},
	} {
		var before time.Time
		if info := f.Look("page"); info != nil {
			before = info.ModTime()
		}
		placed := put(c.page, c.copy)
		if diff := cmp.Diff(c.placed, placed); diff != "" {
			t.Errorf("placed:\n%s", diff)
		}
		now := f.Look("page")
		if now == nil || now.Mode().Perm() != 0o640 || read(t, f.Path("page"))+read(t, f.Path("page.gz")) != c.page+c.copy {
			t.Fatalf("the page is %v", now)
		}
		if later := now.ModTime().After(before); later != (placed != nil) {
			t.Errorf("%s: it is later: %v", c.page, later)
		}
	}
	if err := os.Symlink("page", f.Path("link")); err != nil {
		t.Fatal(err)
	}
	if f.Look("link") != nil {
		t.Error("a link is taken for a file")
	}
	onlyFiles(t, dir, "link", "page", "page.gz")
}

// TestFlush: what could not be flushed gets no name, whoever flushed it.
func TestFlush(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files, pages := none.In(dir), none.In(dir)
	if err := errors.Join(files.Write("file", []byte("f"), 0o644), pages.Write("page", []byte("p"), 0o644)); err != nil {
		t.Fatal(err)
	}
	if err := Flush(files, pages); err != nil {
		t.Fatal(err)
	}
	if err := files.Commit(nil); err != nil {
		t.Fatal(err)
	}
	onlyFiles(t, dir, filepath.Base(pages.ready[0].file.Name()), "file")
	if err := pages.Write("more", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := pages.ready[1].file.File.Close(); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{"flush": Flush(files, pages), "commit": pages.Commit(nil)} {
		if !errors.Is(err, os.ErrClosed) || !strings.Contains(err.Error(), "write "+pages.Path("more")) {
			t.Errorf("%s: %v", what, err)
		}
	}
	onlyFiles(t, dir, "file")
}

// TestFolderRemembers: when a Commit in between has failed, which only one Write heard of,
// what was written before it is not passed off as there.
func TestFolderRemembers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := none.In(dir)
	defer f.Close()
	if err := os.Mkdir(f.Path("0"), 0o755); err != nil {
		t.Fatal(err)
	}
	failed := 0
	for n := range mostReady + 2 {
		if err := f.Write(fmt.Sprint(n), []byte("x"), 0o644); err != nil {
			failed++
		}
	}
	if err := f.Commit(nil); err == nil || failed != 1 || !strings.Contains(err.Error(), "write "+f.Path("0")) {
		t.Errorf("Commit says %v after %d errors", err, failed)
	}
}

// TestDoubt: where somebody may have died before the names were flushed, they are, by the
// next commit and once.
func TestDoubt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { testDoubt(t, t.TempDir()) })
}

func testDoubt(t *testing.T, dir string) {
	n := 0
	d := &Disk{now: time.Now, turn: make(chan struct{}, 1), crowd: time.Now().Add(time.Hour), all: func() error { n++; return nil }}
	for range 2 {
		f := d.In(dir)
		if err := errors.Join(f.Write("page", []byte("x"), 0o644), f.Commit(nil), f.Commit(nil)); err != nil {
			t.Fatal(err)
		}
	}
	if n != 2 {
		t.Errorf("%d flushes for a new file and an equal one: want one of its bytes and one of its name", n)
	}
	f := d.In(dir)
	f.Doubt()
	if err := errors.Join(f.Write("page", []byte("x"), 0o644), f.Commit(nil), f.Commit(nil)); err != nil {
		t.Fatal(err)
	}
	if n != 3 {
		t.Errorf("%d flushes more where names are in doubt, want 1", n-2)
	}
}
