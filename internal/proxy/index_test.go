package proxy

import (
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/farm"
)

// TestCredentialsStayHere: the index gets them, its neighbours, the build and the
// record do not, also after redirects.
func TestCredentialsStayHere(t *testing.T) {
	t.Parallel()
	other := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" || strings.Contains(r.Referer(), "secret") {
			t.Errorf("told the neighbour: %v", r.Header)
		}
		fmt.Fprint(w, "a wheel")
	}, false)
	s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		if want := "Basic " + base64.StdEncoding.EncodeToString([]byte("me:se/cret")); r.Header.Get("Authorization") != want {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		switch r.URL.Path {
		case "/simple/foo/":
			http.Redirect(w, r, "/real/foo/", http.StatusMovedPermanently)
		case "/real/foo/":
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, `<a href="away/a-1-py3-none-any.whl">x</a><a href="b-1.zip">x</a>`)
		case "/real/foo/away/a-1-py3-none-any.whl":
			http.Redirect(w, r, strings.Replace(other.URL, "127.0.0.1", "localhost", 1)+"/a-1-py3-none-any.whl", http.StatusFound)
		case "/real/foo/b-1.zip":
			fmt.Fprint(w, "a source")
		default:
			http.NotFound(w, r)
		}
	}, false)
	p := newProxy(t, Config{Resolver: names{"localhost": "8.8.8.8"}})
	plain := p.connect
	b := newBuild(t, p, farm.NetworkIndex, Index{"upstream", strings.Replace(s.URL, "://", "://me:se%2Fcret@", 1) + "/simple"})
	p.connect = plain
	code, page := b.get("/upstream/simple/foo/")
	if code != http.StatusOK || strings.Contains(page, "cret") || strings.Contains(page, s.host()) {
		t.Fatalf("%d %s", code, page)
	}
	if code, text := b.get(href(t, page, "b-1.zip")); code != http.StatusOK || text != "a source" {
		t.Errorf("%d %s", code, text)
	}
	taken := b.Close()
	want := []File{{"b-1.zip", s.URL + "/real/foo/b-1.zip", sumOf([]byte("a source")), 8}}
	if diff := cmp.Diff(want, taken.Files); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestFilesElsewhere: the files of an index may lie on its own host, on another one
// where the index is, and outside; not anywhere else on loopback.
func TestFilesElsewhere(t *testing.T) {
	t.Parallel()
	internal := newServer(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "secret") }, false)
	var s *server
	s = newServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/simple/foo/" {
			fmt.Fprint(w, "a file from "+r.Host)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<a href="http://files.example:%s/near-1.zip"></a><a href="%s/internal-1.zip"></a><a href="/own-1.zip"></a>`, s.port(), internal.URL)
		fmt.Fprintf(w, `<a href="http://trap.example:%s/trap-1.zip"></a>`, internal.port())
	}, false)
	p := newProxy(t, Config{Resolver: names{"index.example": "127.0.0.1", "files.example": "127.0.0.1", "trap.example": "127.0.0.1"}})
	b := newBuild(t, p, farm.NetworkPublic, Index{"upstream", "http://index.example:" + s.port() + "/simple/"})
	_, page := b.get("/upstream/simple/foo/")
	for name, want := range map[string]int{"near-1.zip": 200, "own-1.zip": 200, "internal-1.zip": 403, "trap-1.zip": 403} {
		if code, text := b.get(href(t, page, name)); code != want || strings.Contains(text, "secret") {
			t.Errorf("%s: %d %s", name, code, text)
		}
	}
	if internal.conns.Load() != 0 {
		t.Error("a page of the index led to a server on loopback")
	}
}

// TestOnlyPagesAndTheirFiles: an index is not a way to its host.
func TestOnlyPagesAndTheirFiles(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/simple/foo/" && r.URL.Path != "/simple/gone/" {
			t.Errorf("asked for %s", r.URL)
		}
		w.Header().Set("Content-Type", map[string]string{"/simple/foo/": "text/html"}[r.URL.Path])
		if r.URL.Path == "/simple/gone/" {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusTooManyRequests)
			io.WriteString(w, "slow down")
		}
	}, false)
	b := newBuild(t, newProxy(t, Config{}), farm.NetworkPublic, Index{"upstream", s.URL + "/simple/"})
	for path, want := range map[string]int{
		"/upstream/simple/foo/": 200, "/upstream/simple/": 404, "/upstream/simple/../admin/": 404, "/upstream/simple/%2e%2e/admin": 404,
		"/upstream/simple/foo/../../x": 404, "/upstream/simple/foo%2f..%2fx": 404, "/upstream/files/0/x": 404, "/upstream/files/-1/x": 404, "/upstream/files/x": 404,
		"/upstream/": 404, "/": 404, "/other/simple/foo/": 404, "/upstream/simple/foo/?next=1": 200, "/upstream/simple/gone/": 429,
	} {
		if code, text := b.get(path); code != want {
			t.Errorf("%s: %d %s, want %d", path, code, text, want)
		}
	}
	r, err := b.client().Post("http://"+b.addr+"/upstream/simple/foo/", "", nil)
	must(t, err)
	r.Body.Close()
	if r.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %s", r.Status)
	}
	if f := b.Close().Fault; f != s.host()+": HTTP 429" {
		t.Errorf("fault %q", f)
	}
}

// TestIndexAway: pip sees a connection that breaks, as it would without us, and the
// record says why.
func TestIndexAway(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, false)
	b := newBuild(t, newProxy(t, Config{}), farm.NetworkPublic, Index{"upstream", s.URL + "/simple/"}, Index{"farm", "http://127.0.0.1:1/simple/"})
	if code, text := b.get("/upstream/simple/foo/"); code != 0 || !strings.Contains(text, "EOF") {
		t.Errorf("%d %s", code, text)
	}
	if code, _ := b.get("/" + "farm" + "/simple/foo/"); code != 0 {
		t.Errorf("%d", code)
	}
	if f := b.Close().Fault; !strings.HasPrefix(f, "127.0.0.1:1: ") || !strings.Contains(f, "refused") {
		t.Errorf("fault %q", f)
	}
}

// TestPagesTakeTurns: a build that asks for many pages and reads none of them does not
// have them all in the slave's memory: the next one is asked for when one was read.
func TestPagesTakeTurns(t *testing.T) {
	t.Parallel()
	const size = 16 << 20 // more than the kernel keeps of a connection
	var reading atomic.Bool
	asked := make(chan bool, maxPages+1)
	s := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
		asked <- reading.Load()
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, strings.Repeat("<!--"+strings.Repeat("x", 4089)+"-->", size>>12))
	}, false)
	b := newBuild(t, newProxy(t, Config{}), farm.NetworkPublic, Index{"upstream", s.URL + "/simple/"})
	ask := func() net.Conn {
		c, err := net.Dial("tcp", b.addr)
		must(t, err)
		t.Cleanup(func() { c.Close() })
		must(t, c.(*net.TCPConn).SetReadBuffer(64<<10))
		_, err = io.WriteString(c, "GET /upstream/simple/foo/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		must(t, err)
		return c
	}
	var conns []net.Conn
	for range maxPages {
		conns = append(conns, ask())
		<-asked
	}
	conns = append(conns, ask())
	for range 20 { // others are answered meanwhile
		if code, text := b.get("/other"); code != http.StatusNotFound {
			t.Fatalf("%d %s", code, text)
		}
	}
	reading.Store(true)
	for _, c := range conns {
		if n, err := io.Copy(io.Discard, c); err != nil || n < size {
			t.Errorf("%d bytes, %v", n, err)
		}
	}
	if !<-asked {
		t.Errorf("page %d is asked for while %d are unread", maxPages+1, maxPages)
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	p := newProxy(t, Config{})
	for _, u := range []string{"", "simple", "ftp://x/", "http://", "http://me:secret@%zz/"} {
		if _, err := p.Door(Settings{Indexes: []Index{{"upstream", u}}}); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", u, err)
		}
	}
	for _, cfg := range []Config{{Bundle: "/nowhere"}, {Bundle: "/dev/null"}, {CacheDir: "/dev/null/x"}} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%+v is fine", cfg)
		}
	}
}

// TestMetadata: PEP 658's files come from beside the wheel, and are nothing that was
// taken.
func TestMetadata(t *testing.T) {
	t.Parallel()
	times := 0
	s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/simple/foo/":
			w.Header().Set("Content-Type", "application/vnd.pypi.simple.v1+json")
			fmt.Fprintf(w, `{"files":[{"filename":"a-1-py3-none-any.whl","url":"/a%%20b/a-1-py3-none-any.whl?x=1","core-metadata":{"sha256":"%s"},"hashes":{}}]}`, sumOf([]byte("Name: a")))
		case "/a b/a-1-py3-none-any.whl.metadata":
			times++
			fmt.Fprint(w, "Name: a")
		default:
			http.NotFound(w, r)
		}
	}, false)
	p := newProxy(t, Config{CacheDir: t.TempDir()})
	b := newBuild(t, p, farm.NetworkPublic, Index{"upstream", s.URL + "/simple/"})
	if _, page := b.get("/upstream/simple/foo/", "Accept", "application/vnd.pypi.simple.v1+json"); !strings.Contains(page, `"url":"/upstream/files/0/a-1-py3-none-any.whl"`) {
		t.Fatal(page)
	}
	for range 2 {
		if code, text := b.get("/upstream/files/0/a-1-py3-none-any.whl.metadata"); code != 200 || text != "Name: a" {
			t.Errorf("%d %s", code, text)
		}
	}
	if files := b.Close().Files; times != 1 || len(files) != 0 {
		t.Errorf("asked %d times, took %v", times, files)
	}
}
