package agent

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"pinwheel/internal/builder"
	"pinwheel/internal/farm"
)

func TestOwnFaultsAreReportedAndSlowDown(t *testing.T) {
	t.Parallel()
	m := newMaster(t)
	m.serve(m.farm.Master)
	s := m.prepareSlave(Config{}, func(context.Context, builder.Build) (builder.Result, error) {
		return builder.Result{}, errors.New("the compiler is gone")
	})
	s.pace.fault, s.pace.faultMax = time.Hour, time.Hour
	s.start()
	for n := range int64(3) {
		m.leases <- lease(n + 1)
	}
	for range 2 {
		r := receive(t, m.reports)
		if r.Outcome != farm.OutcomeFailed || r.Failure.Cause != farm.SlaveFault || !strings.Contains(r.Failure.Detail, "the compiler is gone") {
			t.Errorf("report = %+v", r)
		}
	}
	// The pause ends with the program, however long it is.
	s.Drain()
	if err := s.waitEnd(); err != nil {
		t.Errorf("Run = %v", err)
	}
	if len(m.leases) != 1 {
		t.Error("a third job was asked for at once after two faults")
	}
}

// TestResultThatCannotBeKept loses the wheel on its way into the spool, and then
// the spool itself: the first is reported without files, the second gives the
// lease back.
func TestResultThatCannotBeKept(t *testing.T) {
	t.Parallel()
	m := newMaster(t)
	m.serve(m.farm.Master)
	s := m.prepareSlave(Config{}, func(ctx context.Context, b builder.Build) (builder.Result, error) {
		res, err := goodBuild(ctx, b)
		return res, errors.Join(err, os.Remove(res.Wheels[0]))
	}).start()
	m.leases <- lease(1)
	if r := receive(t, m.reports); r.Failure.Cause != farm.SlaveFault || len(r.Wheels) != 0 {
		t.Errorf("report = %+v", r)
	}
	s.wait(Accepted, "TOKEN1")
	if err := errors.Join(os.Remove(s.paths.spool), os.WriteFile(s.paths.spool, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	m.leases <- lease(2)
	s.wait(Dropped, "TOKEN2")
	if held := s.board.facts().held(); len(held) != 0 {
		t.Errorf("still holds %q", held)
	}
}

func TestLeaseForOthersIsRefused(t *testing.T) {
	t.Parallel()
	m := newMaster(t)
	m.serve(m.farm.Master)
	s := m.prepareSlave(Config{}, goodBuild)
	other := lease(1)
	other.Target.ABI = "cp39"
	slash := lease(2)
	slash.Token = "../up"
	for _, l := range []farm.Lease{other, slash} {
		if err := s.do(t.Context(), l); err == nil {
			t.Errorf("lease %+v was worked on", l)
		}
	}
	onlyNames(t, s.paths.spool)
}

func TestOneAgentPerStateFolder(t *testing.T) {
	t.Parallel()
	m := newMaster(t)
	m.serve(m.farm.Master)
	first := m.prepareSlave(Config{}, goodBuild).start()
	first.wait(Greeted, "")
	second := m.prepareSlave(Config{StateDir: first.cfg.StateDir}, goodBuild)
	err := second.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), first.cfg.StateDir) || strings.Contains(err.Error(), "unknown") {
		t.Errorf("second agent: %v", err)
	}
}

func TestNewNamesTheRemedy(t *testing.T) {
	t.Parallel()
	m := newMaster(t)
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	monitor := m.farm.Connect(t, "x", m.farm.Creds(t, "x", farm.RoleMonitor))
	tests := map[string]struct {
		change func(*Config)
		want   string
	}{
		"role":   {func(c *Config) { c.Conn = monitor }, "enroll"},
		"folder": {func(c *Config) { c.StateDir = file }, "--state-dir"},
		"python": {func(c *Config) { c.Targets[0].Python.Path = file }, "--python"},
		"abi":    {func(c *Config) { c.Targets[0].Python.ABI = "pypy39" }, "pypy39"},
		"none":   {func(c *Config) { c.Targets = nil }, "no target"},
		"twice": {func(c *Config) { c.Targets = append(c.Targets, Target{Root: "/srv/x", Python: testPython()}) },
			"the roots / and /srv/x are both for cp311-linux_x86_64"},
		"version": {func(c *Config) { c.Version = "" }, "version"},
	}
	slave := m.farm.Slave(t, "pi-1")
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := Config{Conn: slave, StateDir: t.TempDir(), Targets: []Target{{Python: testPython()}}, Mode: builder.None, Version: "1", Log: zerolog.Nop()}
			test.change(&cfg)
			if _, err := New(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("New = %v, want an error with %q", err, test.want)
			}
		})
	}
}
