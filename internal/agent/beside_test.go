package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pinwheel/internal/bus"
)

// TestResultsGoHomeBesideEachOther has an upload wait until a later result is accepted.
func TestResultsGoHomeBesideEachOther(t *testing.T) {
	t.Parallel()
	m := newMaster(t)
	begun, goOn := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(goOn) })
	t.Cleanup(release) // before the server's own end
	var n atomic.Int64
	m.upload = func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) == 1 {
			close(begun)
			<-goOn
		}
		m.store(w, r)
	}
	m.serve(m.farm.Master)
	s := m.prepareSlave(Config{}, goodBuild).start()
	m.leases <- lease(1)
	<-begun
	for n := range int64(maxUnreported) {
		m.leases <- lease(n + 2)
		s.wait(Accepted, fmt.Sprintf("TOKEN%d", n+2))
	}
	release()
	s.wait(Accepted, "TOKEN1")
}

// TestTroubleBesideASlowUpload: what is refused at first is reported again while the upload
// of another goes on, and the end waits for the one that moves.
func TestTroubleBesideASlowUpload(t *testing.T) {
	t.Parallel()
	m := newMaster(t)
	begun, goOn := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(goOn) })
	t.Cleanup(release) // before the server's own end
	var uploads, refused atomic.Int64
	m.report = func(r bus.Report) bus.ReportReply {
		if r.Job == 2 && refused.Add(1) <= 3 || r.Job == 3 {
			return bus.ReportReply{Error: "the database is away"}
		}
		return m.takeReport(r)
	}
	m.upload = func(w http.ResponseWriter, r *http.Request) {
		if uploads.Add(1) == 1 {
			close(begun)
			<-goOn
		}
		m.store(w, r)
	}
	m.serve(m.farm.Master)
	s := m.prepareSlave(Config{}, goodBuild)
	s.pace.last = time.Nanosecond
	s.start()
	m.leases <- lease(1)
	<-begun
	m.leases <- lease(2)
	s.wait(Accepted, "TOKEN2")
	m.leases <- lease(3)
	s.wait(Spooled, "TOKEN3")
	s.Drain()
	if _, err := s.board.await(t.Context(), func(f facts) bool { return len(f.hopeless) > 0 }); err != nil {
		t.Fatal(err)
	}
	release()
	s.wait(Accepted, "TOKEN1")
	if err := s.waitEnd(); err != nil {
		t.Errorf("Run = %v", err)
	}
	onlyNames(t, s.paths.spool, "TOKEN3")
}

// TestHopeComesBack: a result that was not taken when patience was over, and moves now, is
// waited for like any that moves.
func TestHopeComesBack(t *testing.T) {
	t.Parallel()
	m := newMaster(t)
	begun, goOn, open := make(chan string, 16), map[string]chan struct{}{"1": make(chan struct{}), "2": make(chan struct{})}, atomic.Bool{}
	end := sync.OnceFunc(func() { close(goOn["2"]) })
	t.Cleanup(end) // before the server's own end
	m.report = func(r bus.Report) bus.ReportReply {
		if r.Job == 2 && !open.Load() {
			return bus.ReportReply{Error: "the database is away"}
		}
		return m.takeReport(r)
	}
	m.upload = func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.Sum256([]byte("wheel of 1.2"))
		job := map[bool]string{true: "2", false: "1"}[filepath.Base(r.URL.Path) == hex.EncodeToString(sum[:])]
		if job == "2" || !open.Load() {
			begun <- job
			<-goOn[job]
		}
		m.store(w, r)
	}
	m.serve(m.farm.Master)
	s := m.prepareSlave(Config{}, goodBuild)
	s.pace.last = time.Nanosecond
	s.start()
	m.leases <- lease(1)
	receive(t, begun)
	m.leases <- lease(2)
	s.wait(Spooled, "TOKEN2")
	s.Drain()
	if _, err := s.board.await(t.Context(), func(f facts) bool { return len(f.hopeless) > 0 }); err != nil {
		t.Fatal(err)
	}
	open.Store(true)
	receive(t, begun)
	close(goOn["1"])
	s.wait(Accepted, "TOKEN1")
	if f := s.board.facts(); reportingIsOver(f) {
		t.Errorf("reporting is over, with %q on its way", f.finished)
	}
	end()
	s.wait(Accepted, "TOKEN2")
	if err := s.waitEnd(); err != nil {
		t.Errorf("Run = %v", err)
	}
}
