package agent

import (
	"os"
	"strings"
	"testing"
	"time"

	"pinwheel/internal/builder"
	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
	"pinwheel/internal/pip"
	"pinwheel/internal/proc"
	"pinwheel/internal/pypitest"
	"pinwheel/internal/tree"
)

// sandbox is bwrap: where it is missing, that is a failure with a remedy and no
// reason to test less, unless someone says so.
func sandbox() builder.Mode {
	if os.Getenv("PINWHEEL_TEST_NO_BWRAP") == "1" {
		return builder.None
	}
	return builder.Bwrap
}

// realSlave is a slave that builds with the machine's own pip from index.
func (m *master) realSlave(index *pypitest.Server) *slave {
	m.t.Helper()
	own := pypitest.New(m.t) // the farm's own index is empty yet
	m.hello = func(bus.Hello) bus.Welcome {
		w := m.welcome()
		w.Upstream, w.Index = index.URL(), own.URL()
		return w
	}
	user := proc.BuildUser()
	py, _, err := pip.Find(m.t.Context(), "", user)
	if err != nil {
		m.t.Fatal(err)
	}
	dir, err := proc.SharedTempDir("pinwheel-agent-", user)
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		if err := tree.Remove(dir); err != nil {
			m.t.Error(err)
		}
	})
	m.serve(m.farm.Master)
	return m.prepareSlave(Config{StateDir: dir, Targets: []Target{{Python: py}}, Mode: sandbox(), User: user}, nil).start()
}

func (s *slave) lease(n int64, name string, limits farm.Limits) farm.Lease {
	l := lease(n)
	l.Package, l.Version, l.Target, l.Limits = name, "1.0", s.targets()[0], limits
	return l
}

func TestRealBuilds(t *testing.T) {
	t.Parallel()
	m := newMaster(t)
	index := pypitest.New(t, "-- good==1.0 --\n-- bad==1.0 --\nkind: fails\n-- slow==1.0 --\nkind: hangs\n")
	s := m.realSlave(index)
	m.leases <- s.lease(1, "good", farm.Limits{})
	m.leases <- s.lease(2, "bad", farm.Limits{})
	m.leases <- s.lease(3, "slow", farm.Limits{Timeout: 3 * time.Second})

	good := receive(t, m.reports)
	if good.Outcome != farm.OutcomeBuilt || len(good.Wheels) != 1 || good.Wheels[0].Name != "good-1.0-py3-none-any.whl" {
		t.Fatalf("report = %+v", good)
	}
	if !strings.HasPrefix(m.file(good.Wheels[0].SHA256), "PK") {
		t.Error("what was uploaded is no zip")
	}
	if good.Record.Sandbox != string(sandbox()) || good.Record.Seconds <= 0 || good.Record.Compiler == "" {
		t.Errorf("record = %+v", good.Record)
	}
	if s := good.Record.Sdist; s.Filename != "good-1.0.tar.gz" || !strings.HasPrefix(s.URL, index.Base()) || len(s.SHA256) != 64 {
		t.Errorf("sdist = %+v", s)
	}
	bad := receive(t, m.reports)
	if bad.Outcome != farm.OutcomeFailed || bad.Failure.Cause != farm.MissingHeader || !strings.Contains(bad.Excerpt, "ffi.h") {
		t.Errorf("report = %+v", bad)
	}
	if log := m.log(bad.Log.SHA256); !strings.Contains(log, "ffi.h") {
		t.Errorf("log = %q", log)
	}
	if slow := receive(t, m.reports); slow.Outcome != farm.OutcomeFailed || slow.Failure.Cause != farm.Timeout {
		t.Errorf("report = %+v", slow)
	}
	s.wait(Accepted, "TOKEN3")
	onlyNames(t, s.paths.build)
	onlyNames(t, s.paths.spool)
}

// TestRealAbort aborts a build that hangs, as soon as its log says so.
func TestRealAbort(t *testing.T) {
	t.Parallel()
	m := newMaster(t)
	hangs := make(chan struct{}, 64)
	stop, err := m.farm.Master.WatchLog("*", 1, func(_ string, c bus.LogChunk) {
		if strings.Contains(string(c.Data), "slow") {
			hangs <- struct{}{}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	s := m.realSlave(pypitest.New(t, "-- slow==1.0 --\nkind: hangs\n"))
	m.leases <- s.lease(1, "slow", farm.Limits{})
	receive(t, hangs)
	if err := m.farm.Master.SendControl("pi-1", bus.Control{Do: bus.DoAbort, Token: "TOKEN1"}); err != nil {
		t.Fatal(err)
	}
	s.wait(Dropped, "TOKEN1")
	s.Drain()
	if err := s.waitEnd(); err != nil {
		t.Errorf("Run = %v", err)
	}
	onlyNames(t, s.paths.build)
	onlyNames(t, s.paths.spool)
	if len(m.reports) > 0 {
		t.Errorf("an aborted build was reported: %+v", <-m.reports)
	}
}
