package bus_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"pinwheel/internal/bus"
	"pinwheel/internal/bustest"
	"pinwheel/internal/farm"
	"pinwheel/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// patience bounds every wait of these tests. Nothing is expected to take a
// hundredth of it.
const patience = 20 * time.Second

func ctx(t testing.TB) context.Context {
	c, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return c
}

func receive[V any](t testing.TB, ch <-chan V, what string) V {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("no %s within %v", what, patience)
		panic("not reached")
	}
}

// started registers stop for the test's end and passes errors on.
func started(t testing.TB, stop func(), err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
}

func target(t testing.TB) farm.Target {
	t.Helper()
	v, err := farm.ParseTarget("cp311-linux_armv7l")
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func hello(t testing.TB) bus.Hello {
	return bus.Hello{Version: "1.0", Machine: "Pi 4", Targets: []bus.ServedTarget{{Target: target(t)}}}
}

// logLines is a logger whose lines can be waited for.
type logLines chan string

func newLog() (logLines, zerolog.Logger) {
	l := make(logLines, 1000)
	return l, zerolog.New(l)
}

func (l logLines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

func (l logLines) wait(t testing.TB, text string) {
	t.Helper()
	for !strings.Contains(receive(t, l, "log line with "+text), text) {
	}
}

func TestEveryRequest(t *testing.T) {
	t.Parallel()
	f := bustest.Start(t)
	lease := &farm.Lease{Token: "tok", Job: 7, Package: "numpy", Version: "1.26.4", Target: target(t), Length: time.Minute}
	stop, err := f.Master.HandleHello(func(_ context.Context, slave string, m bus.Hello) bus.Welcome {
		return bus.Welcome{HTTP: "http://" + slave + m.Machine, Beat: time.Second, Drop: m.Held}
	})
	started(t, stop, err)
	stop, err = f.Master.HandleNext(func(_ context.Context, _ string, m bus.Next) bus.NextReply {
		return bus.NextReply{Lease: lease}
	})
	started(t, stop, err)
	stop, err = f.Master.HandleBeat(func(_ context.Context, _ string, m bus.Beat) bus.BeatReply {
		return bus.BeatReply{Abort: m.Held, Paused: true}
	})
	started(t, stop, err)
	stop, err = f.Master.HandleReport(func(_ context.Context, _ string, m bus.Report) bus.ReportReply {
		return bus.ReportReply{Accepted: true, Reason: m.Excerpt}
	})
	started(t, stop, err)
	s := f.Slave(t, "pi-1").Slave("pi-1")

	h := hello(t)
	h.Held = []string{"old"}
	welcome, err := s.Hello(ctx(t), h)
	same(t, err, welcome, bus.Welcome{Head: bus.Head{Protocol: 1}, HTTP: "http://pi-1Pi 4", Beat: time.Second, Drop: []string{"old"}})
	next, err := s.Next(ctx(t), bus.Next{Request: "r", Targets: []farm.Target{target(t)}})
	same(t, err, next, bus.NextReply{Head: bus.Head{Protocol: 1}, Lease: lease})
	beat, err := s.Beat(ctx(t), bus.Beat{Held: []string{"tok"}})
	same(t, err, beat, bus.BeatReply{Head: bus.Head{Protocol: 1}, Abort: []string{"tok"}, Paused: true})
	report, err := s.Report(ctx(t), bus.Report{Token: "tok", Job: 7, Outcome: farm.OutcomeFailed,
		Failure: farm.Failure{Cause: farm.Crashed}, Excerpt: strings.Repeat("x", 5000) + "\x00end"})
	same(t, err, report, bus.ReportReply{Head: bus.Head{Protocol: 1}, Accepted: true, Reason: strings.Repeat("x", bus.MaxExcerpt-3) + "end"})
}

func same(t *testing.T, err error, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("error %v, answer (-want +got):\n%s", err, diff)
	}
}

func TestMessagesToSlavesAndWatchers(t *testing.T) {
	t.Parallel()
	f := bustest.Start(t)
	pi1, pi2 := f.Slave(t, "pi-1").Slave("pi-1"), f.Slave(t, "pi-2").Slave("pi-2")
	orders := make(chan bus.Control, 10)
	stop, err := pi2.OnControl(func(m bus.Control) { orders <- m })
	started(t, stop, err)
	monitor := f.Connect(t, "monitor", f.Creds(t, "tv", farm.RoleMonitor))
	events := make(chan bus.Event, 10)
	stop, err = monitor.WatchEvents(func(e bus.Event) { events <- e })
	started(t, stop, err)
	var log bytes.Buffer
	logged := make(chan string, 10)
	stop, err = monitor.WatchLog("*", 7, func(slave string, c bus.LogChunk) {
		log.Write(c.Data)
		if log.Len() == 200_000 {
			logged <- slave
		}
	})
	started(t, stop, err)

	if err := f.Master.SendControl("pi-1", bus.Control{Do: bus.DoPause}); err != nil {
		t.Fatal(err)
	}
	if err := f.Master.SendControl("pi-2", bus.Control{Do: bus.DoAbort, Token: "tok"}); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, orders, "order"); got.Do != bus.DoAbort || got.Token != "tok" {
		t.Errorf("pi-2 got the order %v", got)
	}
	event := bus.Event{Kind: "built", Package: "numpy", At: time.Unix(5, 0).UTC()}
	if err := f.Master.Publish(event); err != nil {
		t.Fatal(err)
	}
	event.Protocol = 1
	same(t, nil, receive(t, events, "event"), event)

	data := bytes.Repeat([]byte("0123456789"), 20_000)
	if err := pi2.Log(bus.LogChunk{Job: 8, Data: []byte("another job's")}); err != nil {
		t.Fatal(err)
	}
	if err := pi1.Log(bus.LogChunk{Job: 7, Data: data}); err != nil {
		t.Fatal(err)
	}
	if slave := receive(t, logged, "log"); slave != "pi-1" || !bytes.Equal(log.Bytes(), data) {
		t.Errorf("log of %s, %d bytes, or other bytes", slave, log.Len())
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	f := bustest.Start(t)
	stop, err := f.Master.HandleBeat(func(_ context.Context, _ string, m bus.Beat) bus.BeatReply {
		switch m.Doing {
		case "panic":
			panic("of the handler")
		case "refuse":
			return bus.BeatReply{Error: "the database is gone"}
		}
		return bus.BeatReply{Paused: true}
	})
	started(t, stop, err)
	s := f.Slave(t, "pi-1").Slave("pi-1")
	for doing, word := range map[string]string{"panic": "the master made a mistake", "refuse": "the database is gone"} {
		_, err := s.Beat(ctx(t), bus.Beat{Doing: doing})
		if !errors.Is(err, bus.ErrRefused) || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %v, want ErrRefused with %q", doing, err, word)
		}
	}
	raw := dial(t, f, "pi-1", farm.RoleSlave)
	for data, word := range map[string]string{
		`{"protocol":9}`:             "protocol 9 is not spoken here, 1 is",
		`garbage`:                    "not a message",
		`{"protocol":1,"held":[""]}`: "held",
		`{"protocol":1,"x":"` + strings.Repeat("x", 70_000) + `"}`: "70021 bytes",
	} {
		msg, err := raw.RequestWithContext(ctx(t), "farm.v1.slave.pi-1.beat", []byte(data))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(msg.Data), word) || !strings.Contains(string(msg.Data), `"protocol":1,"error":"beat: `) {
			t.Errorf("%.40s is answered by %s, want an error with %q", data, msg.Data, word)
		}
	}
	if reply, err := s.Beat(ctx(t), bus.Beat{}); err != nil || !reply.Paused {
		t.Errorf("after all that a beat gets %v, %v", reply, err)
	}
	// Refused here already: it would be a mistake of this program.
	if _, err := s.Next(ctx(t), bus.Next{}); err == nil || errors.Is(err, bus.ErrRefused) {
		t.Errorf("an empty next: %v, want an error of its own", err)
	}
}

func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	f := bustest.Start(t)
	s := f.Slave(t, "pi-1").Slave("pi-1")
	if _, err := s.Hello(ctx(t), hello(t)); !errors.Is(err, bus.ErrNobody) {
		t.Errorf("without a master: %v, want ErrNobody", err)
	}
	stop, err := f.Master.HandleHello(func(context.Context, string, bus.Hello) bus.Welcome { return bus.Welcome{} })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Hello(ctx(t), hello(t)); err != nil {
		t.Error(err)
	}
	stop()
	if _, err := s.Hello(ctx(t), hello(t)); !errors.Is(err, bus.ErrNobody) {
		t.Errorf("after stop: %v, want ErrNobody", err)
	}
}

func TestStopEndsHandlersAndWaits(t *testing.T) {
	t.Parallel()
	f := bustest.Start(t)
	entered := make(chan struct{})
	var ended atomic.Bool
	stop, err := f.Master.HandleReport(func(ctx context.Context, _ string, _ bus.Report) bus.ReportReply {
		close(entered)
		<-ctx.Done()
		ended.Store(true)
		return bus.ReportReply{Error: "stopping"}
	})
	if err != nil {
		t.Fatal(err)
	}
	s := f.Slave(t, "pi-1").Slave("pi-1")
	answer := make(chan error, 1)
	go func() {
		_, err := s.Report(ctx(t), bus.Report{Token: "tok", Job: 7, Outcome: farm.OutcomeFailed, Failure: farm.Failure{Cause: farm.Crashed}})
		answer <- err
	}()
	receive(t, entered, "report")
	stop()
	if !ended.Load() {
		t.Error("stop returned while a handler ran")
	}
	if err := receive(t, answer, "answer"); !errors.Is(err, bus.ErrRefused) {
		t.Errorf("the report under way got %v, want the handler's refusal", err)
	}
}

func TestTheCallersContextEndsARequest(t *testing.T) {
	t.Parallel()
	f := bustest.Start(t)
	entered := make(chan struct{})
	stop, err := f.Master.HandleNext(func(ctx context.Context, _ string, _ bus.Next) bus.NextReply {
		close(entered)
		<-ctx.Done()
		return bus.NextReply{}
	})
	started(t, stop, err)
	ctx, cancel := context.WithCancel(t.Context())
	answer := make(chan error, 1)
	s := f.Slave(t, "pi-1").Slave("pi-1")
	go func() {
		_, err := s.Next(ctx, bus.Next{Request: "r", Targets: []farm.Target{target(t)}})
		answer <- err
	}()
	receive(t, entered, "request")
	cancel()
	if err := receive(t, answer, "end of the request"); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

// More slaves wait for work than the master works on at once: heartbeats must
// not notice.
func TestWaitingSlavesDoNotHoldUpBeats(t *testing.T) {
	t.Parallel()
	f := bustest.Start(t)
	var waiting atomic.Int32
	full, release := make(chan struct{}), make(chan struct{})
	stop, err := f.Master.HandleNext(func(context.Context, string, bus.Next) bus.NextReply {
		if waiting.Add(1) == 1024 {
			close(full)
		}
		<-release
		return bus.NextReply{}
	})
	started(t, stop, err)
	defer close(release)
	stop, err = f.Master.HandleBeat(func(context.Context, string, bus.Beat) bus.BeatReply { return bus.BeatReply{Paused: true} })
	started(t, stop, err)
	raw := dial(t, f, "pi-1", farm.RoleSlave)
	for range 1100 {
		request := `{"protocol":1,"request":"r","targets":["cp311-linux_armv7l"]}`
		if err := raw.PublishRequest("farm.v1.slave.pi-1.next", "_INBOX.pi-1.nobody", []byte(request)); err != nil {
			t.Fatal(err)
		}
	}
	receive(t, full, "full house")
	if reply, err := f.Slave(t, "pi-1").Slave("pi-1").Beat(ctx(t), bus.Beat{}); err != nil || !reply.Paused {
		t.Errorf("the beat got %v, %v", reply, err)
	}
	if n := waiting.Load(); n > 1024 {
		t.Errorf("%d requests at once", n)
	}
}

func TestMastersShareTheRequests(t *testing.T) {
	t.Parallel()
	f := bustest.Start(t)
	creds, err := f.Authority.MasterCreds()
	if err != nil {
		t.Fatal(err)
	}
	var calls atomic.Int32
	for _, master := range []*bus.Conn{f.Master, f.Connect(t, "second master", creds)} {
		stop, err := master.HandleBeat(func(context.Context, string, bus.Beat) bus.BeatReply {
			calls.Add(1)
			return bus.BeatReply{}
		})
		started(t, stop, err)
	}
	s := f.Slave(t, "pi-1").Slave("pi-1")
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := s.Beat(ctx(t), bus.Beat{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if calls.Load() != 50 {
		t.Errorf("50 beats were handled %d times", calls.Load())
	}
}

func connect(t testing.TB, o bus.Options) *bus.Conn {
	t.Helper()
	c, err := bus.Connect(ctx(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// dial is a connection as any NATS client makes it: it keeps to no rule but the
// server's.
func dial(t testing.TB, f *bustest.Farm, name string, role farm.Role) *nats.Conn {
	t.Helper()
	prefix := "_INBOX." + name
	if role != farm.RoleSlave {
		prefix = "_INBOX." + string(role) + "_" + name
	}
	nc, err := nats.Connect(f.Server.URL(), nats.UserCredentialBytes(f.Creds(t, name, role)), nats.CustomInboxPrefix(prefix),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}
