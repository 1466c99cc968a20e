package proxy

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/farm"
	"pinwheel/internal/leaktest"
)

func TestMain(m *testing.M) {
	if os.Getenv(childCache) != "" {
		proxyToBeKilled()
	}
	leaktest.Main(m)
}

// build is a build as the proxy sees one: who connects.
type build struct {
	*Door
	t    testing.TB
	p    *Proxy
	addr string
}

// names is a resolver that says what it is told.
type names map[string]string

func (n names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if a, ok := n[host]; ok {
		return []netip.Addr{netip.MustParseAddr(a)}, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

func direct(*http.Request) (*url.URL, error) { return nil, nil }

func newProxy(t testing.TB, cfg Config) *Proxy {
	t.Helper()
	if cfg.Parent == nil {
		cfg.Parent = direct
	}
	p, err := New(cfg)
	must(t, err)
	t.Cleanup(p.Close)
	return p
}

func newBuild(t testing.TB, p *Proxy, network string, indexes ...Index) *build {
	t.Helper()
	d, err := p.Door(Settings{Network: network, Indexes: indexes})
	must(t, err)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	d.Serve(l)
	t.Cleanup(func() { d.Close() })
	return &build{Door: d, t: t, p: p, addr: l.Addr().String()}
}

// client asks through the door, as tools with https_proxy do.
func (b *build) client() *http.Client {
	tr := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: b.addr}), DisableKeepAlives: true, DisableCompression: true,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// get asks the door itself, as pip does.
func (b *build) get(path string, header ...string) (int, string) {
	b.t.Helper()
	r, err := http.NewRequest(http.MethodGet, "http://"+b.addr+path, nil)
	must(b.t, err)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(text)
}

// server counts the connections that reach it.
type server struct {
	*httptest.Server
	conns atomic.Int64
}

func newServer(t testing.TB, h http.HandlerFunc, withTLS bool) *server {
	t.Helper()
	s := &server{Server: httptest.NewUnstartedServer(h)}
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.conns.Add(1)
		}
	}
	if withTLS {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

func (s *server) host() string {
	return strings.TrimPrefix(strings.TrimPrefix(s.URL, "http://"), "https://")
}

func (s *server) port() string { _, port, _ := net.SplitHostPort(s.host()); return port }

// TestRefused: whatever a build calls it, it does not come to this machine, its
// network or a cloud's metadata, and nobody is even dialled.
func TestRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "secret") }, false)
	p := newProxy(t, Config{Resolver: names{"public.example": "127.0.0.1", "rebind.example": "::ffff:10.0.0.1", "metadata.example": "169.254.169.254", "localhost": "127.0.0.1"}})
	p.connect = func(_ context.Context, _, address string) (net.Conn, error) {
		t.Errorf("dialled %s", address)
		return nil, io.EOF
	}
	p.out = p.newWay(p.dialOutside, p.judgeBuild)
	b := newBuild(t, p, farm.NetworkPublic)
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]", "127.1.2.3",
		"public.example", "rebind.example", "metadata.example", "169.254.169.254", "10.0.0.1", "192.168.1.1", "[fd00::1]", "[fe80::1]"} {
		for _, scheme := range []string{"http", "https"} {
			u := scheme + "://" + host + ":" + s.port() + "/latest/meta-data"
			resp, err := b.client().Get(u)
			if err == nil {
				text, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				if resp.StatusCode != http.StatusForbidden || !strings.Contains(string(text), "builds may not reach it") {
					t.Errorf("%s: %s %q", u, resp.Status, text)
				}
			} else if !strings.Contains(err.Error(), "Forbidden") {
				t.Errorf("%s: %v", u, err)
			}
		}
	}
	if s.conns.Load() != 0 {
		t.Errorf("%d connections to loopback", s.conns.Load())
	}
	contacts := b.Close().Contacts
	if len(contacts) != 15 {
		t.Errorf("contacts %+v", contacts)
	}
	for _, c := range contacts {
		if !c.Refused || c.Why == "" || c.Times != 2 {
			t.Errorf("contact %+v", c)
		}
	}
}

// TestLetThrough: CONNECT, and plain HTTP with a whole URL, both ways and to the end.
func TestLetThrough(t *testing.T) {
	t.Parallel()
	echo := func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Proxy-Authorization") != "" || r.Header.Get("X-Forwarded-For") != "" {
			t.Errorf("header %v", r.Header)
		}
		w.Header().Set("X-Host", r.Host)
		io.Copy(w, r.Body)
	}
	safe, open := newServer(t, echo, true), newServer(t, echo, false)
	p := newProxy(t, Config{Resolver: names{"outside.example": "127.0.0.1"}, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
	b := newBuild(t, p, "")
	large := strings.Repeat("0123456789", 100_000)
	for _, u := range []string{"https://outside.example:" + safe.port(), "http://outside.example:" + open.port()} {
		resp, err := b.client().Post(u, "text/plain", strings.NewReader(large))
		must(t, err)
		got, err := io.ReadAll(resp.Body)
		must(t, err)
		resp.Body.Close()
		if string(got) != large || !strings.HasPrefix(resp.Header.Get("X-Host"), "outside.example:") {
			t.Errorf("%s: %d bytes, host %s", u, len(got), resp.Header.Get("X-Host"))
		}
	}
	resp, err := b.client().Get("http://nowhere.example/")
	must(t, err)
	resp.Body.Close()
	if resp.StatusCode != http.StatusBadGateway {
		t.Errorf("a name that is not there: %s", resp.Status)
	}
	want := []farm.Contact{{Host: "outside.example:" + safe.port(), Times: 1}, {Host: "outside.example:" + open.port(), Times: 1},
		{Host: "nowhere.example", Times: 1, Why: "it does not resolve"}}
	if diff := cmp.Diff(want, b.Close().Contacts); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestModes: what is not public has the indexes only; and none of it once shut.
func TestModes(t *testing.T) {
	t.Parallel()
	s := newServer(t, indexOf(nil), false)
	for _, network := range farm.Networks() {
		p := newProxy(t, Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
		b := newBuild(t, p, network, Index{"upstream", s.URL + "/simple/"})
		resp, err := b.client().Get(s.URL + "/simple/foo/")
		must(t, err)
		resp.Body.Close()
		if through := resp.StatusCode == http.StatusOK; through != (network == farm.NetworkPublic) {
			t.Errorf("%s: %s", network, resp.Status)
		}
		if code, _ := b.get("/upstream/simple/foo/"); code != http.StatusOK {
			t.Errorf("%s: the index says %d", network, code)
		}
		b.Shut()
		if code, text := b.get("/upstream/simple/foo/"); code != http.StatusForbidden {
			t.Errorf("%s: once shut, the index says %d %s", network, code, text)
		}
		taken := b.Close()
		if last := taken.Contacts[len(taken.Contacts)-1]; !last.Refused || last.Host != s.host() {
			t.Errorf("%s: %+v", network, taken.Contacts)
		}
	}
}

// indexOf serves /simple/foo/ with the files, and the files; foo-1.tar.gz is there
// anyway.
func indexOf(more map[string]string) http.HandlerFunc {
	files := map[string]string{"foo-1.tar.gz": "the sdist"}
	for name, data := range more {
		files[name] = data
	}
	return func(w http.ResponseWriter, r *http.Request) {
		switch name, isFile := strings.CutPrefix(r.URL.Path, "/files/"); {
		case isFile && files[name] != "":
			w.Header().Set("Content-Length", strconv.Itoa(len(files[name])))
			io.WriteString(w, files[name])
		case r.URL.Path == "/simple/foo/":
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			var out io.Writer = w
			if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
				w.Header().Set("Content-Encoding", "gzip")
				z := gzip.NewWriter(w)
				defer z.Close()
				out = z
			}
			for name, data := range files {
				fmt.Fprintf(out, "<a href=\"/files/%s#sha256=%s\">%s</a>\n", name, sumOf([]byte(data)), name)
			}
		default:
			http.NotFound(w, r)
		}
	}
}

// href finds where a page leads for a file.
func href(t *testing.T, page, name string) string {
	t.Helper()
	for part := range strings.SplitSeq(page, `href="`) {
		if u, _, _ := strings.Cut(part, `"`); strings.Contains(u, "/"+name) {
			u, _, _ = strings.Cut(u, "#")
			return u
		}
	}
	t.Fatalf("no %s in %s", name, page)
	return ""
}

// TestHundredBuilds: a file that all builds take is asked of the index once, whether
// they run at once or after a restart; each record has it.
func TestHundredBuilds(t *testing.T) {
	t.Parallel()
	var asked, pages atomic.Int64
	serve := indexOf(map[string]string{"setuptools-80-py3-none-any.whl": strings.Repeat("setuptools", 10_000)})
	s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "setuptools") {
			asked.Add(1)
		} else if strings.HasPrefix(r.URL.Path, "/simple/") {
			pages.Add(1)
		}
		serve(w, r)
	}, false)
	dir := t.TempDir()
	for range 2 {
		p := newProxy(t, Config{CacheDir: dir})
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				b := newBuild(t, p, farm.NetworkIndex, Index{"upstream", s.URL + "/simple/"})
				_, page := b.get("/upstream/simple/foo/")
				code, text := b.get(href(t, page, "setuptools"))
				if code != http.StatusOK || len(text) != 100_000 {
					t.Errorf("%d, %d bytes", code, len(text))
				}
				want := []File{{"setuptools-80-py3-none-any.whl", s.URL + "/files/setuptools-80-py3-none-any.whl", sumOf([]byte(text)), 100_000}}
				if diff := cmp.Diff(want, b.Close().Files); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		}
		all.Wait()
		p.Close()
	}
	if asked.Load() != 1 || pages.Load() != 100 {
		t.Errorf("the file was asked for %d times, the page %d times", asked.Load(), pages.Load())
	}
}
