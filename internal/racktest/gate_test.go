package racktest

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// gate is a server that keeps builds waiting for as long as a test wants.
type gate struct {
	*httptest.Server
	t     *testing.T
	asked chan struct{}
	count atomic.Int32
	open  func()
}

func newGate(t *testing.T) *gate {
	t.Helper()
	opened := make(chan struct{})
	g := &gate{t: t, asked: make(chan struct{}, 10), open: sync.OnceFunc(func() { close(opened) })}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.count.Add(1)
		g.asked <- struct{}{}
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
	t.Cleanup(func() { g.open(); g.CloseClientConnections(); g.Close() })
	return g
}

// await waits for the first build.
func (g *gate) await() {
	g.t.Helper()
	select {
	case <-g.asked:
	case <-time.After(patience):
		g.t.Fatalf("no build has come to the gate within %v", patience)
	}
}

func (g *gate) asks() int { return int(g.count.Load()) }
