package agent

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/builder"
	"pinwheel/internal/bus"
)

func TestAbort(t *testing.T) {
	t.Parallel()
	tests := map[string]func(m *master, abort <-chan struct{}){
		"by beat": func(m *master, abort <-chan struct{}) {
			m.beat = func(bus.Beat) bus.BeatReply {
				select {
				case <-abort:
					return bus.BeatReply{Abort: []string{"TOKEN1"}}
				default:
					return bus.BeatReply{Abort: []string{"OTHER"}}
				}
			}
		},
		"by order": func(m *master, abort <-chan struct{}) {
			go func() {
				<-abort
				if err := m.farm.Master.SendControl("pi-1", bus.Control{Do: bus.DoAbort, Token: "TOKEN1"}); err != nil {
					m.t.Error(err)
				}
			}()
		},
		"by hello": func(m *master, abort <-chan struct{}) {
			m.beat = func(bus.Beat) bus.BeatReply {
				select {
				case <-abort:
					return bus.BeatReply{Error: "who are you?"}
				default:
					return bus.BeatReply{}
				}
			}
			m.hello = func(h bus.Hello) bus.Welcome {
				w := m.welcome()
				w.Drop = h.Held
				return w
			}
		},
	}
	for name, arrange := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, abort, begun := newMaster(t), make(chan struct{}), make(chan string, 8)
			arrange(m, abort)
			m.serve(m.farm.Master)
			s := m.prepareSlave(Config{}, heldBuild(begun, nil)).start()
			m.leases <- lease(1)
			receive(t, begun)
			close(abort)
			s.wait(Dropped, "TOKEN1")
			m.leases <- lease(2) // and life goes on
			receive(t, begun)
			s.stop()
			_ = s.waitEnd()
			onlyNames(t, s.paths.spool)
			onlyNames(t, s.paths.build)
			if len(m.reports) > 0 {
				t.Error("an aborted build was reported")
			}
		})
	}
}

func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	m := newMaster(t)
	var resumed atomic.Bool
	pausedBeats := make(chan struct{}, 1024)
	m.beat = func(b bus.Beat) bus.BeatReply {
		if b.Doing == "paused" {
			pausedBeats <- struct{}{}
		}
		return bus.BeatReply{Paused: !resumed.Load()}
	}
	m.serve(m.farm.Master)
	s := m.prepareSlave(Config{}, goodBuild).start()
	// A question may be under way when the pause comes; it is answered within
	// three beats.
	for range 6 {
		receive(t, pausedBeats)
	}
	m.leases <- lease(1)
	for range 6 {
		receive(t, pausedBeats)
	}
	if len(m.leases) != 1 {
		t.Error("a paused slave took a job")
	}
	resumed.Store(true)
	s.wait(Accepted, "TOKEN1")
}

func TestOrderToPauseAndResume(t *testing.T) {
	t.Parallel()
	m := newMaster(t)
	m.serve(m.farm.Master)
	s := m.prepareSlave(Config{}, goodBuild)
	for _, do := range []string{bus.DoPause, bus.DoResume} {
		s.obey(bus.Control{Do: do})
		if got := s.board.facts().paused; got != (do == bus.DoPause) {
			t.Errorf("paused = %v after the order to %s", got, do)
		}
	}
}

func TestQuitEndsAfterTheBuild(t *testing.T) {
	t.Parallel()
	m, begun, goOn := newMaster(t), make(chan string, 1), make(chan struct{})
	m.serve(m.farm.Master)
	s := m.prepareSlave(Config{}, heldBuild(begun, goOn)).start()
	m.leases <- lease(1)
	receive(t, begun)
	m.leases <- lease(2)
	if err := m.farm.Master.SendControl("pi-1", bus.Control{Do: bus.DoQuit}); err != nil {
		t.Fatal(err)
	}
	<-s.drain
	close(goOn)
	if r := receive(t, m.reports); r.Job != 1 {
		t.Errorf("report of job %d", r.Job)
	}
	if err := s.waitEnd(); err != nil {
		t.Errorf("Run = %v", err)
	}
	if len(m.leases) != 1 {
		t.Error("a job was taken after the order to quit")
	}
}

func TestEndKillsTheBuildAndGivesItBack(t *testing.T) {
	t.Parallel()
	m, begun := newMaster(t), make(chan string, 1)
	var ends, freed atomic.Bool
	m.beat = func(b bus.Beat) bus.BeatReply {
		if ends.Load() && len(b.Held) == 0 {
			freed.Store(true)
		}
		return bus.BeatReply{}
	}
	m.serve(m.farm.Master)
	s := m.prepareSlave(Config{}, heldBuild(begun, nil)).start()
	m.leases <- lease(1)
	receive(t, begun)
	ends.Store(true)
	s.stop()
	if err := s.waitEnd(); err != nil {
		t.Errorf("Run = %v", err)
	}
	if !freed.Load() {
		t.Error("no last beat that holds nothing")
	}
	onlyNames(t, s.paths.build)
	onlyNames(t, s.paths.spool)
}

// TestEndGivesBackBesideAnUpload: a wheel that takes long does not keep the lease of the
// build that was killed.
func TestEndGivesBackBesideAnUpload(t *testing.T) {
	t.Parallel()
	m, begun, uploads := newMaster(t), make(chan string, 1), make(chan struct{}, 16)
	m.upload = func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the server sees then when the slave goes
		uploads <- struct{}{}
		<-r.Context().Done()
	}
	leaving := make(chan []string, 1)
	m.beat = func(b bus.Beat) bus.BeatReply {
		if b.Leaving {
			leaving <- b.Held
		}
		return bus.BeatReply{}
	}
	m.serve(m.farm.Master)
	held := heldBuild(begun, nil)
	var builds atomic.Int64
	s := m.prepareSlave(Config{}, func(ctx context.Context, b builder.Build) (builder.Result, error) {
		if builds.Add(1) == 1 {
			return goodBuild(ctx, b)
		}
		return held(ctx, b)
	}).start()
	m.leases <- lease(1)
	receive(t, uploads)
	m.leases <- lease(2)
	receive(t, begun)
	s.stop()
	if err := s.waitEnd(); err != nil {
		t.Errorf("Run = %v", err)
	}
	if diff := cmp.Diff([]string{"TOKEN1"}, receive(t, leaving)); diff != "" {
		t.Errorf("the last beat holds: %s", diff)
	}
	onlyNames(t, s.paths.spool, "TOKEN1")
}
