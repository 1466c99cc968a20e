package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"pinwheel/internal/builder"
	"pinwheel/internal/buildlog"
	"pinwheel/internal/bus"
	"pinwheel/internal/bustest"
	"pinwheel/internal/farm"
	"pinwheel/internal/leaktest"
	"pinwheel/internal/pip"
)

func TestMain(m *testing.M) {
	builder.Inside()
	leaktest.Main(m)
}

// within is how long a test waits for what must happen; only a failure takes it.
const within = 3 * time.Minute

// master plays the master of one test over a real wire. Its answers are
// functions that a test may replace before the agent starts.
type master struct {
	t    *testing.T
	farm *bustest.Farm
	web  *httptest.Server

	hello  func(bus.Hello) bus.Welcome
	next   func(bus.Next) bus.NextReply
	beat   func(bus.Beat) bus.BeatReply
	report func(bus.Report) bus.ReportReply
	upload http.HandlerFunc

	leases  chan farm.Lease // what next gives out
	reports chan bus.Report // accepted ones, each once

	giving   sync.Mutex // by one question at a time: none misses what another has just taken
	mu       sync.Mutex
	stored   map[string][]byte // uploads by SHA-256
	accepted map[string]bool
	given    map[string]farm.Lease // by request
}

func newMaster(t *testing.T) *master {
	t.Helper()
	m := &master{
		t: t, farm: bustest.Start(t),
		leases: make(chan farm.Lease, 16), reports: make(chan bus.Report, 16),
		stored: map[string][]byte{}, accepted: map[string]bool{}, given: map[string]farm.Lease{},
	}
	m.web = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { m.upload(w, r) }))
	t.Cleanup(m.web.Close)
	m.hello = func(bus.Hello) bus.Welcome { return m.welcome() }
	m.next = m.giveLease
	m.beat = func(bus.Beat) bus.BeatReply { return bus.BeatReply{} }
	m.report = m.takeReport
	m.upload = m.store
	return m
}

func (m *master) welcome() bus.Welcome {
	return bus.Welcome{
		HTTP: m.web.URL, Index: m.web.URL + "/simple/", Upstream: m.web.URL + "/upstream/simple/",
		Beat: 20 * time.Millisecond, Lease: time.Minute,
	}
}

// serve answers on conn from now on.
func (m *master) serve(conn *bus.Conn) {
	m.t.Helper()
	stops := make([]func(), 4)
	var errs [4]error
	stops[0], errs[0] = conn.HandleHello(func(_ context.Context, _ string, q bus.Hello) bus.Welcome { return m.hello(q) })
	stops[1], errs[1] = conn.HandleNext(func(_ context.Context, _ string, q bus.Next) bus.NextReply { return m.next(q) })
	stops[2], errs[2] = conn.HandleBeat(func(_ context.Context, _ string, q bus.Beat) bus.BeatReply { return m.beat(q) })
	stops[3], errs[3] = conn.HandleReport(func(_ context.Context, _ string, q bus.Report) bus.ReportReply { return m.report(q) })
	for i, err := range errs {
		if err != nil {
			m.t.Fatal(err)
		}
		m.t.Cleanup(stops[i])
	}
}

// giveLease waits a little for work, as a master does; a repeated request gets
// the same lease, also one that was given to a question which nobody waits for
// any more.
func (m *master) giveLease(q bus.Next) bus.NextReply {
	m.giving.Lock()
	defer m.giving.Unlock()
	if l, ok := m.givenFor(q.Request); ok {
		return bus.NextReply{Lease: &l}
	}
	select {
	case l := <-m.leases:
		m.mu.Lock()
		m.given[q.Request] = l
		m.mu.Unlock()
	case <-time.After(50 * time.Millisecond):
	}
	if l, ok := m.givenFor(q.Request); ok {
		return bus.NextReply{Lease: &l}
	}
	return bus.NextReply{}
}

func (m *master) givenFor(request string) (farm.Lease, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l, ok := m.given[request]
	return l, ok
}

// takeReport asks for the files that are not here yet, and accepts the rest.
func (m *master) takeReport(r bus.Report) bus.ReportReply {
	m.mu.Lock()
	defer m.mu.Unlock()
	var reply bus.ReportReply
	for _, f := range append(r.Wheels, r.Log) {
		if _, ok := m.stored[f.SHA256]; !ok && f.SHA256 != "" {
			reply.Need = append(reply.Need, bus.Need{SHA256: f.SHA256, URL: "/upload/" + f.SHA256, Token: "t-" + f.SHA256})
		}
	}
	if reply.Accepted = len(reply.Need) == 0; reply.Accepted && !m.accepted[r.Token] {
		m.accepted[r.Token] = true
		m.reports <- r
	}
	return reply
}

func (m *master) store(w http.ResponseWriter, r *http.Request) {
	want := filepath.Base(r.URL.Path)
	if r.Method != http.MethodPut || r.Header.Get("Authorization") != "Bearer t-"+want {
		http.Error(w, "not allowed", http.StatusUnauthorized)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || int64(len(body)) != r.ContentLength {
		http.Error(w, "not whole", http.StatusBadRequest)
		return
	}
	sum := sha256.Sum256(body)
	if hex.EncodeToString(sum[:]) != want {
		http.Error(w, "another file", http.StatusUnprocessableEntity)
		return
	}
	m.mu.Lock()
	m.stored[want] = body
	m.mu.Unlock()
	w.WriteHeader(http.StatusCreated)
}

func (m *master) file(sum string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return string(m.stored[sum])
}

// log is the text of an uploaded log.
func (m *master) log(sum string) string {
	m.t.Helper()
	b, err := io.ReadAll(buildlog.Text(m.t.Context(), strings.NewReader(m.file(sum))))
	if err != nil {
		m.t.Error(err)
	}
	return string(b)
}

// heard is one call of Config.Observe.
type heard struct {
	step  Step
	token string
}

// slave is an agent that runs in a test.
type slave struct {
	*Agent
	t     *testing.T
	steps chan heard
	stop  context.CancelFunc // kill the build, end
	ended chan error
}

// testPython is enough for an agent whose builds are played.
func testPython() pip.Python {
	return pip.Python{Path: "/bin/sh", Version: "3.11.2", Pip: "23.0.1", ABI: "cp311", Platform: "linux_x86_64", Glibc: "2.36", OS: "Debian"}
}

// prepareSlave makes an agent that is less patient than in production; build
// nil means the builder itself.
func (m *master) prepareSlave(cfg Config, build func(context.Context, builder.Build) (builder.Result, error)) *slave {
	m.t.Helper()
	s := &slave{t: m.t, steps: make(chan heard, 256), ended: make(chan error, 1)}
	if cfg.Conn == nil {
		cfg.Conn = m.farm.Slave(m.t, "pi-1")
	}
	if cfg.StateDir == "" {
		cfg.StateDir = m.t.TempDir()
	}
	if cfg.Targets == nil {
		cfg.Targets = []Target{{Python: testPython()}}
	}
	if cfg.Mode == "" {
		cfg.Mode = builder.None
	}
	cfg.Version, cfg.Log = "1.0", zerolog.New(zerolog.NewTestWriter(m.t))
	cfg.Observe = func(step Step, token string) { s.steps <- heard{step, token} }
	a, err := New(m.t.Context(), cfg)
	if err != nil {
		m.t.Fatal(err)
	}
	a.pace = pace{retry: 5 * time.Millisecond, retryMax: 50 * time.Millisecond, fault: time.Millisecond, faultMax: time.Millisecond, stall: within, last: within}
	if build != nil {
		a.build = build
	}
	s.Agent = a
	return s
}

func (s *slave) start() *slave {
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	go func() { s.ended <- s.Run(ctx) }()
	s.t.Cleanup(func() {
		stop()
		<-s.ended
	})
	return s
}

// wait returns when a step is heard; those before it are forgotten.
func (s *slave) wait(step Step, token string) {
	s.t.Helper()
	for timeout := time.After(within); ; {
		select {
		case h := <-s.steps:
			if h == (heard{step, token}) {
				return
			}
		case <-timeout:
			s.t.Fatalf("%s of %q did not happen", step, token)
		}
	}
}

// waitEnd returns what Run returned.
func (s *slave) waitEnd() error {
	s.t.Helper()
	err := receive(s.t, s.ended)
	s.ended <- err // for the cleanup
	return err
}

func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(within):
		t.Fatal("nothing came")
		panic("not reached")
	}
}

func lease(n int64) farm.Lease {
	return farm.Lease{
		Token: fmt.Sprintf("TOKEN%d", n), Job: n, Build: n, Package: "demo", Version: fmt.Sprintf("1.%d", n),
		Target: testPython().Target(), Length: time.Minute,
	}
}

// goodBuild plays a builder that makes a wheel and a log.
func goodBuild(_ context.Context, b builder.Build) (builder.Result, error) {
	out := filepath.Join(b.Dir, "out")
	if err := os.MkdirAll(out, 0o700); err != nil {
		return builder.Result{}, err
	}
	wheel := filepath.Join(out, "demo-"+b.Version+"-py3-none-any.whl")
	if err := os.WriteFile(wheel, []byte("wheel of "+b.Version), 0o644); err != nil {
		return builder.Result{}, err
	}
	if err := os.WriteFile(b.LogPath, []byte("log of "+b.Version), 0o644); err != nil {
		return builder.Result{}, err
	}
	fmt.Fprintf(b.Live, "log of %s", b.Version)
	return builder.Result{Outcome: farm.OutcomeBuilt, Wheels: []string{wheel}, Record: farm.Record{Seconds: 1}}, nil
}

// heldBuild plays a build that begins, says so, and then waits for the test, or
// to be ended.
func heldBuild(begun chan<- string, goOn <-chan struct{}) func(context.Context, builder.Build) (builder.Result, error) {
	return func(ctx context.Context, b builder.Build) (builder.Result, error) {
		begun <- b.Version
		select {
		case <-goOn:
			return goodBuild(ctx, b)
		case <-ctx.Done():
			return builder.Result{}, ctx.Err()
		}
	}
}

// onlyNames fails unless nothing but names lies in dir, soon: a build's folder goes
// beside the report of its result, and may be there for a moment after that.
func onlyNames(t *testing.T, dir string, names ...string) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(within)
	for {
		got := namesIn(t, dir)
		if slices.Equal(got, names) {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			t.Errorf("%s holds %q, want %q", dir, got, names)
			return
		}
	}
}

func namesIn(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
