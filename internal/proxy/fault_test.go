package proxy

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"

	"pinwheel/internal/farm"
)

// TestFaultPasses: trouble that pip got over by asking again is none; what never came
// is.
func TestFaultPasses(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		if n := asked.Add(1); n == 1 || n == 3 { // the page, and then the file
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		switch r.URL.Path {
		case "/simple/bar/":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/simple/foo/":
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, `<a href="/foo-1.tar.gz"></a>`)
		default:
			fmt.Fprint(w, "the sdist")
		}
	}, false)
	for _, more := range []bool{false, true} {
		asked.Store(0)
		b := newBuild(t, newProxy(t, Config{}), farm.NetworkPublic, Index{"upstream", s.URL + "/simple/"})
		if code, _ := b.get("/upstream/simple/foo/"); code != http.StatusServiceUnavailable {
			t.Fatal(code)
		}
		_, page := b.get("/upstream/simple/foo/")
		if code, _ := b.get(href(t, page, "foo-1.tar.gz")); code != http.StatusServiceUnavailable {
			t.Fatal(code)
		}
		want := ""
		if more {
			b.get("/upstream/simple/bar/")
			want = s.host() + ": HTTP 503"
		}
		if code, text := b.get(href(t, page, "foo-1.tar.gz")); code != http.StatusOK || text != "the sdist" {
			t.Errorf("%d %s", code, text)
		}
		if got := b.Close().Fault; got != want {
			t.Errorf("fault %q, want %q", got, want)
		}
	}
}
