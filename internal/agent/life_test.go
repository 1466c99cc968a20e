package agent

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"pinwheel/internal/builder"
	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
)

func TestFromLeaseToAccepted(t *testing.T) {
	t.Parallel()
	m := newMaster(t)
	hellos := make(chan bus.Hello, 16)
	m.hello = func(h bus.Hello) bus.Welcome { hellos <- h; return m.welcome() }
	m.serve(m.farm.Master)
	var got builder.Build
	s := m.prepareSlave(Config{}, func(ctx context.Context, b builder.Build) (builder.Result, error) {
		got = b
		return goodBuild(ctx, b)
	}).start()

	h := receive(t, hellos)
	if len(h.Targets) != 1 || h.Targets[0].Target.String() != "cp311-linux_x86_64" || h.Targets[0].Facts.Glibc != "2.36" || h.Memory <= 0 {
		t.Errorf("hello = %+v", h)
	}
	m.leases <- lease(1)
	r := receive(t, m.reports)
	s.wait(Accepted, "TOKEN1")

	if got.Package != "demo" || got.Version != "1.1" || got.Limits != (farm.Limits{}).Fill() ||
		got.IndexURL != m.welcome().Upstream || cmp.Diff(got.ExtraIndexURLs, []string{m.welcome().Index}) != "" {
		t.Errorf("asked the builder for %+v", got)
	}
	if r.Outcome != farm.OutcomeBuilt || len(r.Wheels) != 1 || r.Wheels[0].Name != "demo-1.1-py3-none-any.whl" {
		t.Fatalf("report = %+v", r)
	}
	if wheel, log := m.file(r.Wheels[0].SHA256), m.file(r.Log.SHA256); wheel != "wheel of 1.1" || log != "log of 1.1" {
		t.Errorf("uploaded wheel %q and log %q", wheel, log)
	}
	s.Drain()
	if err := s.waitEnd(); err != nil {
		t.Errorf("Run = %v after Drain", err)
	}
	onlyNames(t, s.paths.spool)
	onlyNames(t, s.paths.build)
}

func TestRequestIsRepeatedUntilAnswered(t *testing.T) {
	t.Parallel()
	m := newMaster(t)
	requests := make(chan string, 64)
	var asked atomic.Int64
	m.next = func(q bus.Next) bus.NextReply {
		requests <- q.Request
		switch asked.Add(1) {
		case 1, 2:
			return bus.NextReply{Error: "not now"}
		case 3:
			l := lease(1)
			return bus.NextReply{Lease: &l}
		}
		return m.giveLease(q)
	}
	m.serve(m.farm.Master)
	s := m.prepareSlave(Config{}, goodBuild).start()
	s.wait(Accepted, "TOKEN1")
	first, second, third, fourth := receive(t, requests), receive(t, requests), receive(t, requests), receive(t, requests)
	if first != second || second != third || third == fourth {
		t.Errorf("request ids %q, %q, %q, then %q: want one until it is answered, then another", first, second, third, fourth)
	}
}

// TestLeaseIsNotLostToHello lets a beat fail while a question is under way: the
// hello that follows must not be said while a lease may be coming, and the
// question is put again, so that the lease it brought is found.
func TestLeaseIsNotLostToHello(t *testing.T) {
	t.Parallel()
	m := newMaster(t)
	asked, hellos := make(chan string, 1024), make(chan bus.Hello, 64)
	var questions, builds atomic.Int64
	var failed atomic.Bool
	again := make(chan struct{})
	m.hello = func(h bus.Hello) bus.Welcome { hellos <- h; return m.welcome() }
	m.next = func(q bus.Next) bus.NextReply {
		asked <- q.Request
		switch questions.Add(1) {
		case 1:
			<-again // the slave has given this one up: its answer goes nowhere
		case 2:
			close(again)
		}
		return m.giveLease(q)
	}
	m.beat = func(bus.Beat) bus.BeatReply {
		if len(asked) > 0 && failed.CompareAndSwap(false, true) {
			return bus.BeatReply{Error: "who are you?"}
		}
		return bus.BeatReply{}
	}
	m.serve(m.farm.Master)
	m.leases <- lease(1)
	s := m.prepareSlave(Config{}, func(ctx context.Context, b builder.Build) (builder.Result, error) {
		builds.Add(1)
		return goodBuild(ctx, b)
	}).start()
	s.wait(Accepted, "TOKEN1")
	receive(t, hellos)
	receive(t, hellos)
	if first, second := receive(t, asked), receive(t, asked); first != second {
		t.Errorf("the question was put as %q, then as %q", first, second)
	}
	if n := builds.Load(); n != 1 {
		t.Errorf("built %d times", n)
	}
}

func TestHelloWaitsForTheQuestion(t *testing.T) {
	t.Parallel()
	tests := []struct {
		facts facts
		want  bool
	}{
		{facts{}, true},
		{facts{asking: true}, false},
		{facts{greeted: true}, false},
		{facts{greeted: true, asking: true}, false},
	}
	for _, test := range tests {
		if got := mayGreet(test.facts); got != test.want {
			t.Errorf("mayGreet(%+v) = %v", test.facts, got)
		}
	}
}

func TestHelloIsRepeatedUntilWelcome(t *testing.T) {
	t.Parallel()
	m := newMaster(t)
	var asked atomic.Int64
	m.hello = func(bus.Hello) bus.Welcome {
		if asked.Add(1) < 3 {
			return bus.Welcome{Error: "protocol 1 is not spoken here"}
		}
		return m.welcome()
	}
	m.serve(m.farm.Master)
	s := m.prepareSlave(Config{}, goodBuild).start()
	s.wait(Greeted, "")
	if n := asked.Load(); n < 3 {
		t.Errorf("greeted after %d hellos", n)
	}
}

func TestLeaseIsBuiltOnceWhileHeld(t *testing.T) {
	t.Parallel()
	m := newMaster(t)
	var builds, asked atomic.Int64
	release := make(chan struct{})
	m.next = func(q bus.Next) bus.NextReply {
		if asked.Add(1) == 5 {
			close(release)
		}
		l := lease(1)
		return bus.NextReply{Lease: &l} // the same, again and again
	}
	m.report = func(r bus.Report) bus.ReportReply {
		select {
		case <-release:
			return m.takeReport(r)
		default:
			return bus.ReportReply{Error: "not yet"}
		}
	}
	m.serve(m.farm.Master)
	s := m.prepareSlave(Config{}, func(ctx context.Context, b builder.Build) (builder.Result, error) {
		builds.Add(1)
		return goodBuild(ctx, b)
	})
	s.start()
	<-release
	if n := builds.Load(); n != 1 {
		t.Errorf("one lease was built %d times", n)
	}
	s.Drain()
	_ = s.waitEnd()
}

func TestAbort(t *testing.T) {
	t.Parallel()
	tests := map[string]func(m *master, abort <-chan struct{}){
		"by beat": func(m *master, abort <-chan struct{}) {
			m.beat = func(bus.Beat) bus.BeatReply {
				select {
				case <-abort:
					return bus.BeatReply{Abort: []string{"TOKEN1"}}
				default:
					return bus.BeatReply{Abort: []string{"OTHER"}}
				}
			}
		},
		"by order": func(m *master, abort <-chan struct{}) {
			go func() {
				<-abort
				if err := m.farm.Master.SendControl("pi-1", bus.Control{Do: bus.DoAbort, Token: "TOKEN1"}); err != nil {
					m.t.Error(err)
				}
			}()
		},
		"by hello": func(m *master, abort <-chan struct{}) {
			m.beat = func(bus.Beat) bus.BeatReply {
				select {
				case <-abort:
					return bus.BeatReply{Error: "who are you?"}
				default:
					return bus.BeatReply{}
				}
			}
			m.hello = func(h bus.Hello) bus.Welcome {
				w := m.welcome()
				w.Drop = h.Held
				return w
			}
		},
	}
	for name, arrange := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, abort, begun := newMaster(t), make(chan struct{}), make(chan string, 8)
			arrange(m, abort)
			m.serve(m.farm.Master)
			s := m.prepareSlave(Config{}, heldBuild(begun, nil)).start()
			m.leases <- lease(1)
			receive(t, begun)
			close(abort)
			s.wait(Dropped, "TOKEN1")
			m.leases <- lease(2) // and life goes on
			receive(t, begun)
			s.stop()
			_ = s.waitEnd()
			onlyNames(t, s.paths.spool)
			onlyNames(t, s.paths.build)
			if len(m.reports) > 0 {
				t.Error("an aborted build was reported")
			}
		})
	}
}

func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	m := newMaster(t)
	var resumed atomic.Bool
	pausedBeats := make(chan struct{}, 1024)
	m.beat = func(b bus.Beat) bus.BeatReply {
		if b.Doing == "paused" {
			pausedBeats <- struct{}{}
		}
		return bus.BeatReply{Paused: !resumed.Load()}
	}
	m.serve(m.farm.Master)
	s := m.prepareSlave(Config{}, goodBuild).start()
	// A question may be under way when the pause comes; it is answered within
	// three beats.
	for range 6 {
		receive(t, pausedBeats)
	}
	m.leases <- lease(1)
	for range 6 {
		receive(t, pausedBeats)
	}
	if len(m.leases) != 1 {
		t.Error("a paused slave took a job")
	}
	resumed.Store(true)
	s.wait(Accepted, "TOKEN1")
}

func TestOrderToPauseAndResume(t *testing.T) {
	t.Parallel()
	m := newMaster(t)
	m.serve(m.farm.Master)
	s := m.prepareSlave(Config{}, goodBuild)
	for _, do := range []string{bus.DoPause, bus.DoResume} {
		s.obey(bus.Control{Do: do})
		if got := s.board.facts().paused; got != (do == bus.DoPause) {
			t.Errorf("paused = %v after the order to %s", got, do)
		}
	}
}

func TestQuitEndsAfterTheBuild(t *testing.T) {
	t.Parallel()
	m, begun, goOn := newMaster(t), make(chan string, 1), make(chan struct{})
	m.serve(m.farm.Master)
	s := m.prepareSlave(Config{}, heldBuild(begun, goOn)).start()
	m.leases <- lease(1)
	receive(t, begun)
	m.leases <- lease(2)
	if err := m.farm.Master.SendControl("pi-1", bus.Control{Do: bus.DoQuit}); err != nil {
		t.Fatal(err)
	}
	<-s.drain
	close(goOn)
	if r := receive(t, m.reports); r.Job != 1 {
		t.Errorf("report of job %d", r.Job)
	}
	if err := s.waitEnd(); err != nil {
		t.Errorf("Run = %v", err)
	}
	if len(m.leases) != 1 {
		t.Error("a job was taken after the order to quit")
	}
}

func TestEndKillsTheBuildAndGivesItBack(t *testing.T) {
	t.Parallel()
	m, begun := newMaster(t), make(chan string, 1)
	var last atomic.Pointer[bus.Beat]
	m.beat = func(b bus.Beat) bus.BeatReply { last.Store(&b); return bus.BeatReply{} }
	m.serve(m.farm.Master)
	s := m.prepareSlave(Config{}, heldBuild(begun, nil)).start()
	m.leases <- lease(1)
	receive(t, begun)
	s.stop()
	if err := s.waitEnd(); err != nil {
		t.Errorf("Run = %v", err)
	}
	if b := last.Load(); b == nil || len(b.Held) != 0 {
		t.Errorf("last beat = %+v, want one that holds nothing", b)
	}
	onlyNames(t, s.paths.build)
	onlyNames(t, s.paths.spool)
}

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
		"role":    {func(c *Config) { c.Conn = monitor }, "enroll"},
		"folder":  {func(c *Config) { c.StateDir = file }, "--state-dir"},
		"python":  {func(c *Config) { c.Python.Path = file }, "--python"},
		"abi":     {func(c *Config) { c.Python.ABI = "pypy39" }, "pypy39"},
		"version": {func(c *Config) { c.Version = "" }, "version"},
	}
	slave := m.farm.Slave(t, "pi-1")
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := Config{Conn: slave, StateDir: t.TempDir(), Python: testPython(), Mode: builder.None, Version: "1", Log: zerolog.Nop()}
			test.change(&cfg)
			if _, err := New(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("New = %v, want an error with %q", err, test.want)
			}
		})
	}
}
