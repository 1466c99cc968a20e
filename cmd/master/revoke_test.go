package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/bus"
	"pinwheel/internal/cli"
)

// TestRevoke: the open connection of a revoked slave is closed within a second and
// cannot come back, also after the name was enrolled again and the master started
// again; its job is free at once.
func TestRevoke(t *testing.T) {
	t.Parallel()
	f := newOpsFarm(t)
	f.queue("demo", "1.0")
	bad, good := f.wireSlave("pi-01"), f.wireSlave("pi-02")
	lease := bad.lease("r1")
	f.awaitAttended()

	type freed struct {
		Job                      int64
		Package, Version, Target string
	}
	got := answer[struct {
		Schema  int
		Revoked string
		Freed   []freed
	}](f, "revoke", "pi-01")
	took := bad.closes()
	for i := 0; took > time.Second && i < 4; i++ { // a machine that was busy says nothing
		one := f.wireSlave(fmt.Sprint("again-", i))
		f.done("revoke", fmt.Sprint("again-", i))
		took = one.closes()
	}
	if took > time.Second {
		t.Errorf("the connection is open for %v after the command", took)
	}
	want := []freed{{lease.Job, "demo", "1.0", f.py.Target().String()}}
	if diff := cmp.Diff(want, got.Freed); diff != "" || got.Schema != 1 || got.Revoked != "pi-01" {
		t.Errorf("answer %+v (-want +got):\n%s", got, diff)
	}
	if again := good.lease("r1"); again.Job != lease.Job {
		t.Errorf("the next slave got job %d, want %d", again.Job, lease.Job)
	}
	f.refuses(bad.creds)

	fresh := []byte(f.done("enroll", "pi-01"))
	f.connect("pi-01", fresh)
	f.refuses(bad.creds)
	f.restart()
	f.refuses(bad.creds)
	back := f.connect("pi-01", fresh)
	f.awaitAttended()
	f.done("revoke", "pi-01")
	f.done("revoke", "pi-01") // twice is harmless
	back.closes()
	f.refuses(fresh)
	f.refuses(bad.creds)
}

func (f *testFarm) refuses(creds []byte) {
	f.t.Helper()
	conn, err := f.dial(creds)
	if err == nil {
		conn.Close()
	}
	if !errors.Is(err, bus.ErrCredentials) {
		f.t.Errorf("revoked credentials: %v", err)
	}
}

// TestRevokedWhileNoMasterRan: the next master reads it from the keys.
func TestRevokedWhileNoMasterRan(t *testing.T) {
	t.Parallel()
	f := newOpsFarm(t)
	creds := f.wireSlave("pi-01").creds
	set := f.Settings
	f.end()
	f.done("revoke", "pi-01")
	f.start(set)
	f.refuses(creds)
}

func TestRevokeRefusals(t *testing.T) {
	t.Parallel()
	f := newOpsFarm(t)
	f.wireSlave("pi-01")
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"revoke", "pi-99"}, cli.ExitFailed, "nobody is enrolled as pi-99; `master slaves` lists who is"},
		{[]string{"revoke", "Pi 1"}, cli.ExitUsage, "slave name"},
		{[]string{"revoke"}, cli.ExitUsage, "use: master revoke NAME"},
	} {
		code, out, stderr := f.command(c.args...)
		if code != c.code || !strings.Contains(stderr, c.want) || strings.Count(stderr, "\n") != 1 || out != "" {
			t.Errorf("master %q: exit status %d, %q, %q; want %d and %q", c.args, code, out, stderr, c.code, c.want)
		}
	}
	other := *f
	other.Master = &Master{Settings: f.Settings}
	other.Settings.StateDir = t.TempDir() // where no keys are
	if code, _, stderr := other.command("revoke", "pi-01"); code != cli.ExitFailed || !strings.Contains(stderr, "--state-dir") {
		t.Errorf("without the farm's keys: %d, %s", code, stderr)
	}
}
