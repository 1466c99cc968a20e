package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strconv"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"pinwheel/internal/bus"
	"pinwheel/internal/cli"
	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// newOpsFarm is a running master without an upstream: what it builds, tests make.
func newOpsFarm(t *testing.T) *testFarm {
	t.Helper()
	return newTestFarm(t, "http://127.0.0.1:1/simple/", farm.Limits{})
}

// command runs a command beside the daemon, as another process would.
func (f *testFarm) command(args ...string) (code int, stdout, stderr string) {
	f.t.Helper()
	var out, err bytes.Buffer
	root := newRoot()
	root.SetOut(&out)
	root.SetErr(&err)
	args = append(args, "--state-dir", f.Settings.StateDir, "--database-url", f.Settings.DatabaseURL)
	code = cli.Main(f.t.Context(), root, args)
	return code, out.String(), err.String()
}

// done runs a command that must succeed, and returns what it printed.
func (f *testFarm) done(args ...string) string {
	f.t.Helper()
	code, out, err := f.command(args...)
	if code != cli.ExitDone {
		f.t.Fatalf("master %q: exit status %d, %s", args, code, err)
	}
	return out
}

// answer runs a command that must succeed and reads its JSON.
func answer[T any](f *testFarm, args ...string) (v T) {
	f.t.Helper()
	out := f.done(append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		f.t.Fatalf("master %q: %v in %s", args, err, out)
	}
	return v
}

// restart ends the master and starts one on the same state.
func (f *testFarm) restart() {
	f.t.Helper()
	set := f.Settings
	f.end()
	f.start(set)
}

// byHand works on the master's database and depot.
func (f *testFarm) byHand() byHand {
	return byHand{TB: f.t, store: f.Store, depot: f.Depot, target: f.py.Target()}
}

// queue makes a job without an upstream.
func (f *testFarm) queue(name string, versions ...string) {
	f.t.Helper()
	f.byHand().queue(name, versions...)
}

// built queues a release and takes it through a build by hand, up to its row.
func (f *testFarm) built(name, version, log string) store.BuildRow {
	f.t.Helper()
	return f.byHand().built(name, version, log)
}

// num writes a number as people do on a command line.
func num(n int64) string { return strconv.FormatInt(n, 10) }

func (f *testFarm) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// wireSlave is a slave that does only what a test says, by real messages.
type wireSlave struct {
	*bus.SlaveEnd
	conn   *bus.Conn
	creds  []byte
	orders chan bus.Control
	f      *testFarm
}

func (f *testFarm) wireSlave(name string) *wireSlave {
	f.t.Helper()
	creds, err := enroll(f.t.Context(), f.home, name, farm.RoleSlave)
	f.must(err)
	return f.connect(name, creds)
}

func (f *testFarm) connect(name string, creds []byte) *wireSlave {
	f.t.Helper()
	conn, err := f.dial(creds)
	f.must(err)
	f.t.Cleanup(conn.Close)
	s := &wireSlave{SlaveEnd: conn.Slave(name), conn: conn, creds: creds, orders: make(chan bus.Control, 10), f: f}
	_, err = s.OnControl(func(c bus.Control) { s.orders <- c })
	f.must(err)
	w, err := s.Hello(f.t.Context(), bus.Hello{Version: "test", Targets: []bus.ServedTarget{{Target: f.py.Target(), Facts: f.py.Facts()}}})
	f.must(err)
	if w.Error != "" {
		f.t.Fatal(w.Error)
	}
	return s
}

func (f *testFarm) dial(creds []byte) (*bus.Conn, error) {
	return bus.Connect(f.t.Context(), bus.Options{URL: f.NATSURL, Creds: creds, Label: "test", Log: zerolog.Nop()})
}

// lease asks for work, which must be there.
func (s *wireSlave) lease(request string) farm.Lease {
	s.f.t.Helper()
	r, err := s.Next(s.f.t.Context(), bus.Next{Request: request, Targets: []farm.Target{s.f.py.Target()}})
	s.f.must(err)
	if r.Lease == nil {
		s.f.t.Fatalf("no lease: %s", r.Error)
	}
	return *r.Lease
}

func (s *wireSlave) order() bus.Control {
	s.f.t.Helper()
	select {
	case c := <-s.orders:
		return c
	case <-time.After(30 * time.Second):
		s.f.t.Fatal("no order came")
	}
	return bus.Control{}
}

// closes waits for the end of the connection, since its requests end with it, and says
// how long that took.
func (s *wireSlave) closes() time.Duration {
	s.f.t.Helper()
	ctx, cancel := context.WithTimeout(s.f.t.Context(), time.Minute)
	defer cancel()
	began := time.Now()
	for s.conn.Connected() {
		if _, err := s.Beat(ctx, bus.Beat{}); ctx.Err() != nil {
			s.f.t.Fatalf("the connection stays open: a beat gets %v", err)
		}
	}
	return time.Since(began)
}
