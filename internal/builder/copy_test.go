package builder

import (
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

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
