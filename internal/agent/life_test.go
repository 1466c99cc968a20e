package agent

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

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
	// A build may read where it is.
	if all := fmt.Sprintf("%+v", got); strings.Contains(all, "TOKEN1") || filepath.Dir(filepath.Dir(got.Dir)) != s.paths.build {
		t.Errorf("the build can know its lease's token, or is not where leftovers are looked for: %s", all)
	}
	if r.Outcome != farm.OutcomeBuilt || len(r.Wheels) != 1 || r.Wheels[0].Name != "demo-1.1-py3-none-any.whl" {
		t.Fatalf("report = %+v", r)
	}
	if wheel, log := m.file(r.Wheels[0].SHA256), m.log(r.Log.SHA256); wheel != "wheel of 1.1" || log != "log of 1.1" {
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
	first, second := receive(t, asked), receive(t, asked)
	if first != second {
		t.Errorf("the question was put as %q, then as %q", first, second)
	}
	if h := receive(t, hellos); h.Asking != "" {
		t.Errorf("the first hello asks %q", h.Asking)
	}
	if h := receive(t, hellos); h.Asking != first {
		t.Errorf("the hello after the lost answer asks %q, want %q", h.Asking, first)
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
	var builds, asked, atFifth atomic.Int64
	release := make(chan struct{})
	m.next = func(q bus.Next) bus.NextReply {
		if asked.Add(1) == 5 {
			atFifth.Store(builds.Load()) // once it is reported, it may be built again
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
	if n := atFifth.Load(); n != 1 {
		t.Errorf("one lease was built %d times", n)
	}
	s.Drain()
	_ = s.waitEnd()
}
