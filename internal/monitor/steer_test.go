package monitor

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
)

// TestWishesAreAskedFor: each key that changes the farm asks first; only y does it.
func TestWishesAreAskedFor(t *testing.T) {
	t.Parallel()
	s := newStill()
	b := newBoard(t, s, 100, 30)
	slave, build, next, fail := b.snap.Slaves[0].Name, b.snap.Builds[0], b.snap.Targets[0].Next[0], b.snap.Failures[0]
	of := func(p, v, target string) bus.Steer { return bus.Steer{Package: p, Version: v, Target: target} }
	with := func(s bus.Steer, do string) bus.Steer { s.Do = do; return s }
	skip := func(s bus.Steer) bus.Steer { s.Do, s.Reason = bus.SteerSkip, "too large"; return s }
	queued := with(of(next.Package, next.Version, b.snap.Targets[0].Target), bus.SteerPriority)
	queued.Priority = farm.PriorityBacklog
	for _, row := range []struct {
		page, key, then string
		want            bus.Steer
	}{
		{"2", "p", "", bus.Steer{Do: bus.SteerPause, Slave: slave}},
		{"2", "r", "", bus.Steer{Do: bus.SteerResume, Slave: slave}},
		{"2", "a", "", bus.Steer{Do: bus.SteerAbort, Slave: slave}},
		{"2", "e", "", bus.Steer{Do: bus.SteerQuit, Slave: slave}},
		{"3", "a", "", bus.Steer{Do: bus.SteerAbort, Slave: build.Slave}},
		{"3", "p", "", bus.Steer{Do: bus.SteerPause, Slave: build.Slave}},
		{"3", "x", "too large", skip(of(build.Package, build.Version, build.Target))},
		{"4", "+", "b", queued},
		{"4", "x", "too large", skip(of(next.Package, next.Version, b.snap.Targets[0].Target))},
		{"5", "r", "", with(of(fail.Package, fail.Version, fail.Target), bus.SteerRequeue)},
		{"5", "R", "", bus.Steer{Do: bus.SteerRequeue, Cause: fail.Cause}},
		{"5", "x", "too large", skip(of(fail.Package, fail.Version, fail.Target))},
	} {
		for _, answer := range []string{"n", "enter", "esc", "q", "y"} {
			s.steered = nil
			b.press(row.page, row.key)
			b.typed(row.then)
			if row.key == "x" {
				b.press("enter")
			}
			if b.prompt == nil || len(s.steered) > 0 {
				t.Fatalf("page %s, key %s: nobody is asked\n%s", row.page, row.key, b.text())
			}
			b.sound()
			b.press(answer)
			var want []bus.Steer
			if answer == "y" {
				want = []bus.Steer{row.want}
				b.shows("it is done; `master undo 12` takes it back")
			} else {
				b.shows("nothing was done")
			}
			if diff := cmp.Diff(want, s.steered); diff != "" {
				t.Errorf("page %s, key %s, answer %s (-want +got)\n%s", row.page, row.key, answer, diff)
			}
		}
	}
}

// TestMonitorsOnlyLook: no key of theirs asks for anything.
func TestMonitorsOnlyLook(t *testing.T) {
	t.Parallel()
	s := newStill()
	s.role = farm.RoleMonitor
	b := newBoard(t, s, 160, 30)
	for page, keys := range map[string]string{"2": "prae", "3": "apx", "4": "+x", "5": "rRx"} {
		for _, key := range keys {
			b.press(page, string(key))
			b.shows("demo may look, not steer; `master enroll NAME --role operator` makes credentials that may")
			b.press("y")
		}
	}
	if len(s.steered) > 0 {
		t.Errorf("a monitor wants %v", s.steered)
	}
}

func TestRefusalIsTold(t *testing.T) {
	t.Parallel()
	s := newStill()
	s.refuse = fmt.Errorf("control: %w: pi-01 builds nothing now", bus.ErrRefused)
	b := newBoard(t, s, 80, 24)
	b.press("2", "a", "y")
	b.shows("not done: pi-01 builds nothing now")
}

func TestSkipNeedsAReason(t *testing.T) {
	t.Parallel()
	s := newStill()
	b := newBoard(t, s, 80, 24)
	b.press("4", "x")
	b.typed("ab")
	b.press("backspace", "backspace", "backspace", "enter")
	b.shows("a skip needs a reason")
	if len(s.steered) > 0 || b.prompt != nil {
		t.Errorf("it went on: %v", s.steered)
	}
}
