package clitest

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"time"
)

// gate is a server that keeps who asks waiting, so that a build lasts for as long
// as a script wants.
type gate struct {
	*httptest.Server
	asked chan struct{}

	mu     sync.Mutex
	opened chan struct{} // closed for those who wait; a later one finds another
}

// hum is what the waiting hear, so that they do not give up.
const hum = time.Second

func newGate() *gate {
	g := &gate{asked: make(chan struct{}, 100), opened: make(chan struct{})}
	g.Server = httptest.NewServer(http.HandlerFunc(g.answer))
	return g
}

func (g *gate) answer(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	opened := g.opened
	g.mu.Unlock()
	g.asked <- struct{}{}
	tick := time.NewTicker(hum)
	defer tick.Stop()
	w.Header().Set("Content-Type", "text/html") // whoever reads an index looks at this first
	for {
		w.Write([]byte("."))
		_ = http.NewResponseController(w).Flush()
		select {
		case <-opened:
			return
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.opened)
	g.opened = make(chan struct{})
}

func (g *gate) close() {
	g.open()
	g.Server.CloseClientConnections()
	g.Server.Close()
}

func openGate(s *Script, _ []string) {
	s.gate = newGate()
	s.SetVar("GATE", s.gate.URL)
}

// held waits for that many questions more than were waited for before.
func held(s *Script, args []string) {
	s.want(args, 1, "held N")
	for range s.number(args[0]) {
		select {
		case <-s.gate.asked:
		case <-time.After(patience):
			s.Fail("nobody asked at the gate")
		}
	}
}

// release lets those go who wait. More of them than the script knows would be
// builds that were made twice.
func release(s *Script, _ []string) {
	s.gate.open()
	if n := len(s.gate.asked); n > 0 {
		s.Fail("%d more asked at the gate than were waited for", n)
	}
}
