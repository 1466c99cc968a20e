package tree

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// deep makes a chain of folders below dir, each with a file, and removes nothing. It
// is made as a build would: step by step, never by a whole path.
func deep(t *testing.T, dir string, levels int) {
	t.Helper()
	at, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must(t, err)
	for range levels {
		must(t, unix.Mkdirat(at, "d", 0o700))
		next, err := unix.Openat(at, "d", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		must(t, err)
		file, err := unix.Openat(next, "f", unix.O_WRONLY|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
		must(t, err)
		must(t, unix.Close(file))
		must(t, unix.Close(at))
		at = next
	}
	must(t, unix.Close(at))
}

// past is deeper than any path may be long, and than a process may have files open.
const past = 5000

func TestDeep(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "x")
	must(t, os.Mkdir(dir, 0o700))
	deep(t, dir, past)
	folders, files := 0, 0
	whole := Walk(dir, func(st *unix.Stat_t) bool {
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			folders++
		} else {
			files++
		}
		return true
	})
	if !whole || folders != past+1 || files != past {
		t.Errorf("walked over %d folders and %d files, whole: %v; want %d and %d", folders, files, whole, past+1, past)
	}
	must(t, Remove(dir))
	if _, err := os.Lstat(dir); !os.IsNotExist(err) {
		t.Errorf("still there: %v", err)
	}
}

// TestWide: several deep ones, beside names that lifting would take.
func TestWide(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "x")
	for _, name := range []string{"a", "b", ".lifted-1", ".lifted-3"} {
		must(t, os.MkdirAll(filepath.Join(dir, name), 0o700))
		deep(t, filepath.Join(dir, name), 3*maxNested)
	}
	must(t, os.WriteFile(filepath.Join(dir, ".lifted-2"), nil, 0o600))
	for i := range 3000 {
		must(t, os.WriteFile(filepath.Join(dir, "a", "f"+string(rune('a'+i%26))+string(rune('a'+i/26%26))+string(rune('a'+i/676))), nil, 0o600))
	}
	must(t, Remove(dir))
	if _, err := os.Lstat(dir); !os.IsNotExist(err) {
		t.Errorf("still there: %v", err)
	}
}

// TestShut: folders that their owner closed to himself. (Root is let in anywhere; as
// another user this fails without the opening.)
func TestShut(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "x")
	must(t, os.MkdirAll(filepath.Join(dir, "a", "b"), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, "a", "b", "f"), nil, 0o400))
	for _, d := range []string{"a/b", "a", "."} {
		must(t, os.Chmod(filepath.Join(dir, d), 0))
	}
	if os.Geteuid() != 0 && Walk(dir, func(*unix.Stat_t) bool { return true }) {
		t.Error("the walk over a folder that cannot be read is whole")
	}
	must(t, Remove(dir))
	if _, err := os.Lstat(dir); !os.IsNotExist(err) {
		t.Errorf("still there: %v", err)
	}
}

// TestLinksAreNotFollowed: neither in the folder nor in its place.
func TestLinksAreNotFollowed(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	kept := filepath.Join(base, "kept")
	must(t, os.MkdirAll(filepath.Join(kept, "sub"), 0o700))
	dir := filepath.Join(base, "x")
	must(t, os.Mkdir(dir, 0o700))
	must(t, os.Symlink(kept, filepath.Join(dir, "link")))
	n := 0
	if !Walk(dir, func(*unix.Stat_t) bool { n++; return true }) || n != 2 {
		t.Errorf("walked over %d things, want the folder and the link", n)
	}
	must(t, Remove(dir))
	must(t, os.Symlink(kept, dir))
	must(t, Remove(dir))
	must(t, Remove(dir)) // that it is gone already is no error
	if _, err := os.Stat(filepath.Join(kept, "sub")); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(dir); !os.IsNotExist(err) {
		t.Errorf("the link is still there: %v", err)
	}
}
