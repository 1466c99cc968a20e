package farmtest_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"pinwheel/internal/builder"
	"pinwheel/internal/bus"
	"pinwheel/internal/bustest"
	"pinwheel/internal/collect"
	"pinwheel/internal/depot"
	"pinwheel/internal/dispatch"
	"pinwheel/internal/farm"
	"pinwheel/internal/farmtest"
	"pinwheel/internal/pgtest"
	"pinwheel/internal/store"
	"pinwheel/internal/storetest"
)

func TestMain(m *testing.M) {
	builder.Inside()
	pgtest.Main(m)
}

// fleetLease is much longer than a machine stands still: those who do not beat while they
// deliver must not lose what they have.
const fleetLease = 6 * time.Second

func fleetTarget() farm.Target { return farm.Target{ABI: "cp311", Platform: "linux_armv7l"} }

// fleet is two masters on one database and one wire, and slaves that are played:
// what they say is made up, and goes the way of all slaves' words.
type fleet struct {
	*storetest.DB
	t     testing.TB
	wire  *bustest.Farm
	depot *depot.Local

	leaked chan farm.Lease // a lease of Slow, for Liar
	told   chan struct{}   // closed when Liar has said what it had to say

	mu   sync.Mutex
	took map[string][]string // packages that each was given
}

// files is the depot as collect wants it.
type files struct{ *depot.Local }

func (f files) Reader(sha string) (io.ReaderAt, io.Closer, error) {
	r, err := f.Open(sha)
	return r, r, err
}

func newFleet(t testing.TB) *fleet {
	t.Helper()
	f := &fleet{t: t, DB: storetest.New(t, fleetTarget()), wire: bustest.Start(t), leaked: make(chan farm.Lease, 1),
		told: make(chan struct{}), took: map[string][]string{}}
	var err error
	f.depot, err = depot.Open(t.TempDir())
	f.Must(err)
	creds, err := f.wire.Authority.MasterCreds()
	f.Must(err)
	f.master(f.Store, f.wire.Master)
	f.master(f.Another(), f.wire.Connect(t, "second master", creds))
	return f
}

// master lets one more master answer.
func (f *fleet) master(st *store.Store, conn *bus.Conn) {
	f.t.Helper()
	log := zerolog.New(zerolog.NewTestWriter(f.t)).Level(zerolog.ErrorLevel)
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	c := collect.New(collect.Config{Store: st, Depot: files{f.depot}, HTTP: server.URL, Key: []byte("key"), Log: log,
		Retry: farm.RetryPolicy{Pause: 10 * time.Millisecond}})
	mux.Handle("/", c.Upload())
	d := dispatch.New(dispatch.Config{Store: st, HTTP: server.URL, Upstream: "http://index.example/simple/", Lease: fleetLease,
		ProjectLeases: 4, Wire: conn.Connected, Log: log})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	f.t.Cleanup(func() { cancel(); <-ended; server.Close(); c.Close() })
	for _, register := range []func() (func(), error){
		func() (func(), error) { return conn.HandleHello(d.Hello) },
		func() (func(), error) { return conn.HandleNext(d.Next) },
		func() (func(), error) { return conn.HandleBeat(d.Beat) },
		func() (func(), error) { return conn.HandleReport(c.Report) },
	} {
		stop, err := register()
		f.Must(err)
		f.t.Cleanup(stop)
	}
}

// open is the number of jobs that have not ended.
func (f *fleet) open() (n int) {
	jobs, err := f.Store.Jobs(f.t.Context(), store.Selector{})
	f.Must(err)
	for _, j := range jobs {
		if !j.State.Ended() {
			n++
		}
	}
	return n
}

// TestFleet plays slaves of all characters against two masters, the database and the
// wire: at the end every job has ended exactly once as the policy says, and nobody
// but the liar's jobs and the slave without a disk has come to harm.
func TestFleet(t *testing.T) {
	t.Parallel()
	const jobs = 60
	f := newFleet(t)
	for i := range jobs {
		f.Queue(fmt.Sprintf("p%02d", i), fleetTarget())
	}
	names := []string{"ok", "slow", "liar", "repeater", "lost", "diskfull", "clockless"}
	cast := map[string]*actor{}
	for _, name := range names {
		cast[name] = f.actor(name)
	}
	ctx, end := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer end()

	// Those first who take a few only, so that each has its part.
	lost, ok := cast["lost"].ask(ctx, "lost")
	if !ok {
		t.Fatal("lost gets no job")
	}
	all.Go(func() { cast["slow"].work(ctx, cast["slow"].slow) })
	select {
	case stolen := <-f.leaked:
		cast["liar"].liar(ctx, stolen)
	case <-time.After(time.Minute):
		t.Fatal("slow has no job")
	}
	close(f.told)
	full := cast["diskfull"]
	full.work(ctx, func(ctx context.Context, l farm.Lease) {
		full.deliver(ctx, failed(l, farm.Disk, "No space left on device"), nil)
	})
	all.Go(func() { cast["ok"].work(ctx, cast["ok"].ok) })
	all.Go(func() { cast["clockless"].work(ctx, cast["clockless"].clockless) })
	all.Go(func() {
		for i := range 5 {
			cast["repeater"].asksTwice(ctx, fmt.Sprint("again-", i))
		}
	})
	farmtest.Eventually(t, "all jobs have ended", func() bool { return f.open() == 0 })
	end()
	all.Wait()
	f.check(lost.Package)
}

func (f *fleet) check(lost string) {
	f.t.Helper()
	list, err := f.Store.Jobs(f.t.Context(), store.Selector{})
	f.Must(err)
	var rejected []string
	for _, j := range list {
		switch {
		case j.State == farm.Failed && j.Cause == string(farm.Rejected):
			rejected = append(rejected, j.Package)
		case j.State != farm.Built:
			f.t.Errorf("%s is %s %s %s", j.Package, j.State, j.Cause, j.Detail)
		}
		builds, err := f.Store.BuildsOf(f.t.Context(), j.ID)
		f.Must(err)
		ends := map[string][]string{}
		for _, b := range builds {
			ends[b.Outcome] = append(ends[b.Outcome], b.Slave)
		}
		if len(ends["built"])+len(ends["rejected"]) != 1 || ends[""] != nil || (ends["lost"] != nil) != (j.Package == lost) {
			f.t.Errorf("%s ended %v", j.Package, ends)
		}
	}
	liars := slices.Sorted(slices.Values(f.took["liar"]))
	if diff := cmp.Diff(liars, rejected); diff != "" {
		f.t.Errorf("what the liar was given, and what was rejected:\n%s", diff)
	}
	wrong, err := f.Store.Contradictions(f.t.Context())
	f.Must(err)
	for _, line := range wrong {
		f.t.Error(line)
	}
	rows, err := f.Store.Slaves(f.t.Context())
	f.Must(err)
	for _, s := range rows {
		want := ""
		if s.Name == "diskfull" {
			want = "5 faults in a row, the last: disk: No space left on device"
		}
		if s.PausedWhy != want || s.Paused != (want != "") || s.Faults != 0 && want == "" {
			f.t.Errorf("%s: paused %v %q, %d faults", s.Name, s.Paused, s.PausedWhy, s.Faults)
		}
	}
	if n := len(f.took["diskfull"]); n != farm.DefaultSlaveFaults {
		f.t.Errorf("diskfull was given %d jobs", n)
	}
}
