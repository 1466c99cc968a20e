package dispatch

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
	"pinwheel/internal/pgtest"
	"pinwheel/internal/store"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func old() farm.Target   { return farm.Target{ABI: "cp39", Platform: "linux_armv7l"} }
func young() farm.Target { return farm.Target{ABI: "cp311", Platform: "linux_armv7l"} }

// world is a dispatcher on a real database with two targets and two slaves.
type world struct {
	*Dispatcher
	t       testing.TB
	dsn     string
	store   *store.Store
	waiting chan struct{} // one for each time that a question begins to wait
}

func newWorld(t testing.TB, change ...func(*Config)) *world {
	t.Helper()
	w := &world{t: t, dsn: pgtest.New(t), waiting: make(chan struct{}, 100)}
	var err error
	w.store, err = store.Open(t.Context(), w.dsn)
	w.must(err)
	t.Cleanup(w.store.Close)
	cfg := Config{
		Store: w.store, HTTP: "http://farm.example", Upstream: "http://index.example/simple/", Lease: time.Hour,
		Log: zerolog.New(zerolog.NewTestWriter(t)),
	}
	for _, f := range change {
		f(&cfg)
	}
	w.Dispatcher = New(cfg)
	// Only a signal ends a wait: whoever misses one fails by the test's own end.
	w.poll, w.waits = time.Hour, func() { w.waiting <- struct{}{} }
	for _, target := range []farm.Target{young(), old()} {
		w.must(w.store.AddTarget(t.Context(), target, farm.Facts{}))
	}
	for _, name := range []string{"a", "b"} {
		w.must(w.store.EnrollSlave(t.Context(), name, farm.RoleSlave, "key-"+name))
	}
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
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

func (w *world) exec(q string, args ...any) {
	w.t.Helper()
	conn, err := pgx.Connect(w.t.Context(), w.dsn)
	w.must(err)
	defer conn.Close(context.Background())
	_, err = conn.Exec(w.t.Context(), q, args...)
	w.must(err)
}

// absent makes the database refuse everybody, until the function is called.
func (w *world) absent() (back func()) {
	w.t.Helper()
	u, err := url.Parse(w.dsn)
	w.must(err)
	name := strings.TrimPrefix(u.Path, "/")
	u.Path = "/postgres"
	admin, err := pgx.Connect(w.t.Context(), u.String())
	w.must(err)
	w.t.Cleanup(func() { admin.Close(context.Background()) })
	do := func(q string) {
		_, err := admin.Exec(w.t.Context(), q)
		w.must(err)
	}
	do(`alter database ` + name + ` allow_connections false`)
	do(`select pg_terminate_backend(pid) from pg_stat_activity where datname = '` + name + `'`)
	return func() { do(`alter database ` + name + ` allow_connections true`) }
}

// queue makes a job for version 1.0 of a package.
func (w *world) queue(name string, target farm.Target) {
	w.t.Helper()
	p := store.Project{Name: name, Display: name, Releases: []store.ReleaseFacts{
		{Version: "1.0", Raw: "1.0", Sdist: farm.Sdist{Filename: name + "-1.0.tar.gz", URL: "http://index.example/" + name, SHA256: "abc", Size: 7}},
	}}
	_, err := w.store.AddJobs(w.t.Context(), p, []store.Wish{{
		Version: "1.0", Target: target, Verdict: farm.Verdict{State: farm.Queued}, Priority: farm.PriorityBacklog,
	}}, "test")
	w.must(err)
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
	w.queue(name, young())
	l := w.ask(slave, slave+" wants "+name)
	if l == nil || l.Package != name {
		w.t.Fatalf("%s was given %+v, want %s", slave, l, name)
	}
	return l
}

// asking asks in the background, and returns when the question waits.
func (w *world) asking(slave, request string) <-chan bus.NextReply {
	w.t.Helper()
	replies := make(chan bus.NextReply, 1)
	ctx := w.t.Context()
	go func() { replies <- w.Next(ctx, slave, bus.Next{Request: request, Targets: []farm.Target{young()}}) }()
	<-w.waiting
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

// job looks at the one job of a package.
func (w *world) job(name string) store.JobRow {
	w.t.Helper()
	jobs, err := w.store.Jobs(w.t.Context(), store.Selector{Package: name})
	w.must(err)
	if len(jobs) != 1 {
		w.t.Fatalf("%d jobs of %s", len(jobs), name)
	}
	return jobs[0]
}

// wantJob wants a package's job to be "STATE" or "leased SLAVE".
func (w *world) wantJob(name, want string) {
	w.t.Helper()
	j := w.job(name)
	if got := strings.TrimSpace(fmt.Sprintf("%s %s", j.State, j.Slave)); got != want {
		w.t.Errorf("%s is %s %s, want %s", name, got, j.Cause, want)
	}
}

// left is how long the lease of a package still lives.
func (w *world) left(name string) (seconds float64) {
	w.t.Helper()
	conn, err := pgx.Connect(w.t.Context(), w.dsn)
	w.must(err)
	defer conn.Close(context.Background())
	const q = `select extract(epoch from lease_deadline - now())::float8 from jobs where id = $1`
	w.must(conn.QueryRow(w.t.Context(), q, w.job(name).ID).Scan(&seconds))
	return seconds
}

// age makes all that the ledger knows older.
func (w *world) age(by time.Duration) {
	w.t.Helper()
	w.exec(`update builds set started_at = started_at - $1::interval`, by)
	w.exec(`update jobs set lease_deadline = lease_deadline - $1::interval where state = 'leased'`, by)
}
