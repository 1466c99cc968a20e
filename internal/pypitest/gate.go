package pypitest

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Gate is what builds of the kind [Network] ask, as their Address: it keeps them waiting
// for as long as a test wants.
type Gate struct {
	URL string

	t     testing.TB
	asked chan struct{}
	count atomic.Int32
	open  func()
}

// NewGate makes one that is closed, on a free port of the loopback.
func NewGate(t testing.TB) *Gate {
	t.Helper()
	opened := make(chan struct{})
	g := &Gate{t: t, asked: make(chan struct{}, 1), open: sync.OnceFunc(func() { close(opened) })}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.count.Add(1)
		select {
		case g.asked <- struct{}{}:
		default: // nobody has looked yet
		}
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			_, _ = w.Write([]byte(".")) // who hears something does not give up
			_ = http.NewResponseController(w).Flush()
			select {
			case <-opened:
				return
			case <-r.Context().Done():
				return
			case <-tick.C:
			}
		}
	}))
	g.URL = s.URL
	t.Cleanup(func() { g.open(); s.CloseClientConnections(); s.Close() })
	return g
}

// Open lets through who waits and whoever comes.
func (g *Gate) Open() { g.open() }

// Await waits until a build is at the gate.
func (g *Gate) Await(patience time.Duration) {
	g.t.Helper()
	select {
	case <-g.asked:
	case <-time.After(patience):
		g.t.Fatalf("no build has come to the gate within %v", patience)
	}
}

// Asked is how often a build came.
func (g *Gate) Asked() int { return int(g.count.Load()) }
