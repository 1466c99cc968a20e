package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// onlyFiles fails if anything but names lies in dir: nothing temporary may stay.
func onlyFiles(t *testing.T, dir string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(names, " ") {
		t.Errorf("folder holds %q, want %q", got, names)
	}
}

func TestWriteFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "page")
	for _, data := range []string{"one", "", "a longer one"} {
		if err := WriteFile(path, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := read(t, path); got != data {
			t.Errorf("file holds %q, want %q", got, data)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o644 {
		t.Errorf("mode %v, want 0644", info.Mode())
	}
	onlyFiles(t, dir, "page")
}

func TestWriteFileNamesThePath(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "missing", "page")
	err := WriteFile(path, nil, 0o644)
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "write "+path) {
		t.Errorf("error %v, want one about %s", err, path)
	}
}

// A reader during many writes must see whole contents only.
func TestWriteFileIsNeverHalf(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "page")
	a, b := strings.Repeat("a", 100_000), strings.Repeat("b", 200_000)
	if err := WriteFile(path, []byte(a), 0o600); err != nil {
		t.Fatal(err)
	}
	var done atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		defer done.Store(true)
		for i := range 40 {
			data := a
			if i%2 == 0 {
				data = b
			}
			if err := WriteFile(path, []byte(data), 0o600); err != nil {
				t.Error(err)
			}
		}
	})
	for !done.Load() {
		if got := read(t, path); got != a && got != b {
			t.Fatalf("a reader saw %d bytes of neither content", len(got))
		}
	}
	wg.Wait()
}

func TestWriteIfChanged(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "page")
	old := time.Unix(1_000_000_000, 0)
	for _, step := range []struct {
		data    string
		changed bool
	}{{"one", true}, {"one", false}, {"two", true}, {"two", false}, {"three", true}} {
		changed, err := WriteIfChanged(path, []byte(step.data), 0o644)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if changed != step.changed || info.ModTime().Equal(old) == step.changed {
			t.Errorf("%q: changed %v, want %v; time %v", step.data, changed, step.changed, info.ModTime())
		}
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCreateHasOneWinner(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	var won atomic.Int32
	var winner atomic.Value
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			data := strings.Repeat(string(rune('a'+i)), 1000)
			switch err := Create(path, []byte(data), 0o600); {
			case err == nil:
				won.Add(1)
				winner.Store(data)
			case !errors.Is(err, fs.ErrExist):
				t.Errorf("loser got %v, want fs.ErrExist", err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 || read(t, path) != winner.Load() {
		t.Errorf("%d winners, or another's content", won.Load())
	}
	onlyFiles(t, dir, "key")
}

func TestLink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	src, dst := filepath.Join(dir, "src"), filepath.Join(dir, "dst")
	if err := os.WriteFile(src, []byte("wheel"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dst, []byte("damaged"), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := Link(src, dst); err != nil {
			t.Fatal(err)
		}
		if got := read(t, dst); got != "wheel" {
			t.Errorf("linked file holds %q", got)
		}
		onlyFiles(t, dir, "dst", "src")
	}
	if err := Link(filepath.Join(dir, "none"), dst); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("linking a missing file: %v, want fs.ErrNotExist", err)
	}
	if got := read(t, dst); got != "wheel" {
		t.Errorf("after a refused link the file holds %q", got)
	}
}

// Linking at once from several goroutines is what two publishers do.
func TestLinkConcurrently(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	src, dst := filepath.Join(dir, "src"), filepath.Join(dir, "dst")
	if err := os.WriteFile(src, []byte("wheel"), 0o644); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := Link(src, dst); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := read(t, dst); got != "wheel" {
		t.Errorf("linked file holds %q", got)
	}
	onlyFiles(t, dir, "dst", "src")
}

func TestCopy(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	src, dst := filepath.Join(dir, "src"), filepath.Join(dir, "dst")
	if err := os.WriteFile(src, []byte("wheel"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Copy(src, dst, 0o640); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(dst)
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, dst); got != "wheel" || info.Mode().Perm() != 0o640 {
		t.Errorf("copy holds %q with mode %v", got, info.Mode())
	}
	onlyFiles(t, dir, "dst", "src")
}
