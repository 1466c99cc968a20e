package main

import (
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
	"pinwheel/internal/farmtest"
	"pinwheel/internal/monitor"
	"pinwheel/internal/pypitest"
	"pinwheel/internal/screentest"
	"pinwheel/internal/store"
)

// watch shows the farm on a screen to somebody who is enrolled for it.
func (f *testFarm) watch(name string, role farm.Role) *screentest.Screen {
	f.t.Helper()
	creds, err := enroll(f.t.Context(), f.home, name, role)
	if err != nil {
		f.t.Fatal(err)
	}
	conn, err := bus.Connect(f.t.Context(), bus.Options{URL: f.NATSURL, Creds: creds, Label: "monitor", Log: zerolog.Nop()})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(conn.Close)
	cfg := monitor.Config{Source: monitor.NewWire(conn, "the farm"), Every: 300 * time.Millisecond, Now: time.Now, Folder: f.t.TempDir()}
	return screentest.Start(f.t, 110, 30, func(in io.Reader, out io.Writer) error {
		return monitor.Run(f.t.Context(), cfg, monitor.Screen{In: in, Out: out, Env: []string{"TERM=xterm"}, Size: [2]int{110, 30}})
	})
}

// TestMonitor watches and steers a whole farm by keys: a slave with real pip builds, an
// operator looks at what failed, has it tried again, follows a build and aborts it,
// pauses the slave; the master goes away and comes back.
func TestMonitor(t *testing.T) {
	t.Parallel()
	upstream := pypitest.New(t, "-- hangs==1.0 --\nkind: hangs\n-- fails==1.0 --\nkind: fails\n")
	f := newTestFarm(t, upstream.URL(), farm.Limits{Timeout: 10 * time.Minute})
	f.add("fails==1.0")
	f.slave("one")
	f.quiet()

	s := f.watch("anna", farm.RoleOperator)
	s.Await("live", "as operator anna", "1 idle", f.py.Target().String())
	s.Keys("5")
	s.Await("missing-header", "fails 1.0")
	s.Keys("\r")
	s.Await("failed missing-header", "following")
	s.Keys("/FATAL\r")
	s.Await("fatal error: ffi.h")
	s.Keys("5r")
	s.Await("requeue fails 1.0 on")
	s.Keys("y")
	s.Await("1 job is queued again; `master undo ")
	f.quiet()
	s.Keys("6")
	s.Await("requeue", "anna: 1 job is queued again", "leased", "failed")

	f.add("hangs==1.0")
	s.Keys("3")
	s.Await("> ", "hangs 1.0")
	s.Keys("\r")
	s.Await("under way, live")
	s.Keys("3a")
	s.Await("abort hangs 1.0 on")
	s.Keys("y")
	s.Await("hangs 1.0 " + f.py.Target().String() + ": queued")
	s.Keys("2p")
	s.Await("pause one?")
	s.Keys("y")
	s.Await("one is paused")
	farmtest.Eventually(t, "the slave is paused", func() bool {
		row, err := f.Store.Slave(t.Context(), "one")
		return err == nil && row.Paused
	})
	f.steeredBy("operator anna", "pause", "abort", "requeue")

	set := f.Settings
	set.NATSListen = strings.TrimPrefix(f.NATSURL, "nats://")
	f.end()
	s.Await("STALE", "one")
	f.start(set)
	s.Gone("STALE")
	s.Await("live")
	s.Keys("q")
	if err := s.Wait(); err != nil {
		t.Error(err)
	}
}

// steeredBy holds the audit trail to what somebody did, the newest first.
func (f *testFarm) steeredBy(who string, actions ...string) {
	f.t.Helper()
	notes, err := f.Store.History(f.t.Context(), 100, false)
	if err != nil {
		f.t.Fatal(err)
	}
	var got []string
	for _, n := range notes {
		if n.Actor == who {
			got = append(got, n.Action)
		}
	}
	if diff := cmp.Diff(actions, got); diff != "" {
		f.t.Errorf("done by %s (-want +got):\n%s", who, diff)
	}
}

// TestMonitorOnlyLooks: a monitor's keys change nothing, and neither does a program of
// its own that keeps to no rule of ours.
func TestMonitorOnlyLooks(t *testing.T) {
	t.Parallel()
	f := newTestFarm(t, "http://127.0.0.1:1/simple/", farm.Limits{})
	if _, err := enroll(t.Context(), f.home, "one", farm.RoleSlave); err != nil {
		t.Fatal(err)
	}
	s := f.watch("desk", farm.RoleMonitor)
	s.Await("live", "as monitor desk")
	s.Keys("2p")
	s.Await("desk may look, not steer")
	s.Keys("y")
	s.Keys("q")
	if err := s.Wait(); err != nil {
		t.Error(err)
	}
	row, err := f.Store.Slave(t.Context(), "one")
	if err != nil || row.Paused {
		t.Errorf("the slave is paused: %v, %v", row.Paused, err)
	}
	notes, err := f.Store.History(t.Context(), 100, false)
	if err != nil || slices.ContainsFunc(notes, func(n store.Note) bool { return strings.Contains(n.Actor, "desk") }) {
		t.Errorf("the audit trail: %v, %v", notes, err)
	}
}
