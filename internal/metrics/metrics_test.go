package metrics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/rs/zerolog"

	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
	"pinwheel/internal/leaktest"
	"pinwheel/internal/store"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// world is a database that says what a test wants.
type world struct {
	mu           sync.Mutex
	wrong        error // of every question
	asked, count int
	slaves       []store.SlaveRow
	depths       []store.Depth
	now          time.Time // as long as the test takes
}

func (w *world) ask() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked++
	return w.wrong
}

func (w *world) QueueDepths(context.Context) ([]store.Depth, error) {
	w.count++
	return w.depths, w.wrong
}

func (w *world) UnderWay(context.Context) (store.Waiting, error) {
	return store.Waiting{Leases: map[string]int64{"cp311-linux_armv7l": 2}, StalePages: 3, OldestStale: time.Minute}, w.ask()
}

func (w *world) Following(context.Context) (store.Following, error) {
	now := time.Now()
	return store.Following{Asked: &now}, w.wrong
}

func (w *world) ReadingLeft(context.Context) ([]store.ReadingCount, error) {
	return []store.ReadingCount{{Urgency: farm.UrgencyEvent, Count: 4, Oldest: time.Minute}}, w.wrong
}
func (w *world) Slaves(context.Context) ([]store.SlaveRow, error) { return w.slaves, w.wrong }
func (w *world) Ping(context.Context) error                       { return w.ask() }
func (w *world) Schema(context.Context) error                     { return w.wrong }

func newWorld() *world {
	now := time.Now()
	long := now.Add(-time.Hour)
	slave := func(name string, seen *time.Time, change func(*store.SlaveRow)) store.SlaveRow {
		s := store.SlaveRow{Name: name, Role: farm.RoleSlave, LastSeen: seen, Now: now, Pulse: farm.Pulse{Load: 1, Temperature: 50, MemoryFree: 1, DiskFree: 1}}
		change(&s)
		return s
	}
	return &world{
		now:    now,
		depths: []store.Depth{{Target: "cp311-linux_armv7l", Priority: farm.PriorityNew, Jobs: 5, Oldest: long}},
		slaves: []store.SlaveRow{
			slave("pi-1", &now, func(s *store.SlaveRow) { s.Doing = "building numpy 1.26.4" }),
			slave("pi-2", &now, func(s *store.SlaveRow) { s.Paused, s.Pulse.Temperature = true, 0 }),
			slave("pi-3", &now, func(s *store.SlaveRow) { s.Pulse.Unfit = "hot: 84.3 °C, over 80" }),
			slave("pi-4", &long, func(*store.SlaveRow) {}),
			slave("pi-5", &now, func(s *store.SlaveRow) { s.Doing = "waiting for work" }),
			slave("never", nil, func(*store.SlaveRow) {}),
			slave("gone", &now, func(s *store.SlaveRow) { s.Revoked = true }),
			slave("screen", &now, func(s *store.SlaveRow) { s.Role = farm.RoleMonitor }),
		},
	}
}

func (w *world) farm() Farm {
	return Farm{Store: w, Wire: func() bool { return w.wrong == nil }, Log: zerolog.Nop(), Now: func() time.Time { return w.now }}
}

// started is a Metrics whose queue was counted once.
func started(t *testing.T, w *world) *Metrics {
	t.Helper()
	m := New("1.0")
	m.Watch(w.farm())
	depths, err := w.QueueDepths(t.Context())
	if err == nil {
		m.queue.keep(depths, w.now, w.now)
	}
	return m
}

// page is the page of figures.
func page(t *testing.T, m *Metrics, w *world) string {
	t.Helper()
	code, text := get(t, m.Handler(w.farm(), false), "/metrics")
	if code != http.StatusOK {
		t.Fatalf("%d: %s", code, text)
	}
	return text
}

func get(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return rec.Code, rec.Body.String()
}

// busy has every counter moved.
func busy(m *Metrics) {
	m.SQL("select", time.Millisecond, true)
	m.Hello(func(context.Context, string, bus.Hello) bus.Welcome { return bus.Welcome{} })(context.Background(), "pi-1", bus.Hello{})
	m.Beat(func(context.Context, string, bus.Beat) bus.BeatReply { return bus.BeatReply{Error: "x"} })(context.Background(), "pi-1", bus.Beat{})
	m.Report(func(context.Context, string, bus.Report) bus.ReportReply { return bus.ReportReply{} })(context.Background(), "pi-1", bus.Report{})
	for _, r := range []bus.NextReply{{}, {Error: "x"}, {Lease: &farm.Lease{}}} {
		m.Next(func(context.Context, string, bus.Next) bus.NextReply { return r })(context.Background(), "pi-1", bus.Next{})
	}
	m.HTTP(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/x", nil))
}

// TestNamesFollowTheRules: Prometheus's own, for names, units and help.
func TestNamesFollowTheRules(t *testing.T) {
	t.Parallel()
	w := newWorld()
	m := started(t, w)
	busy(m)
	problems, err := promlint.New(strings.NewReader(page(t, m, w))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, namespace+"_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

func TestFigures(t *testing.T) {
	t.Parallel()
	w := newWorld()
	m := started(t, w)
	busy(m)
	for _, e := range []bus.Event{
		{Kind: "built", Detail: "demo-1.0-py3-none-any.whl"}, {Kind: "failed", Detail: "missing-header ffi.h"},
		{Kind: "queued", Detail: "network "}, {Kind: "failed", Detail: "what a slave made up"},
	} {
		m.Ended(e)
	}
	text := page(t, m, w)
	for _, want := range []string{
		`pinwheel_build_info{version="1.0"} 1`, "pinwheel_database_up 1", "pinwheel_nats_up 1",
		`pinwheel_queue_jobs{priority="new",target="cp311-linux_armv7l"} 5`, `pinwheel_queue_jobs{priority="backlog",target="cp311-linux_armv7l"} 0`,
		`pinwheel_queue_oldest_age_seconds{priority="new",target="cp311-linux_armv7l"} 3600`,
		`pinwheel_leases{target="cp311-linux_armv7l"} 2`, "pinwheel_publish_stale_pages 3", "pinwheel_publish_lag_seconds 60",
		`pinwheel_ingest_unread_projects{urgency="event"} 4`, `pinwheel_ingest_lag_seconds{urgency="event"} 60`, `pinwheel_ingest_lag_seconds{urgency="walk"} 0`,
		`pinwheel_slaves{state="building"} 1`, `pinwheel_slaves{state="idle"} 1`, `pinwheel_slaves{state="paused"} 1`, `pinwheel_slaves{state="unfit"} 1`,
		`pinwheel_slaves{state="silent"} 2`, `pinwheel_slave_temperature_celsius{slave="pi-1"} 50`, `pinwheel_slave_paused{slave="pi-2"} 1`,
		`pinwheel_claims_total{result="leased"} 1`, `pinwheel_claims_total{result="nothing"} 1`, `pinwheel_claims_total{result="refused"} 1`,
		`pinwheel_reports_total{cause="",outcome="built"} 1`, `pinwheel_reports_total{cause="missing-header",outcome="failed"} 1`,
		`pinwheel_reports_total{cause="network",outcome="again"} 1`, `pinwheel_reports_total{cause="unknown",outcome="failed"} 1`,
		`pinwheel_slave_request_duration_seconds_count{request="beat",result="refused"} 1`, `pinwheel_sql_errors_total{statement="select"} 1`,
		`pinwheel_http_request_duration_seconds_count{code="4xx",handler="none"} 1`,
	} {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("not on the page: %s", want)
		}
	}
	for _, no := range []string{`"gone"`, `"screen"`, `slave="never"`, `temperature_celsius{slave="pi-2"}`, "what a slave"} {
		if strings.Contains(text, no) {
			t.Errorf("on the page: %s", no)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

// TestLabelsAreBounded: nobody outside makes a series by what he sends.
func TestLabelsAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld()
	m := started(t, w)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /simple/{project}/{$}", func(http.ResponseWriter, *http.Request) {})
	h := m.HTTP(mux)
	round := func(i int) {
		busy(m)
		for _, path := range []string{"/simple/p%d/", "/nothing/%d", "/simple/p/f%d"} {
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, fmt.Sprintf(path, i), nil))
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("BREW", fmt.Sprintf(path, i), nil))
		}
		m.Ended(bus.Event{Kind: fmt.Sprint("kind", i), Detail: fmt.Sprint("cause", i)})
		m.Ended(bus.Event{Kind: fmt.Sprint("kind", i), Detail: "network"})
	}
	round(0)
	before, err := testutil.GatherAndCount(m.registry)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 500 {
		round(i)
	}
	after, err := testutil.GatherAndCount(m.registry)
	if err != nil || after != before {
		t.Errorf("%d series after one round, %d after 500 (%v)", before, after, err)
	}
	for i := range 2 * mostSlaves {
		now := time.Now()
		w.slaves = append(w.slaves, store.SlaveRow{Name: fmt.Sprint("s", i), Role: farm.RoleSlave, LastSeen: &now, Now: now})
	}
	if n := strings.Count(page(t, started(t, w), w), "\npinwheel_slave_load1{"); n != mostSlaves {
		t.Errorf("%d slaves are told, want %d", n, mostSlaves)
	}
}

// TestPageWithoutDatabase: what is not known is not told, and the rest is.
func TestPageWithoutDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld()
	m := started(t, w)
	w.wrong = errors.New("gone")
	text := page(t, m, w)
	for want, there := range map[string]bool{
		"\npinwheel_database_up 0": true, "\npinwheel_nats_up 0": true, "\npinwheel_queue_jobs{": true, "\npinwheel_slaves{": false, "\npinwheel_leases{": false,
	} {
		if strings.Contains(text, want) != there {
			t.Errorf("%q on the page: want %v", want, there)
		}
	}
}

// TestScrapesAreCheap: many who ask cost one round of questions, and none counts the
// queue.
func TestScrapesAreCheap(t *testing.T) {
	t.Parallel()
	w := newWorld()
	m := started(t, w)
	counted := w.count
	for range 20 {
		page(t, m, w)
	}
	if w.asked != 1 || w.count != counted {
		t.Errorf("20 pages asked %d times and counted %d times", w.asked, w.count-counted)
	}
}

// TestCountsAreRare: the longer counting takes, the rarer it is done.
func TestCountsAreRare(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for took, pause := range map[time.Duration]time.Duration{time.Millisecond: countEvery, 6 * time.Second: 10 * time.Minute} {
		var q queue
		if !q.due(now) {
			t.Error("what was never counted is not due")
		}
		q.keep(nil, now.Add(-took), now)
		if q.due(now.Add(pause-time.Second)) || !q.due(now.Add(pause)) {
			t.Errorf("took %v: due after something else than %v", took, pause)
		}
	}
}

func TestReady(t *testing.T) {
	t.Parallel()
	w := newWorld()
	m := New("1.0")
	for _, c := range []struct {
		wrong error
		code  int
		words string
	}{{nil, 200, "ready\n"}, {errors.New("the database\nis gone"), 503, "not ready: the database is gone NATS cannot be reached\n"}} {
		w.wrong = c.wrong
		h := m.Handler(w.farm(), false)
		if code, text := get(t, h, "/readyz"); code != c.code || text != c.words {
			t.Errorf("%d %q, want %d %q", code, text, c.code, c.words)
		}
		if code, text := get(t, h, "/healthz"); code != 200 || text != "ok\n" {
			t.Errorf("it lives: %d %q", code, text)
		}
	}
}

// TestInsideIsForLoopback: pprof tells secrets.
func TestInsideIsForLoopback(t *testing.T) {
	t.Parallel()
	w := newWorld()
	m := New("1.0")
	for local, want := range map[bool]int{true: 200, false: 404} {
		for _, path := range []string{"/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/heap"} {
			if code, _ := get(t, m.Handler(w.farm(), local), path); code != want {
				t.Errorf("%s, on loopback %v: %d, want %d", path, local, code, want)
			}
		}
	}
}

func TestListener(t *testing.T) {
	t.Parallel()
	w := newWorld()
	m := started(t, w)
	l, err := m.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Serve(ctx, l, w.farm()) }()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + l.Addr().String() + "/debug/pprof/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("pprof on loopback: %s", resp.Status)
	}
	if _, err := m.Listen(t.Context(), l.Addr().String()); err == nil || !strings.Contains(err.Error(), "--metrics-listen") {
		t.Errorf("an address that is taken: %v", err)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("it ends with %v", err)
	}
}

// TestWithout: nobody asks for figures, and nothing is measured.
func TestWithout(t *testing.T) {
	t.Parallel()
	var m *Metrics
	busyless := m.Next(func(context.Context, string, bus.Next) bus.NextReply { return bus.NextReply{Error: "mine"} })
	if r := busyless(t.Context(), "pi-1", bus.Next{}); r.Error != "mine" || m.Tracer() != nil {
		t.Error("it measures")
	}
	m.Ended(bus.Event{})
	m.Watch(Farm{})
	code, _ := get(t, m.HTTP(http.NotFoundHandler()), "/")
	if code != http.StatusNotFound {
		t.Errorf("%d", code)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.Count(ctx, nil, zerolog.Nop()); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
