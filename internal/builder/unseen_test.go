package builder

import (
	"errors"
	"os"
	"testing"
	"time"

	"pinwheel/internal/farm"
)

// TestUnseen: a build whose processes cannot be seen is not built without limits, and one
// whose sandbox is slow is not ended for it.
func TestUnseen(t *testing.T) {
	t.Parallel()
	w := (&box{mode: Bwrap, dir: t.TempDir()}).watch(farm.Limits{})
	defer w.close()
	// We are in no sandbox of our own, so that nothing is there to be looked at.
	for n := 1; n < unseen; n++ {
		if f, err := w.look(time.Now(), os.Getpid()); err != nil || f.Cause != "" {
			t.Fatalf("look %d ends it: %+v, %v", n, f, err)
		}
	}
	if f, err := w.look(time.Now(), os.Getpid()); !errors.Is(err, errUnseen) || f.Cause != "" {
		t.Errorf("look %d: %+v, %v, want %v", unseen, f, err, errUnseen)
	}
}
