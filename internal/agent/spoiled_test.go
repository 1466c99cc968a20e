package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
)

// TestSpoiledResultIsGivenBack lets the disk lose a wheel between build and
// upload: nobody can bring that home, so another slave must build it.
func TestSpoiledResultIsGivenBack(t *testing.T) {
	t.Parallel()
	spoil := map[string]func(path string) error{
		"gone":    os.Remove,
		"changed": func(path string) error { return os.WriteFile(path, []byte("wheel of 9.9"), 0o600) },
		"shorter": func(path string) error { return os.Truncate(path, 3) },
	}
	for name, damage := range spoil {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMaster(t)
			m.serve(m.farm.Master)
			s := m.prepareSlave(Config{}, goodBuild)
			spoolOne(t, s.spool, 1)
			if err := damage(filepath.Join(s.paths.spool, "TOKEN1", "demo-1-py3-none-any.whl")); err != nil {
				t.Fatal(err)
			}
			s.start()
			r := receive(t, m.reports)
			if r.Job != 1 || r.Outcome != farm.OutcomeFailed || r.Failure.Cause != farm.SlaveFault || len(r.Wheels) != 0 {
				t.Errorf("report = %+v", r)
			}
			s.wait(Accepted, "TOKEN1")
		})
	}
}

// TestUnreadableResultIsGivenUp lets the disk lose a report while no master takes it: its
// job is held no longer, and the results beside it come home.
func TestUnreadableResultIsGivenUp(t *testing.T) {
	t.Parallel()
	report := func(s *slave) string { return filepath.Join(s.paths.spool, "TOKEN1", reportName) }
	garbage := func(s *slave) error { return os.WriteFile(report(s), []byte(`{"token":`), 0o600) }
	for name, c := range map[string]struct {
		damage func(*slave) error
		aside  int      // whether its wheel is in broken/
		left   []string // in the spool
	}{
		"garbage": {garbage, 1, nil},
		"cannot be read": {func(s *slave) error { // a link to itself
			return errors.Join(os.Symlink(reportName, report(s)+"~"), os.Rename(report(s)+"~", report(s)))
		}, 1, nil},
		"gone":            {func(s *slave) error { return os.Remove(report(s)) }, 0, nil},
		"cannot be moved": {func(s *slave) error { return errors.Join(os.WriteFile(s.paths.broken, nil, 0o600), garbage(s)) }, 0, []string{"TOKEN1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMaster(t)
			var open atomic.Bool
			tried, held := make(chan struct{}, 1), make(chan []string, 1)
			m.report = func(r bus.Report) bus.ReportReply {
				if !open.Load() {
					say(tried, struct{}{})
					return bus.ReportReply{Error: "the database is away"}
				}
				return m.takeReport(r)
			}
			m.beat = func(b bus.Beat) bus.BeatReply { say(held, b.Held); return bus.BeatReply{} }
			m.serve(m.farm.Master)
			s := m.prepareSlave(Config{}, goodBuild)
			spoolOne(t, s.spool, 1)
			spoolOne(t, s.spool, 2)
			s.start()
			receive(t, tried)
			if err := c.damage(s); err != nil {
				t.Fatal(err)
			}
			s.wait(Dropped, "TOKEN1")
			open.Store(true)
			s.wait(Accepted, "TOKEN2")
			for len(receive(t, held)) > 0 { // until a beat frees the job
			}
			m.leases <- lease(3) // and the slave works on
			s.wait(Accepted, "TOKEN3")
			onlyNames(t, s.paths.spool, c.left...)
			if kept, err := filepath.Glob(filepath.Join(s.paths.broken, "*", "TOKEN1", "*.whl")); err != nil || len(kept) != c.aside {
				t.Errorf("set aside %q, %v", kept, err)
			}
		})
	}
}

// say leaves a word for who may wait for one.
func say[T any](c chan T, word T) {
	select {
	case c <- word:
	default:
	}
}

// TestLossThatCannotBeWrittenDown: a wheel is lost, and the disk takes no word of it.
func TestLossThatCannotBeWrittenDown(t *testing.T) {
	t.Parallel()
	m := newMaster(t)
	s := m.prepareSlave(Config{}, goodBuild)
	r := spoolOne(t, s.spool, 1)
	s.board.change(func(f *facts) { f.finished = []string{"TOKEN1"} })
	if err := os.RemoveAll(s.spool.folder("TOKEN1")); err != nil {
		t.Fatal(err)
	}
	if err := s.doubt(r, r.Wheels[0]); err == nil {
		t.Error("a lost wheel is as it was")
	}
	if left := s.board.facts().finished; len(left) > 0 {
		t.Errorf("still held: %q", left)
	}
}

// TestWhatPassesThrowsNothingAway: while others hold all files or all memory, a result
// that cannot be read is as good as before.
func TestWhatPassesThrowsNothingAway(t *testing.T) {
	t.Parallel()
	m := newMaster(t)
	s := m.prepareSlave(Config{}, goodBuild)
	spoolOne(t, s.spool, 1)
	s.board.change(func(f *facts) { f.finished = []string{"TOKEN1"} })
	for _, e := range []error{syscall.EMFILE, syscall.ENOMEM} {
		if err := s.unreadable("TOKEN1", fmt.Errorf("spooled result: %w", &fs.PathError{Op: "open", Path: "x", Err: e})); !errors.Is(err, e) {
			t.Errorf("%v: %v", e, err)
		}
	}
	onlyNames(t, s.paths.spool, "TOKEN1")
	if diff := cmp.Diff([]string{"TOKEN1"}, s.board.facts().finished); diff != "" {
		t.Error(diff)
	}
}
