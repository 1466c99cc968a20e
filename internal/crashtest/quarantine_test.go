package crashtest

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"pinwheel/internal/crash"
	"pinwheel/internal/farmtest"
)

// follower starts a master that asks the upstream often.
func (r *rig) follower(env ...string) *process {
	r.t.Helper()
	p := r.master(append(env, "PINWHEEL_INGEST_POLL=100ms")...)
	farmtest.Eventually(r.t, "the farm follows", func() bool {
		at, err := r.Following(r.t.Context())
		return err == nil && at.Source != ""
	})
	return p
}

// withheld waits until the farm has heard that the project or its release is
// quarantined, or is not any more.
func (r *rig) withheld(want bool) {
	r.t.Helper()
	farmtest.Eventually(r.t, fmt.Sprintf("withheld: %v", want), func() bool {
		page, err := r.Page(r.t.Context(), "story")
		return err == nil && len(page.Offered()) == 0 == want && len(page.Wheels) == 1
	})
}

// TestKilledWhileWithholding kills a master on the way from the upstream's word to
// the page, when it holds a project back and when it gives it free again: the page
// is still stale, and the next master writes it.
func TestKilledWhileWithholding(t *testing.T) {
	t.Parallel()
	for _, point := range []crash.Point{crash.IngestAgreed, crash.PublishHTML, crash.PublishPages} {
		t.Run(string(point), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, story)
			variable := fmt.Sprintf("%s=%s", crash.Variable, point)
			r.added()
			m := r.follower()
			r.slave()
			r.quiet()
			r.check()
			for _, word := range []struct {
				say  func() error
				held bool
			}{
				{func() error { return r.index.Quarantine("story", "malware") }, true},
				{func() error { return r.index.ClearQuarantine("story") }, false},
			} {
				stop(m)
				dies := r.follower(variable)
				r.must(word.say())
				dies.awaitCrash(string(point))
				m = r.follower()
				r.withheld(word.held)
				r.check()
			}
			if got := r.outcomes(); got != once {
				t.Errorf("builds: %s, want %s", got, once)
			}
		})
	}
}

// folder is what the site has of the project, by file names.
func (r *rig) folder() map[string]string {
	r.t.Helper()
	dir := filepath.Join(r.siteDir(), "simple", "story")
	found, err := os.ReadDir(dir)
	r.must(err)
	out := map[string]string{}
	for _, f := range found {
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		r.must(err)
		out[f.Name()] = string(b)
	}
	return out
}

// TestKilledWhileHoldingARelease kills a master that has heard that a release is
// quarantined, or cleared, and has not read its page yet, or not written ours: it is
// not taken for removed, and in the end all is there again, to the byte.
func TestKilledWhileHoldingARelease(t *testing.T) {
	t.Parallel()
	for _, point := range []crash.Point{crash.IngestAnnounced, crash.IngestAgreed} {
		t.Run(string(point), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, story)
			variable := fmt.Sprintf("%s=%s", crash.Variable, point)
			r.added()
			m := r.follower()
			r.slave()
			r.quiet()
			r.check()
			before := r.folder()
			for _, word := range []struct {
				say  func(name, reason string, versions ...string) error
				held bool
			}{
				{r.index.Quarantine, true},
				{func(name, _ string, versions ...string) error { return r.index.ClearQuarantine(name, versions...) }, false},
			} {
				stop(m)
				dies := r.follower(variable)
				r.must(word.say("story", "", "1.0"))
				dies.awaitCrash(string(point))
				m = r.follower()
				r.withheld(word.held)
				r.check()
				if now := r.folder(); word.held && len(now) != 4 || !word.held && !maps.Equal(before, now) {
					t.Errorf("held %v: the site has %d files, and had %d", word.held, len(now), len(before))
				}
			}
			if got := r.outcomes(); got != once {
				t.Errorf("builds: %s, want %s", got, once)
			}
		})
	}
}
