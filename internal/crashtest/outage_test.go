package crashtest

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"pinwheel/internal/bus"
	"pinwheel/internal/bus/natsserver"
	"pinwheel/internal/embedpg"
	"pinwheel/internal/pgtest"
	"pinwheel/internal/proc"
	"pinwheel/internal/store"
)

// within is how soon after the end of an outage all must have ended. It is far
// below the length of a lease: nobody may have to wait for one to expire.
const within = 2 * time.Minute

// farmUnderWay is a farm with a job at a moment that is held.
type farmUnderWay struct {
	*rig
	masterNow, slaveNow *process
	gate                *front
	postgres            *database            // if the farm has one of its own
	wire                func() (stop func()) // starts the farm's own NATS server, if it has one
	endWire             func()
}

// outage is what happens to a farm, and what its builds have come to after it.
// When strike returns, all is back.
type outage struct {
	name        string
	ownDatabase bool
	ownWire     bool
	strike      func(f *farmUnderWay)
	whileBuilds string // builds, if it strikes while one runs; else the first is good
}

const (
	once  = "built → built"
	again = "lost built → built"
)

func outages() []outage {
	restartMaster := func(sig syscall.Signal) func(*farmUnderWay) {
		return func(f *farmUnderWay) {
			f.masterNow.end(sig)
			f.masterNow = f.master()
		}
	}
	return []outage{
		{name: "master told to stop", strike: restartMaster(syscall.SIGTERM)},
		{name: "master killed", strike: restartMaster(syscall.SIGKILL)},
		{name: "slave told to stop", strike: func(f *farmUnderWay) {
			f.must(f.slaveNow.child.Signal(syscall.SIGTERM))
			f.gate.open() // it ends when what it does is done
			f.slaveNow.await(f.slaveNow.stderr, "no more work is taken")
			if status := f.slaveNow.awaitEnd(); status != 0 {
				f.t.Errorf("the slave: status %#x after SIGTERM", int(status))
			}
			f.slaveNow = f.slave()
		}},
		{name: "slave killed", whileBuilds: again, strike: func(f *farmUnderWay) {
			f.slaveNow.end(syscall.SIGKILL)
			f.slaveNow = f.slave()
		}},
		{name: "Postgres restarted", ownDatabase: true, strike: func(f *farmUnderWay) {
			f.postgres.stop()
			f.postgres.start()
		}},
		{name: "Postgres away", ownDatabase: true, strike: func(f *farmUnderWay) {
			f.postgres.stop()
			f.masterNow.await(f.masterNow.stderr, "round failed")
			f.gate.open() // what is reported meets nobody who could keep it
			f.masterNow.await(f.masterNow.stderr, "report not taken")
			f.slaveNow.await(f.slaveNow.stderr, "result not accepted yet")
			f.postgres.start()
		}},
		{name: "NATS restarted", ownWire: true, strike: func(f *farmUnderWay) {
			f.endWire()
			f.slaveNow.await(f.slaveNow.stderr, "NATS is lost")
			f.masterNow.await(f.masterNow.stderr, "NATS is lost")
			f.endWire = f.wire()
		}},
		{name: "power cut", ownDatabase: true, whileBuilds: again, strike: func(f *farmUnderWay) {
			f.masterNow.end(syscall.SIGKILL)
			f.slaveNow.end(syscall.SIGKILL)
			f.postgres.stop()
			f.postgres.start()
			f.masterNow = f.master()
			f.slaveNow = f.slave()
		}},
	}
}

// TestOutages restarts what a farm stands on, while a build runs and while a
// report is on its way: nothing is lost, nothing is built twice, and it goes on
// within seconds. What is held back goes on when all is back, but for a Postgres
// that is away: there the report arrives meanwhile.
func TestOutages(t *testing.T) {
	t.Parallel()
	for _, o := range outages() {
		t.Run(o.name+" while a build runs", func(t *testing.T) {
			t.Parallel()
			want := once
			if o.whileBuilds != "" {
				want = o.whileBuilds
			}
			o.run(t, "GET", "/files/", want)
		})
		t.Run(o.name+" while a report is on its way", func(t *testing.T) {
			t.Parallel()
			o.run(t, "PUT", "/upload/", once)
		})
	}
}

func (o outage) run(t *testing.T, method, below, want string) {
	f := o.farm(t, method, below)
	f.added()
	f.masterNow = f.master()
	f.slaveNow = f.slave()
	select {
	case <-f.gate.reached:
	case <-time.After(patience):
		t.Fatalf("no %s %s", method, below)
	}
	o.strike(f)
	back := time.Now()
	f.gate.open()
	f.quiet()
	f.spoolEmpty()
	took := time.Since(back)
	f.check()
	if got := f.outcomes(); got != want {
		t.Errorf("builds: %s, want %s", got, want)
	}
	if n := f.wheels(); n != 1 {
		t.Errorf("%d wheels are published, want one", n)
	}
	t.Logf("all had ended %v after the outage", took.Round(time.Millisecond))
	if took > within {
		t.Errorf("it took %v, want less than %v", took, within)
	}
	stop(f.slaveNow, f.masterNow)
}

// farm makes a farm with a gate where the method and the path say: before the
// upstream, or before the master.
func (o outage) farm(t *testing.T, method, below string) *farmUnderWay {
	t.Helper()
	f := &farmUnderWay{}
	if o.ownDatabase {
		f.postgres = newDatabase(t)
		f.rig = newRigOn(t, story, f.postgres.dsn)
	} else {
		f.rig = newRig(t, story)
	}
	if below == "/files/" {
		f.index.HTMLOnly(true) // the links of its HTML are relative: what is asked below them meets the gate
		f.gate = newFront(t, method, below, strings.TrimPrefix(f.index.Base(), "http://"))
		f.upstream = f.gate.URL + "/simple/"
	} else {
		f.http = f.ip + ":7070" // known before the master says so: it will speak of the front
		f.gate = newFront(t, method, below, f.http)
		f.public = f.gate.URL
	}
	if o.ownWire {
		f.startWire()
	}
	return f
}

// startWire gives the farm an external NATS server.
func (f *farmUnderWay) startWire() {
	f.t.Helper()
	authority, err := bus.OpenAuthority(filepath.Join(f.masterDir(), "nats"))
	f.must(err)
	f.nats = f.ip + ":4222"
	f.external = true
	f.wire = func() func() {
		s, err := natsserver.Start(natsserver.Config{Listen: f.nats, Authority: authority, Log: zerolog.Nop()})
		f.must(err)
		return s.Close
	}
	f.endWire = f.wire()
	f.t.Cleanup(func() { f.endWire() })
}

// database is a Postgres that can be away for a while, reached by one URL.
type database struct {
	t   testing.TB
	dir string
	dsn string
	pg  *embedpg.Server
}

func newDatabase(t testing.TB) *database {
	t.Helper()
	user, err := proc.PostgresUser()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := proc.SharedTempDir("pinwheel-outage-", user)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := &database{t: t, dir: filepath.Join(dir, "pg")}
	d.start()
	t.Cleanup(func() { d.stop() })
	// By the link to the socket's folder, which is another one after each start.
	u, err := url.Parse(d.pg.URL())
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("host", filepath.Join(d.dir, "socket"))
	u.RawQuery = q.Encode()
	d.dsn = u.String()
	if _, _, err := store.Migrate(t.Context(), d.dsn); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *database) start() {
	d.t.Helper()
	pg, err := embedpg.Start(d.t.Context(), embedpg.Config{
		Dir: d.dir, CacheDir: proc.DefaultCacheDir(), Fetch: pgtest.Fetch, Log: zerolog.Nop(), Settings: map[string]string{"fsync": "off"},
	})
	if err != nil {
		d.t.Fatal(err)
	}
	d.pg = pg
}

func (d *database) stop() {
	d.t.Helper()
	if err := d.pg.Close(); err != nil {
		d.t.Error(err)
	}
}
