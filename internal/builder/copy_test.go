package builder

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// TestHolesStayHoles: a wheel that claims a gigabyte and has three pieces of it takes no
// more of the disk when it is taken, and is the same.
func TestHolesStayHoles(t *testing.T) {
	t.Parallel()
	const size = 1 << 30
	for name, pieces := range map[string][]int64{"in between": {0, 300 << 20, size - 70_000}, "at both ends": {5 << 20}, "nothing else": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := Build{Dir: t.TempDir()}
			work := filepath.Join(b.Dir, "work")
			must(t, os.MkdirAll(filepath.Join(work, "out"), 0o755))
			from, err := os.Create(filepath.Join(work, "out", "a.whl"))
			must(t, err)
			must(t, from.Truncate(size))
			piece := bytes.Repeat([]byte("wheel "), 10_000)
			for _, at := range pieces {
				_, err := from.WriteAt(piece, at)
				must(t, err)
			}
			must(t, from.Close())
			root, err := os.OpenRoot(work)
			must(t, err)
			defer root.Close()
			path, err := b.copyOut(root, "a.whl")
			must(t, err)
			info, err := os.Stat(path)
			must(t, err)
			if on := info.Sys().(*syscall.Stat_t).Blocks * 512; info.Size() != size || on > 1<<20 {
				t.Errorf("the copy has %d bytes, of which %d are on the disk", info.Size(), on)
			}
			copied, err := os.Open(path)
			must(t, err)
			defer copied.Close()
			for _, at := range pieces {
				got := make([]byte, len(piece))
				if _, err := copied.ReadAt(got, at); err != nil || !bytes.Equal(got, piece) {
					t.Errorf("what was written at %d is not there: %v", at, err)
				}
			}
		})
	}
}

// TestCopyCanBeStarted: the copy of a program is not busy, whatever else starts children
// while it is made.
func TestCopyCanBeStarted(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("true")
	must(t, err)
	var stop atomic.Bool
	var others sync.WaitGroup
	defer others.Wait()
	defer stop.Store(true)
	for range 4 {
		others.Go(func() {
			for !stop.Load() {
				if err := exec.Command(program).Run(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	to := filepath.Join(t.TempDir(), "copy")
	for range 200 {
		must(t, copyProgram(program, to))
		must(t, exec.Command(to).Run())
	}
}
