package crashtest

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// front stands before an HTTP server that may come and go, and can keep requests
// back: so a test decides how long a build runs, or a report is on its way.
type front struct {
	*httptest.Server
	method, below string // of the requests that are kept back
	reached       chan struct{}
	opened        chan struct{}
	open          func()
}

// newFront keeps back the requests with that method and a path below prefix,
// until open is called. to is where the server is, "host:port", when it is there.
func newFront(t testing.TB, method, below, to string) *front {
	t.Helper()
	f := &front{method: method, below: below, reached: make(chan struct{}, 1), opened: make(chan struct{})}
	f.open = sync.OnceFunc(func() { close(f.opened) })
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: to})
		r.Out.Host = r.In.Host // what the server says of itself is said of the front
	}}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == method && strings.HasPrefix(r.URL.Path, below) && !f.wait(r) {
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		f.open()
		f.CloseClientConnections()
		f.Close()
	})
	return f
}

// wait says whether whoever asks still waits when the front opens.
func (f *front) wait(r *http.Request) bool {
	select {
	case f.reached <- struct{}{}:
	default: // one is enough
	}
	select {
	case <-f.opened:
		return true
	case <-r.Context().Done():
		return false
	}
}
