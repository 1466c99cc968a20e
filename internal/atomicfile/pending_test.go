package atomicfile

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func timeOf(t *testing.T, path string) time.Time {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.ModTime()
}

// pend writes a pending file and commits it.
func pend(t *testing.T, path, data, like string) bool {
	t.Helper()
	p, err := NewPending(path, 0o640)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := fmt.Fprint(p, data); err != nil {
		t.Fatal(err)
	}
	if like != "" {
		if err := p.Like(like); err != nil {
			t.Fatal(err)
		}
	}
	changed, err := p.Commit()
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

func TestPending(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "index")
	long := strings.Repeat("x", 100_000)
	for _, c := range []struct {
		data    string
		changed bool
	}{
		{"", true}, {"", false}, {"one", true}, {"one", false}, {"two", true},
		{long, true}, {long, false}, {long[1:] + "y", true}, {long[:70_000], true},
	} {
		if got := pend(t, path, c.data, ""); got != c.changed || read(t, path) != c.data {
			t.Errorf("%d bytes: changed %v", len(c.data), got)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", info, err)
	}
	onlyFiles(t, dir, "index")
}

// TestPendingThatIsDropped leaves nothing, and what was there as it was.
func TestPendingThatIsDropped(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "index")
	pend(t, path, "old", "")
	p, err := NewPending(path, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(p, "half of the n")
	p.Close()
	if got := read(t, path); got != "old" {
		t.Errorf("the file holds %q", got)
	}
	onlyFiles(t, dir, "index")
	if _, err := NewPending(filepath.Join(dir, "none", "index"), 0o644); err == nil || !strings.Contains(err.Error(), "none/index") {
		t.Errorf("a folder that is not there: %v", err)
	}
}

// TestLikeAnother: the time says of which file a copy was made, in both ways of
// writing one.
func TestLikeAnother(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(t *testing.T, path, data, like string) bool{
		"pending": pend,
		"at once": func(t *testing.T, path, data, like string) bool {
			f := none.In(filepath.Dir(path))
			defer f.Close()
			if err := f.WriteLike(filepath.Base(path), []byte(data), 0o644, filepath.Base(like)); err != nil {
				t.Fatal(err)
			}
			changed := false
			if err := f.Commit(func(string) { changed = true }); err != nil {
				t.Fatal(err)
			}
			return changed
		},
	} {
		dir := t.TempDir()
		page, packed := filepath.Join(dir, "page"), filepath.Join(dir, "page.gz")
		for i, c := range []struct {
			page, copy string
			changed    bool
		}{
			{"a", "x", true}, {"a", "x", false}, {"b", "x", true}, {"b", "y", true}, {"b", "y", false},
		} {
			if _, err := WriteIfChanged(page, []byte(c.page), 0o644); err != nil {
				t.Fatal(err)
			}
			if got := write(t, packed, c.copy, page); got != c.changed {
				t.Errorf("%s, step %d: changed %v", name, i, got)
			}
			if read(t, packed) != c.copy || !timeOf(t, packed).Equal(timeOf(t, page)) {
				t.Errorf("%s, step %d: %q of %v, the page is of %v", name, i, read(t, packed), timeOf(t, packed), timeOf(t, page))
			}
		}
		onlyFiles(t, dir, "page", "page.gz")
	}
	if err := none.In(t.TempDir()).WriteLike("x", nil, 0o644, "none"); err == nil {
		t.Error("the copy of nothing was written")
	}
}

// TestTimesTellVersionsApart, however fast they follow each other, and also when
// the clock was set back.
func TestTimesTellVersionsApart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "page")
	seen := map[time.Time]bool{}
	for i := range 200 {
		if i == 100 {
			ahead := time.Now().Add(time.Hour)
			if err := os.Chtimes(path, ahead, ahead); err != nil {
				t.Fatal(err)
			}
		}
		if i%2 == 0 {
			pend(t, path, fmt.Sprint(i%10), "")
		} else if err := WriteFile(path, []byte(fmt.Sprint(i%10)), fs.FileMode(0o644)); err != nil {
			t.Fatal(err)
		}
		if at := timeOf(t, path); seen[at] {
			t.Fatalf("version %d has the time of one before: %v", i, at)
		} else {
			seen[at] = true
		}
	}
}
