package agent

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"pinwheel/internal/bus"
	"pinwheel/internal/bus/natsserver"
	"pinwheel/internal/farm"
)

func TestReportGetsThroughTroubles(t *testing.T) {
	t.Parallel()
	stuck := make(chan struct{})
	fail := func(status int) func(*master) { // the first two uploads
		return func(m *master) {
			var n atomic.Int64
			m.upload = func(w http.ResponseWriter, r *http.Request) {
				if n.Add(1) <= 2 {
					http.Error(w, "no", status)
					return
				}
				m.store(w, r)
			}
		}
	}
	tests := map[string]func(*master){
		"server error":  fail(http.StatusInternalServerError),
		"token expired": fail(http.StatusUnauthorized),
		"disk full":     fail(http.StatusInsufficientStorage),
		"redirect":      fail(http.StatusTemporaryRedirect),
		"connection cut": func(m *master) {
			var n atomic.Int64
			m.upload = func(w http.ResponseWriter, r *http.Request) {
				if n.Add(1) == 1 {
					panic(http.ErrAbortHandler)
				}
				m.store(w, r)
			}
		},
		"upload stands still": func(m *master) {
			var n atomic.Int64
			m.upload = func(w http.ResponseWriter, r *http.Request) {
				if n.Add(1) == 1 {
					<-stuck
					return
				}
				m.store(w, r)
			}
		},
		"refused, then accepted": func(m *master) {
			var n atomic.Int64
			m.report = func(r bus.Report) bus.ReportReply {
				if n.Add(1) <= 2 {
					return bus.ReportReply{Error: "the database is away"}
				}
				return m.takeReport(r)
			}
		},
		"neither nor": func(m *master) {
			var n atomic.Int64
			m.report = func(r bus.Report) bus.ReportReply {
				if n.Add(1) <= 2 {
					return bus.ReportReply{Reason: "later"}
				}
				return m.takeReport(r)
			}
		},
		"asks for what is not there": func(m *master) {
			var n atomic.Int64
			m.report = func(r bus.Report) bus.ReportReply {
				if n.Add(1) <= 2 {
					return bus.ReportReply{Need: []bus.Need{{SHA256: strings.Repeat("0", 64), URL: "/upload/0"}}}
				}
				return m.takeReport(r)
			}
		},
		"asks again and again": func(m *master) {
			var n atomic.Int64
			m.report = func(r bus.Report) bus.ReportReply {
				if n.Add(1) <= 2*maxRounds {
					return bus.ReportReply{Need: []bus.Need{{SHA256: r.Log.SHA256, URL: "/upload/" + r.Log.SHA256, Token: "t-" + r.Log.SHA256}}}
				}
				return m.takeReport(r)
			}
		},
	}
	for name, arrange := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMaster(t)
			if name == "upload stands still" {
				t.Cleanup(func() { close(stuck) }) // before the server's own end
			}
			arrange(m)
			m.serve(m.farm.Master)
			s := m.prepareSlave(Config{}, goodBuild)
			s.http.stall = 200 * time.Millisecond
			s.start()
			m.leases <- lease(1)
			r := receive(t, m.reports)
			s.wait(Accepted, "TOKEN1")
			if got := m.file(r.Wheels[0].SHA256); got != "wheel of 1.1" {
				t.Errorf("the master has %q as the wheel", got)
			}
			onlyNames(t, s.paths.spool)
		})
	}
}

func TestUnreportedResultsAreBounded(t *testing.T) {
	t.Parallel()
	m := newMaster(t)
	var open atomic.Bool
	full := make(chan struct{}, 1024)
	m.report = func(r bus.Report) bus.ReportReply {
		if !open.Load() {
			return bus.ReportReply{Error: "the database is away"}
		}
		return m.takeReport(r)
	}
	m.beat = func(b bus.Beat) bus.BeatReply {
		if len(b.Held) == maxUnreported && b.Doing == "reporting" {
			full <- struct{}{}
		}
		return bus.BeatReply{}
	}
	m.serve(m.farm.Master)
	s := m.prepareSlave(Config{}, goodBuild).start()
	for n := range int64(maxUnreported + 1) {
		m.leases <- lease(n + 1)
	}
	for range 6 {
		receive(t, full)
	}
	if len(m.leases) != 1 {
		t.Errorf("%d jobs left: a fourth result was begun", len(m.leases))
	}
	open.Store(true)
	for range maxUnreported + 1 {
		receive(t, m.reports)
	}
	s.Drain()
	if err := s.waitEnd(); err != nil {
		t.Errorf("Run = %v", err)
	}
}

// TestNothingIsLostOverRestarts ends one agent with results that no master
// takes, and starts another on the same folder.
func TestNothingIsLostOverRestarts(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*slave){"stopped": func(s *slave) { s.stop() }, "drained": func(s *slave) { s.Drain() }} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reportedAfterRestart(t, end)
		})
	}
}

func reportedAfterRestart(t *testing.T, end func(*slave)) {
	t.Helper()
	m := newMaster(t)
	var open atomic.Bool
	held := make(chan []string, 64)
	m.report = func(r bus.Report) bus.ReportReply {
		if !open.Load() {
			return bus.ReportReply{Error: "the database is away"}
		}
		return m.takeReport(r)
	}
	m.hello = func(h bus.Hello) bus.Welcome {
		held <- h.Held
		w := m.welcome()
		w.Drop = h.Held // their leases have expired: good work is reported all the same
		return w
	}
	m.serve(m.farm.Master)
	first := m.prepareSlave(Config{}, goodBuild)
	first.pace.last = 100 * time.Millisecond
	first.start()
	receive(t, held)
	m.leases <- lease(1)
	first.wait(Spooled, "TOKEN1")
	end(first)
	if err := first.waitEnd(); err != nil {
		t.Errorf("Run = %v", err)
	}
	first.cfg.Conn.Close()
	if err := os.MkdirAll(filepath.Join(first.paths.build, "rest", "of"), 0o700); err != nil {
		t.Fatal(err)
	}

	second := m.prepareSlave(Config{StateDir: first.cfg.StateDir}, goodBuild).start()
	if diff := cmp.Diff([]string{"TOKEN1"}, receive(t, held)); diff != "" {
		t.Errorf("hello holds: %s", diff)
	}
	open.Store(true)
	if r := receive(t, m.reports); r.Token != "TOKEN1" || r.Outcome != farm.OutcomeBuilt {
		t.Errorf("report = %+v", r)
	}
	second.wait(Accepted, "TOKEN1")
	onlyNames(t, second.paths.build)
}

// TestEndWaitsForWhatMoves: an upload that is under way when patience is over is not cut off.
func TestEndWaitsForWhatMoves(t *testing.T) {
	t.Parallel()
	m := newMaster(t)
	begun, goOn := make(chan struct{}, 16), make(chan struct{})
	m.upload = func(w http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		<-goOn
		m.store(w, r)
	}
	m.serve(m.farm.Master)
	s := m.prepareSlave(Config{}, goodBuild)
	s.pace.last = time.Nanosecond
	s.start()
	m.leases <- lease(1)
	receive(t, begun)
	s.Drain()
	if _, err := s.board.await(t.Context(), func(f facts) bool { return f.late }); err != nil {
		t.Fatal(err)
	}
	close(goOn)
	if err := s.waitEnd(); err != nil {
		t.Errorf("Run = %v", err)
	}
	s.wait(Accepted, "TOKEN1")
}

// TestOutageOfTheWire ends the NATS server while a build runs, and starts it
// again on the same address.
func TestOutageOfTheWire(t *testing.T) {
	t.Parallel()
	m, begun, goOn := newMaster(t), make(chan string, 1), make(chan struct{})
	var hellos atomic.Int64
	m.hello = func(bus.Hello) bus.Welcome { hellos.Add(1); return m.welcome() }
	m.serve(m.farm.Master)
	s := m.prepareSlave(Config{}, heldBuild(begun, goOn)).start()
	m.leases <- lease(1)
	receive(t, begun)
	address := strings.TrimPrefix(m.farm.Server.URL(), "nats://")
	m.farm.Server.Close()
	close(goOn)
	s.wait(Spooled, "TOKEN1") // with nobody to tell
	server, err := natsserver.Start(natsserver.Config{Listen: address, Authority: m.farm.Authority, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	s.wait(Accepted, "TOKEN1")
	m.leases <- lease(2)
	receive(t, begun)
	if n := hellos.Load(); n < 2 {
		t.Errorf("%d hellos, want another after the outage", n)
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	tests := []struct{ base, ref, want string }{
		{"http://farm:8080", "/upload/1", "http://farm:8080/upload/1"},
		{"http://farm.example/base/", "upload/1", "http://farm.example/base/upload/1"},
		{"http://farm", "https://store/x?sig=1", "https://store/x?sig=1"},
		{"", "http://store/x", "http://store/x"},
		{"", "/upload/1", ""},
		{"http://farm", "file:///etc/passwd", ""},
		{"http://farm", "http://[::1", ""},
		{"http://%zz", "/x", ""},
	}
	for _, test := range tests {
		got, err := resolve(test.base, test.ref)
		if got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("resolve(%q, %q) = %q, %v; want %q", test.base, test.ref, got, err, test.want)
		}
	}
}

func TestUploadOfNothing(t *testing.T) {
	t.Parallel()
	m := newMaster(t)
	lengths := make(chan int64, 1)
	m.upload = func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		lengths <- r.ContentLength
	}
	path := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	u := newUploader(within, nil)
	defer u.close()
	if err := u.put(t.Context(), m.web.URL, bus.Need{URL: "/x", Token: "t"}, path, 0); err != nil {
		t.Fatal(err)
	}
	if n := <-lengths; n != 0 {
		t.Errorf("Content-Length %d, want 0", n)
	}
}
