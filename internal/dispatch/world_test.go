package dispatch

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
	"pinwheel/internal/pgtest"
	"pinwheel/internal/storetest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func old() farm.Target   { return farm.Target{ABI: "cp39", Platform: "linux_armv7l"} }
func young() farm.Target { return farm.Target{ABI: "cp311", Platform: "linux_armv7l"} }

// world is a dispatcher on a real database with two targets and two slaves.
type world struct {
	*Dispatcher
	*storetest.DB
	t       testing.TB
	waiting chan struct{} // one for each time that a question begins to wait
}

func newWorld(t testing.TB, change ...func(*Config)) *world {
	t.Helper()
	w := &world{t: t, DB: storetest.New(t, young(), old()), waiting: make(chan struct{}, 100)}
	cfg := Config{
		Store: w.Store, HTTP: "http://farm.example", Upstream: "http://index.example/simple/", Lease: time.Hour,
		Log: zerolog.New(zerolog.NewTestWriter(t)),
	}
	for _, f := range change {
		f(&cfg)
	}
	w.Dispatcher = New(cfg)
	// Only a signal ends a wait: whoever misses one fails by the test's own end.
	w.poll, w.waits = time.Hour, func() { w.waiting <- struct{}{} }
	return w
}

// run keeps the dispatcher's loops going until the test ends, or the function is
// called.
func (w *world) run() (stop func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("the dispatcher ended with %v", err)
		}
	}
	w.t.Cleanup(stop)
	return stop
}

// ask asks for work, and wants no refusal.
func (w *world) ask(slave, request string, targets ...farm.Target) *farm.Lease {
	w.t.Helper()
	if len(targets) == 0 {
		targets = []farm.Target{young(), old()}
	}
	reply := w.Next(w.t.Context(), slave, bus.Next{Request: request, Targets: targets})
	if reply.Error != "" {
		w.t.Errorf("%s asks for work: %s", slave, reply.Error)
	}
	return reply.Lease
}

// lease queues a package and leases its job to a slave.
func (w *world) lease(slave, name string) *farm.Lease {
	w.t.Helper()
	w.Queue(name, young())
	l := w.ask(slave, slave+" wants "+name)
	if l == nil || l.Package != name {
		w.t.Fatalf("%s was given %+v, want %s", slave, l, name)
	}
	return l
}

// asking asks in the background, and returns when the question waits, or has its answer
// already.
func (w *world) asking(slave, request string) <-chan bus.NextReply {
	w.t.Helper()
	replies, answered := make(chan bus.NextReply, 1), make(chan struct{})
	ctx := w.t.Context()
	go func() {
		defer close(answered)
		replies <- w.Next(ctx, slave, bus.Next{Request: request, Targets: []farm.Target{young()}})
	}()
	select {
	case <-w.waiting:
	case <-answered:
		select {
		case <-w.waiting: // it did wait, before this test could see it
		default:
		}
	}
	return replies
}

func (w *world) hello(slave string, held ...string) bus.Welcome {
	w.t.Helper()
	return w.Hello(w.t.Context(), slave, bus.Hello{
		Version: "test", Held: held, Targets: []bus.ServedTarget{{Target: young(), Facts: farm.Facts{Python: "3.11.2"}}},
	})
}

func (w *world) beat(slave string, held ...string) bus.BeatReply {
	w.t.Helper()
	reply := w.Beat(w.t.Context(), slave, bus.Beat{Held: held, Doing: "building"})
	if reply.Error != "" {
		w.t.Errorf("%s beats: %s", slave, reply.Error)
	}
	return reply
}

// wantJob wants a package's job to be "STATE" or "leased SLAVE".
func (w *world) wantJob(name, want string) {
	w.t.Helper()
	j := w.Job(name)
	if got := strings.TrimSpace(fmt.Sprintf("%s %s", j.State, j.Slave)); got != want {
		w.t.Errorf("%s is %s %s, want %s", name, got, j.Cause, want)
	}
}

// left is how long the lease of a package still lives.
func (w *world) left(name string) (seconds float64) {
	w.t.Helper()
	conn := w.Connect()
	defer conn.Close(context.Background())
	const q = `select extract(epoch from lease_deadline - now())::float8 from jobs where id = $1`
	w.Must(conn.QueryRow(w.t.Context(), q, w.Job(name).ID).Scan(&seconds))
	return seconds
}

// age makes all that the ledger knows older.
func (w *world) age(by time.Duration) {
	w.t.Helper()
	w.Exec(`update builds set started_at = started_at - $1::interval`, by)
	w.Exec(`update jobs set lease_deadline = lease_deadline - $1::interval where state = 'leased'`, by)
}
