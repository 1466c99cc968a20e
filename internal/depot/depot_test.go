package depot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/farm"
)

func fileOf(data []byte) farm.File {
	sum := sha256.Sum256(data)
	return farm.File{Name: "demo-1.0-py3-none-any.whl", SHA256: hex.EncodeToString(sum[:]), Size: int64(len(data))}
}

func open(t *testing.T, dir string) *Local {
	t.Helper()
	d, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func put(t *testing.T, d *Local, data []byte) farm.File {
	t.Helper()
	f := fileOf(data)
	if err := d.Put(t.Context(), bytes.NewReader(data), f); err != nil {
		t.Fatal(err)
	}
	return f
}

// check fails unless the depot holds exactly the contents given, and nothing is
// being staged.
func check(t *testing.T, d *Local, want ...[]byte) {
	t.Helper()
	all := map[string]int64{}
	for _, data := range want {
		f := fileOf(data)
		all[f.SHA256] = f.Size
		if got := content(t, d, f.SHA256); !bytes.Equal(got, data) {
			t.Errorf("%s holds %d bytes that are not what was put", f.SHA256, len(got))
		}
	}
	got := map[string]int64{}
	if err := d.Walk(func(sha string, size int64) error { got[sha] = size; return nil }); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(all, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if left := staged(t, d); len(left) > 0 {
		t.Errorf("left in staging: %q", left)
	}
}

func content(t *testing.T, d *Local, sha string) []byte {
	t.Helper()
	f, err := d.Open(sha)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	if f.Size() != int64(len(data)) {
		t.Errorf("Size is %d, content has %d bytes", f.Size(), len(data))
	}
	return data
}

func staged(t *testing.T, d *Local) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(d.staging())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestPut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := open(t, dir)
	big := bytes.Repeat([]byte("wheel "), 100_000)
	for _, data := range [][]byte{nil, []byte("a"), big} {
		put(t, d, data)
		put(t, d, data)
	}
	check(t, d, nil, []byte("a"), big)
	check(t, open(t, dir), nil, []byte("a"), big)
}

func TestPutMakesReadableFiles(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir())
	path, err := d.Path(put(t, d, []byte("wheel")).SHA256)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o644 {
		t.Errorf("mode %v, want -rw-r--r--: the web server is another user", info.Mode())
	}
}

func TestPutRefusesAnotherFile(t *testing.T) {
	t.Parallel()
	want := fileOf([]byte("the wheel"))
	for name, sent := range map[string]string{
		"shorter": "the whee", "longer": "the wheel!", "nothing": "", "same size": "the wheal",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := open(t, t.TempDir())
			err := d.Put(t.Context(), strings.NewReader(sent), want)
			if !errors.Is(err, ErrMismatch) || !strings.Contains(err.Error(), want.Name) {
				t.Errorf("error %v, want ErrMismatch about %s", err, want.Name)
			}
			check(t, d)
			put(t, d, []byte("the wheel"))
			check(t, d, []byte("the wheel"))
		})
	}
}

// counting gives zeros for ever, and says how many were taken.
type counting struct{ n int64 }

func (c *counting) Read(p []byte) (int, error) {
	clear(p)
	c.n += int64(len(p))
	return len(p), nil
}

func TestPutStopsAtOneByteTooMuch(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir())
	var endless counting
	want := fileOf(make([]byte, 1000))
	if err := d.Put(t.Context(), &endless, want); !errors.Is(err, ErrMismatch) {
		t.Errorf("error %v, want ErrMismatch", err)
	}
	if endless.n > want.Size+1 {
		t.Errorf("read %d bytes of a file of %d", endless.n, want.Size)
	}
	check(t, d)
}

func TestPutPassesOnErrorsOfTheStream(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir())
	broken := errors.New("connection reset")
	r := io.MultiReader(strings.NewReader("the"), errorReader{broken})
	if err := d.Put(t.Context(), r, fileOf([]byte("the wheel"))); !errors.Is(err, broken) {
		t.Errorf("error %v, want %v", err, broken)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Put(ctx, &counting{}, fileOf(make([]byte, 1<<20))); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	check(t, d)
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

func TestPutReplacesADamagedFile(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir())
	f := put(t, d, []byte("the wheel"))
	path, _ := d.Path(f.SHA256)
	if err := os.Truncate(path, 3); err != nil {
		t.Fatal(err)
	}
	if has, err := d.Has(f.SHA256, f.Size); err != nil || has {
		t.Errorf("Has says %v, %v of a file that lost its end", has, err)
	}
	put(t, d, []byte("the wheel"))
	check(t, d, []byte("the wheel"))
}

// Good and bad uploads of the same few files, all at once.
func TestPutConcurrently(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	one, other := open(t, dir), open(t, dir)
	contents := [][]byte{[]byte("a"), bytes.Repeat([]byte("b"), 70_000), bytes.Repeat([]byte("c"), 300_000)}
	var wg sync.WaitGroup
	for i := range 24 {
		d := []*Local{one, other}[i%2]
		data := contents[i%3]
		wg.Go(func() {
			if i >= 18 {
				bad := append(slices.Clone(data[1:]), '!')
				err := d.Put(t.Context(), bytes.NewReader(bad), fileOf(data))
				if err != nil && !errors.Is(err, ErrMismatch) {
					t.Errorf("bad upload: %v, want ErrMismatch", err)
				}
				return
			}
			if err := d.Put(t.Context(), bytes.NewReader(data), fileOf(data)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	check(t, one, contents...)
}

func TestHashesAreCheckedBeforeTheyArePaths(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir())
	for _, sha := range []string{"", "../../etc/passwd", strings.Repeat("A", 64), strings.Repeat("a", 63),
		strings.Repeat("a", 64) + "\n", "../" + strings.Repeat("a", 61)} {
		if _, err := d.Path(sha); err == nil {
			t.Errorf("Path takes %q", sha)
		}
		if _, err := d.Open(sha); err == nil {
			t.Errorf("Open takes %q", sha)
		}
		if _, err := d.Has(sha, 0); err == nil {
			t.Errorf("Has takes %q", sha)
		}
		if err := d.Remove(sha); err == nil {
			t.Errorf("Remove takes %q", sha)
		}
		if err := d.Put(t.Context(), strings.NewReader(""), farm.File{SHA256: sha}); err == nil {
			t.Errorf("Put takes %q", sha)
		}
	}
}

func FuzzPath(f *testing.F) {
	f.Add(strings.Repeat("0", 64))
	f.Add("../" + strings.Repeat("a", 61))
	f.Fuzz(func(t *testing.T, sha string) {
		d := &Local{dir: "/depot"}
		path, err := d.Path(sha)
		if err == nil && (path != "/depot/sha256/"+sha[:2]+"/"+sha || filepath.Clean(path) != path) {
			t.Errorf("%q becomes %q", sha, path)
		}
	})
}

func TestReadAt(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir())
	data := make([]byte, 10_000)
	for i := range data {
		data[i] = byte(rand.IntN(256))
	}
	f, err := d.Open(put(t, d, data).SHA256)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	part := make([]byte, 100)
	if _, err := f.ReadAt(part, 9000); err != nil || !bytes.Equal(part, data[9000:9100]) {
		t.Errorf("ReadAt: %v, or other bytes", err)
	}
}

func TestRemove(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir())
	f := put(t, d, []byte("wheel"))
	put(t, d, []byte("other"))
	for range 2 {
		if err := d.Remove(f.SHA256); err != nil {
			t.Fatal(err)
		}
		check(t, d, []byte("other"))
	}
	if _, err := d.Open(f.SHA256); !errors.Is(err, farm.ErrNotFound) {
		t.Errorf("opening a removed file: %v, want farm.ErrNotFound", err)
	}
}

func TestWalkNamesWhatIsNotOurs(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir())
	f := put(t, d, []byte("wheel"))
	path, _ := d.Path(f.SHA256)
	for _, strange := range []string{filepath.Join(filepath.Dir(path), "notes"), filepath.Join(d.dir, filesDir, "README")} {
		if err := os.WriteFile(strange, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		var seen int
		err := d.Walk(func(string, int64) error { seen++; return nil })
		if err == nil || !strings.Contains(err.Error(), strange) || seen != 1 {
			t.Errorf("walk saw %d files and said %v, want 1 and a word about %s", seen, err, strange)
		}
	}
	stop := errors.New("enough")
	if err := d.Walk(func(string, int64) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("walk said %v, want %v", err, stop)
	}
}

func TestOpenRefusesWhatItCannotUse(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file); err == nil || !strings.Contains(err.Error(), "open depot "+file) {
		t.Errorf("opening a file as a depot: %v", err)
	}
	// A staging folder that leads nowhere cannot be written to, by root neither.
	dir := t.TempDir()
	if err := os.Symlink(filepath.Join(dir, "gone"), filepath.Join(dir, stagingDir)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("opening a depot without staging: %v", err)
	}
}

func TestOpenSweepsOldStagingOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := open(t, dir)
	for name, age := range map[string]time.Duration{"old": 25 * time.Hour, "new": time.Hour} {
		path := filepath.Join(d.staging(), name)
		if err := os.WriteFile(path, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
		then := time.Now().Add(-age)
		if err := os.Chtimes(path, then, then); err != nil {
			t.Fatal(err)
		}
	}
	if left := staged(t, open(t, dir)); !slices.Equal(left, []string{"new"}) {
		t.Errorf("left in staging: %q, want only what is new", left)
	}
}

// The device that is always full gives the error that a full disk gives.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	data := []byte("wheel")
	err = explain(copyExactly(t.Context(), full, bytes.NewReader(data), fileOf(data)))
	if !errors.Is(err, ErrFull) {
		t.Errorf("error %v, want ErrFull", err)
	}
}
