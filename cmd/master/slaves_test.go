package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/bus"
	"pinwheel/internal/cli"
	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	f := newOpsFarm(t)
	s := f.wireSlave("pi-01")
	f.awaitAttended()
	if got := f.done("slaves", "pause", "pi-01"); got != "pi-01 is paused\n" {
		t.Errorf("said %q", got)
	}
	if o := s.order(); o.Do != bus.DoPause {
		t.Errorf("order %+v", o)
	}
	f.queue("demo", "1.0")
	r, err := s.Next(t.Context(), bus.Next{Request: "r1", Targets: []farm.Target{f.py.Target()}})
	if err != nil || r.Lease != nil {
		t.Errorf("a paused slave got %+v, %v", r.Lease, err)
	}
	beat, err := s.Beat(t.Context(), bus.Beat{})
	if err != nil || !beat.Paused {
		t.Errorf("beat %+v, %v", beat, err)
	}
	f.restart() // a pause is a row
	s = f.connect("pi-01", s.creds)
	if beat, err = s.Beat(t.Context(), bus.Beat{}); err != nil || !beat.Paused {
		t.Errorf("after a restart: beat %+v, %v", beat, err)
	}
	f.awaitAttended()
	f.done("slaves", "resume", "pi-01")
	if o := s.order(); o.Do != bus.DoResume {
		t.Errorf("order %+v", o)
	}
	s.lease("r2")
}

// awaitAttended waits until the daemon hears orders: a moment after its start.
func (f *testFarm) awaitAttended() {
	f.t.Helper()
	eventually(f.t, "the master hears orders", func() bool {
		yes, err := f.Store.Attended(f.t.Context())
		return err == nil && yes
	})
}

// TestAbort ends a build twice over: by the order, and by the next beat if that
// was lost. The job goes back to the queue.
func TestAbort(t *testing.T) {
	t.Parallel()
	f := newOpsFarm(t)
	f.queue("demo", "1.0")
	s := f.wireSlave("pi-01")
	lease := s.lease("r1")
	f.awaitAttended()
	type said struct {
		Schema             int
		Slave, Order, Said string
	}
	got := answer[said](f, "slaves", "abort", "pi-01")
	want := said{1, "pi-01", "abort", "demo 1.0 " + f.py.Target().String() + ": queued"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if o := s.order(); o.Do != bus.DoAbort || o.Token != lease.Token {
		t.Errorf("order %+v", o)
	}
	beat, err := s.Beat(t.Context(), bus.Beat{Held: []string{lease.Token}})
	if err != nil || len(beat.Abort) != 1 || beat.Abort[0] != lease.Token {
		t.Errorf("beat %+v, %v", beat, err)
	}
	if code, _, stderr := f.command("slaves", "abort", "pi-01"); code != cli.ExitFailed || !strings.Contains(stderr, "pi-01 builds nothing now") {
		t.Errorf("a second abort: %d, %s", code, stderr)
	}
	if again := s.lease("r2"); again.Job != lease.Job || again.Token == lease.Token {
		t.Errorf("the next lease is of job %d, want %d under a new token", again.Job, lease.Job)
	}
}

func TestQuit(t *testing.T) {
	t.Parallel()
	f := newOpsFarm(t)
	s := f.wireSlave("pi-01")
	f.awaitAttended()
	f.done("slaves", "quit", "pi-01")
	if o := s.order(); o.Do != bus.DoQuit {
		t.Errorf("order %+v", o)
	}
	f.end()
	if code, _, stderr := f.command("slaves", "quit", "pi-01"); code != cli.ExitFailed || !strings.Contains(stderr, "no master runs") {
		t.Errorf("without a master: %d, %s", code, stderr)
	}
}

func TestSlavesList(t *testing.T) {
	t.Parallel()
	f := newOpsFarm(t)
	f.wireSlave("pi-01")
	f.done("enroll", "eye", "--role", "monitor")
	f.done("enroll", "pi-02")
	f.done("revoke", "pi-02")
	f.done("slaves", "pause", "pi-01")
	for _, args := range [][]string{{"slaves"}, {"slaves", "list"}} {
		var got []string
		for line := range strings.Lines(f.done(args...)) {
			words := strings.Fields(line)
			got = append(got, strings.Join(words[:3], " "))
		}
		want := []string{"NAME ROLE STATE", "eye monitor enrolled", "pi-01 slave paused", "pi-02 slave revoked"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("master %q:\n%s", args, diff)
		}
		list := answer[struct {
			Schema int
			Slaves []struct {
				Name            string
				Revoked, Paused bool
			}
		}](f, args...)
		if list.Schema != 1 || len(list.Slaves) != 3 || !list.Slaves[1].Paused || !list.Slaves[2].Revoked {
			t.Errorf("master %q --json: %+v", args, list)
		}
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"slaves", "pause", "eye"}, cli.ExitFailed, "enrolled as monitor"},
		{[]string{"slaves", "pause", "pi-02"}, cli.ExitFailed, "`master enroll pi-02`"},
		{[]string{"slaves", "quit", "nobody"}, cli.ExitFailed, "nobody is enrolled as nobody"},
		{[]string{"slaves", "dance", "pi-01"}, cli.ExitUsage, "unknown command"},
		{[]string{"slaves", "abort"}, cli.ExitUsage, "use: master slaves abort NAME"},
	} {
		code, out, stderr := f.command(c.args...)
		if code != c.code || !strings.Contains(stderr, c.want) || out != "" {
			t.Errorf("master %q: exit status %d, %q, %q; want %d and %q", c.args, code, out, stderr, c.code, c.want)
		}
	}
}

// TestPausedSays: who looks sees that the farm paused a slave, and why.
func TestPausedSays(t *testing.T) {
	t.Parallel()
	why := "5 faults in a row, the last: disk: No space left on device"
	rows := []store.SlaveRow{
		{Name: "pi-01", Role: farm.RoleSlave, Paused: true, PausedWhy: why}, {Name: "pi-02", Role: farm.RoleSlave, Paused: true},
		{Name: "pi-03", Role: farm.RoleSlave, Doing: "building demo 1.0"},
		{Name: "pi-04", Role: farm.RoleSlave, Doing: "takes no job, hot: 84.3 °C, over 80", Pulse: farm.Pulse{Unfit: "hot: 84.3 °C, over 80"}},
	}
	var got []string
	for _, r := range rows {
		got = append(got, slaveState(r)+", "+slaveDoing(r))
	}
	if diff := cmp.Diff([]string{"paused, paused: " + why, "paused, paused", "enrolled, building demo 1.0", "unfit, takes no job, hot: 84.3 °C, over 80"}, got); diff != "" {
		t.Error(diff)
	}
	var out strings.Builder
	st := store.Status{Slaves: rows}
	st.NotYet = 2
	printStatus(&out, st)
	for _, want := range []string{"paused: " + why, "building demo 1.0", "takes no job, hot: 84.3 °C, over 80", "2 of the waiting wait for a wheel of a build requirement"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("status does not say %q:\n%s", want, out.String())
		}
	}
}
