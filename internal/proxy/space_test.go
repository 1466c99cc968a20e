package proxy

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// disk is one of 1,000 bytes, on which the cache's folder and others lie.
type disk struct {
	t      *testing.T
	dir    string
	others int64 // bytes
	puts   int
}

// statfs implements Config.Statfs.
func (d *disk) statfs(_ string, st *syscall.Statfs_t) error {
	free := 1000 - d.others
	entries, err := os.ReadDir(d.dir)
	must(d.t, err)
	for _, e := range entries {
		info, err := e.Info()
		must(d.t, err)
		free -= info.Size()
	}
	*st = syscall.Statfs_t{Bsize: 1, Bavail: uint64(max(free, 0))}
	return nil
}

func (d *disk) open() *cache {
	d.t.Helper()
	c, err := openCache(Config{CacheDir: d.dir, CacheSize: 10_000, KeepFree: 300, Statfs: d.statfs})
	must(d.t, err)
	d.t.Cleanup(c.close)
	return c
}

// put makes entries of 100 bytes, each used a minute after the one before.
func (d *disk) put(c *cache, letters string) {
	d.t.Helper()
	for i := range letters {
		d.puts++
		s := &source{data: bytes.Repeat([]byte(letters[i:i+1]), 100)}
		_, err := read(d.t, c, sumOf(s.data), s.get)
		must(d.t, err)
		c.settle()
		path := filepath.Join(d.dir, sumOf(s.data))
		info, err := os.Stat(path)
		must(d.t, err)
		must(d.t, os.Chtimes(path, time.Now().Add(time.Duration(d.puts-60)*time.Minute), info.ModTime()))
	}
}

func (d *disk) has() string {
	d.t.Helper()
	has := ""
	for _, letter := range strings.Split("abcdefghij", "") {
		if _, err := os.Stat(filepath.Join(d.dir, sumOf(bytes.Repeat([]byte(letter), 100)))); err == nil {
			has += letter
		}
	}
	return has
}

// TestKeepsDiskFree: whatever others do on the disk, the cache is not what keeps it
// full, neither as it grows, nor when told that space is short, nor after a start; what
// was used last stays longest.
func TestKeepsDiskFree(t *testing.T) {
	t.Parallel()
	d := &disk{t: t, dir: t.TempDir()}
	c := d.open()
	d.put(c, "abcdefg")
	if got := d.has(); got != "abcdefg" {
		t.Fatalf("with room for seven the cache has %q", got)
	}
	d.put(c, "h") // 200 would be left
	if got := d.has(); got != "bcdefgh" {
		t.Errorf("an eighth came: %q", got)
	}
	d.others = 250
	must(t, c.spare(0))
	if got := d.has(); got != "efgh" {
		t.Errorf("others wrote: %q", got)
	}
	c.close()
	d.others = 550
	c = d.open()
	if got := len(d.has()); got != 1 {
		t.Errorf("after a start on a fuller disk there are %d", got)
	}
	d.others = 900 // nothing of it would help
	s := &source{data: bytes.Repeat([]byte("j"), 100)}
	if _, err := read(t, c, sumOf(s.data), s.get); !errors.Is(err, errUncached) {
		t.Errorf("on a full disk: %v", err)
	}
	if got := len(d.has()); got != 1 {
		t.Errorf("for a file that has no room anyway, others went: %d are left", got)
	}
	must(t, os.WriteFile(filepath.Join(d.dir, "letter"), []byte("somebody put it here"), 0o600))
	must(t, os.Mkdir(filepath.Join(d.dir, sumOf([]byte("a folder"))), 0o700))
	must(t, c.spare(0))
	if got := d.has(); got != "" {
		t.Errorf("told that the disk is full, it keeps %q", got)
	}
	if got := len(entries(t, c)); got != 2 {
		t.Errorf("%d things are left, want the two that are not the cache's", got)
	}
}

// TestOneProcess: two would remove each other's downloads.
func TestOneProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p, err := New(Config{CacheDir: dir})
	must(t, err)
	if _, err := New(Config{CacheDir: dir}); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), dir) {
		t.Errorf("%v", err)
	}
	p.Close()
	p, err = New(Config{CacheDir: dir})
	must(t, err)
	p.Close()
}
