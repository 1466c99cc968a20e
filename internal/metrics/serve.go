package metrics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"pinwheel/internal/cli"
)

// Listen takes the address; Serve answers there. A port 0 is any free one.
func (m *Metrics) Listen(ctx context.Context, address string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s for metrics: %w; choose another with --metrics-listen", address, err)
	}
	return l, nil
}

// Serve answers on the listener until ctx ends.
func (m *Metrics) Serve(ctx context.Context, l net.Listener, f Farm) error {
	local := l.Addr().(*net.TCPAddr).IP.IsLoopback()
	s := &http.Server{
		Handler: m.Handler(f, local), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
	}
	broken := make(chan error, 1)
	go func() { broken <- s.Serve(l) }()
	select {
	case err := <-broken:
		return err
	case <-ctx.Done():
	}
	s.Close() // nobody misses half a page of figures
	<-broken
	return ctx.Err()
}

// Handler has the page of figures, and whether the master lives and can do its work.
// What shows the program's inside (pprof) is there for loopback only.
func (m *Metrics) Handler(f Farm, local bool) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 2 * rowsWithin}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	mux.Handle("GET /readyz", &readiness{farm: f})
	if local {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return mux
}

// readiness says whether slaves and pip are served: 200, or 503 with what is missing.
type readiness struct {
	farm Farm

	mu   sync.Mutex
	at   time.Time
	said string // empty: ready
}

const (
	readyWithin = 3 * time.Second
	readyKept   = time.Second // whoever asks more often is told the same
)

// ServeHTTP implements http.Handler.
func (r *readiness) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	said := r.look(req.Context())
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if said != "" {
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, said+"\n")
		return
	}
	io.WriteString(w, "ready\n")
}

func (r *readiness) look(ctx context.Context) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.at) < readyKept {
		return r.said
	}
	// Without the visitor's end: the next one is told the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyWithin)
	defer cancel()
	err := r.farm.Store.Ping(ctx)
	if err == nil {
		err = r.farm.Store.Schema(ctx)
	}
	var wire error
	if !r.farm.Wire() {
		wire = errors.New("NATS cannot be reached")
	}
	r.said, r.at = "", time.Now()
	if all := errors.Join(err, wire); all != nil {
		r.said = "not ready: " + cli.OneLine(all.Error())
	}
	return r.said
}
