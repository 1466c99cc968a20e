package main

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"pinwheel/internal/cli"
	"pinwheel/internal/farm"
	"pinwheel/internal/farmtest"
	"pinwheel/internal/store"
	"pinwheel/internal/storetest"
)

const (
	copied = "six-1.0-cp311-cp311-linux_armv7l.whl"
	aCopy  = "six-1.0-cp311-cp311-linux_armv6l.whl"
)

// armFarm has wheels for ARM of before, one proven to run on an ARMv6, and a master that
// was started on them.
func armFarm(t *testing.T) *testFarm {
	t.Helper()
	f := newOpsFarm(t)
	set := f.Settings
	f.end() // nobody is to plan what is brought meanwhile
	st, err := store.Open(t.Context(), set.DatabaseURL)
	f.must(err)
	f.must(st.EnrollSlave(t.Context(), "arm", farm.RoleSlave, "key-arm", "test"))
	storetest.BringARM(t, st, f.Depot, "arm", "six", "v6.so")
	storetest.BringARM(t, st, f.Depot, "arm", "seven", "v6.so", "v7.so")
	st.Close()
	f.start(set)
	farmtest.Eventually(t, "the copy is on the site", func() bool {
		_, err := os.Stat(f.inSite("six/" + aCopy))
		return err == nil
	})
	farmtest.Eventually(t, "both were looked at", func() bool {
		left, err := f.Store.Uncopied(t.Context(), 0, 1)
		return err == nil && len(left) == 0
	})
	f.check()
	return f
}

// TestMasterMakesCopies of wheels of before, tells of them, and takes them down.
func TestMasterMakesCopies(t *testing.T) {
	t.Parallel()
	f := armFarm(t)
	for project, want := range map[string]string{
		"six":   "its copy for armv6l, by the one of cp311-linux_armv7l: ",
		"seven": "no copy for armv6l: _v7.cpython-311-arm-linux-gnueabihf.so: ARMv7, Thumb-2,",
	} {
		// Words are folded to the width of a terminal.
		if out := f.done("why", project, "1.0"); !strings.Contains(strings.Join(strings.Fields(out), " ")+" ", want) {
			t.Errorf("why %s: %s", project, out)
		}
	}
	got := answer[whyAnswer](f, "why", "six", "1.0")
	if w := got.Releases[0].Wheels; len(w) != 2 || w[0].CopyOf != copied || w[1].CopyOf != "" || w[1].NoARMv6l != "" {
		t.Errorf("wheels of six: %+v", w)
	}
	f.done("remove", "six")
	farmtest.Eventually(t, "both are off the site", func() bool {
		_, err := os.Stat(f.inSite("six"))
		return errors.Is(err, fs.ErrNotExist)
	})
	f.check()
}

// TestLostCopyIsMadeAgain from its wheel, if no good one is left, lost or damaged; and
// without that it is lost.
func TestLostCopyIsMadeAgain(t *testing.T) {
	t.Parallel()
	f := armFarm(t)
	page, err := f.Store.Page(t.Context(), "six")
	f.must(err)
	lost, original := page.Wheels[0], page.Wheels[1]
	if lost.Filename != aCopy || original.Filename != copied {
		t.Fatalf("wheels: %+v", page.Wheels)
	}
	f.end()
	for what, spoil := range map[string]func(path string) error{
		"lost":    os.Remove,
		"damaged": func(path string) error { return os.WriteFile(path, []byte("damaged"), 0o644) },
	} {
		f.must(os.RemoveAll(f.inSite("six")))
		path, err := f.Depot.Path(lost.SHA256)
		f.must(err)
		f.must(spoil(path))
		if got := answer[auditAnswer](f, "audit", "--repair"); !got.Agree || len(got.Findings) == 0 {
			t.Errorf("%s: %+v", what, got)
		}
		if got := answer[auditAnswer](f, "audit", "--full"); !got.Agree {
			t.Errorf("%s, after it: %+v", what, got)
		}
	}
	f.must(os.RemoveAll(f.inSite("six")))
	f.must(errors.Join(f.Depot.Remove(lost.SHA256), f.Depot.Remove(original.SHA256)))
	if code, out, _ := f.command("audit", "--repair"); code != cli.ExitFailed || strings.Count(out, "it is lost") != 2 {
		t.Errorf("without the wheel: exit status %d, %s", code, out)
	}
}
