package web

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"pinwheel/internal/depot"
	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// rows is a database that holds what a test says, or is away.
type rows struct {
	away   error
	status store.Status
	builds map[int64]store.BuildRow
}

func (r rows) Ping(context.Context) error                   { return r.away }
func (r rows) Status(context.Context) (store.Status, error) { return r.status, r.away }
func (r rows) Build(_ context.Context, id int64) (store.BuildRow, error) {
	if r.away != nil {
		return store.BuildRow{}, r.away
	}
	b, ok := r.builds[id]
	if !ok {
		return b, farm.ErrNotFound
	}
	return b, nil
}

const (
	wheelName = "some_name-1.0+l.1-py3-none-any.whl"
	jsonType  = "application/vnd.pypi.simple.v1+json"
)

// newSite makes a small site as publish would.
func newSite(t testing.TB, change ...func(*Config)) (dir string, h http.Handler) {
	t.Helper()
	dir = t.TempDir()
	for name, content := range map[string]string{
		"secret": "s", "simple/index.html": "root html", "simple/index.json": "root json",
		"simple/some-name/index.html": "html", "simple/some-name/index.json": "json",
		"simple/some-name/" + wheelName: "0123456789", "simple/some-name/" + wheelName + ".metadata": "Name: x",
		"simple/some-name/." + wheelName + "123": "half", "simple/young/index.html": "html alone",
	} {
		path := filepath.Join(dir, "site", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	outside := filepath.Join(dir, "outside")
	if err := os.WriteFile(outside, []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	for version, target := range map[string]string{"2.0": "../../../outside", "3.0": outside} {
		if err := os.Symlink(target, filepath.Join(dir, "site/simple/some-name/some_name-"+version+"-py3-none-any.whl")); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "site/simple/some-name/some_name-4.0-py3-none-any.whl"), 0o755); err != nil {
		t.Fatal(err)
	}
	d, err := depot.Open(filepath.Join(dir, "depot"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Store: rows{}, Depot: d, SiteDir: filepath.Join(dir, "site"), Log: zerolog.Nop(), Version: "1.2.3"}
	for _, f := range change {
		f(&cfg)
	}
	return dir, New(cfg)
}

// ask sends one request; headers are pairs.
func ask(h http.Handler, method, target string, headers ...string) *http.Response {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func bodyOf(t testing.TB, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestPages(t *testing.T) {
	t.Parallel()
	_, h := newSite(t)
	for _, c := range []struct {
		path, accept  string
		code          int
		content, body string
	}{
		{"/simple/", "", 200, "text/html; charset=utf-8", "root html"},
		{"/simple/", jsonType, 200, jsonType, "root json"},
		{"/simple/some-name/", "*/*", 200, "text/html; charset=utf-8", "html"},
		{"/simple/some-name/", jsonType + ", text/html;q=0.1", 200, jsonType, "json"},
		{"/simple/some-name/", "application/vnd.pypi.simple.latest+json", 200, jsonType, "json"},
		{"/simple/some-name/", "application/vnd.pypi.simple.v1+html", 200, "application/vnd.pypi.simple.v1+html; charset=utf-8", "html"},
		{"/simple/some-name/", "image/png", 406, "text/plain; charset=utf-8", ""},
		{"/simple/young/", jsonType + ", text/html;q=0.1", 200, "text/html; charset=utf-8", "html alone"},
		{"/simple/young/", jsonType, 404, "text/plain; charset=utf-8", "not found\n"},
		{"/simple/nobody/", "", 404, "text/plain; charset=utf-8", "not found\n"},
	} {
		r := ask(h, "GET", c.path, "Accept", c.accept)
		body := bodyOf(t, r)
		if r.StatusCode != c.code || r.Header.Get("Content-Type") != c.content || c.body != "" && body != c.body {
			t.Errorf("%s for %q: %d %s %q", c.path, c.accept, r.StatusCode, r.Header.Get("Content-Type"), body)
		}
		if r.Header.Get("Vary") != "Accept, Accept-Encoding" || r.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: headers %v", c.path, r.Header)
		}
	}
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	_, h := newSite(t)
	for path, want := range map[string]string{
		"/simple":             "/simple/",
		"/simple/some-name":   "/simple/some-name/",
		"/simple/Some.Name":   "/simple/some-name/",
		"/simple/Some__Name/": "/simple/some-name/",
		"/simple/Some_Name/" + wheelName + ".metadata": "/simple/some-name/" + strings.ReplaceAll(wheelName, "+", "%2B") + ".metadata",
	} {
		r := ask(h, "GET", path)
		to, err := r.Location() // as a client resolves it
		if r.StatusCode != http.StatusMovedPermanently || err != nil {
			t.Errorf("%s: %d %v", path, r.StatusCode, err)
			continue
		}
		base := httptest.NewRequest("GET", "http://proxy/below"+path, nil).URL
		got := base.ResolveReference(must(base.Parse(r.Header.Get("Location")))).EscapedPath()
		if strings.HasPrefix(to.Path, "/below") || got != "/below"+want {
			t.Errorf("%s leads to %s, want /below%s", path, got, want)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestFiles(t *testing.T) {
	t.Parallel()
	_, h := newSite(t)
	for _, path := range []string{"/simple/some-name/" + wheelName, "/simple/some-name/" + strings.ReplaceAll(wheelName, "+", "%2B")} {
		r := ask(h, "GET", path)
		if b := bodyOf(t, r); r.StatusCode != 200 || b != "0123456789" || r.Header.Get("Content-Length") != "10" ||
			r.Header.Get("Content-Type") != "application/octet-stream" || !strings.Contains(r.Header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d %q %v", path, r.StatusCode, b, r.Header)
		}
	}
	wheel := "/simple/some-name/" + wheelName
	if r := ask(h, "HEAD", wheel); r.StatusCode != 200 || r.Header.Get("Content-Length") != "10" || bodyOf(t, r) != "" {
		t.Errorf("HEAD: %d %v", r.StatusCode, r.Header)
	}
	if r := ask(h, "GET", wheel, "Range", "bytes=-3"); r.StatusCode != 206 || bodyOf(t, r) != "789" {
		t.Errorf("Range: %d %v", r.StatusCode, r.Header)
	}
	if r := ask(h, "GET", wheel+".metadata"); bodyOf(t, r) != "Name: x" || r.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("metadata: %d %v", r.StatusCode, r.Header)
	}
}

// TestNothingElse: no folder is listed, nothing outside is reachable, and nothing
// is visible that has no name to be seen by.
func TestNothingElse(t *testing.T) {
	t.Parallel()
	_, h := newSite(t)
	for _, path := range []string{
		"/secret", "/simple/index.html", "/simple/some-name/index.html", "/simple/some-name/index.json",
		"/simple/some-name/." + wheelName + "123", "/simple/.root.lock", "/.root.lock", "/simple/%2e%2e/", "/simple/..%2fsecret",
		"/simple/..%2f..%2fsecret/", "/simple/some-name/..%2f..%2f..%2fsecret", "/simple/some-name/%2e%2e%2f" + wheelName,
		"/simple/%2e%2e/" + wheelName, "/simple/a%00b/", "/simple/some-name/a%00.whl", "/simple/nobody/" + wheelName,
		"/simple/some-name/some_name-4.0-py3-none-any.whl", "/simple/some-name/x/y", "/log/1/", "/log/x", "/log/-1",
		"/log/99999999999999999999", "/log/", "/api/v1/", "/upload/x", "/nowhere",
	} {
		r := ask(h, "GET", path)
		if r.StatusCode != 404 && r.StatusCode != 301 || strings.Contains(r.Header.Get("Location"), "..") {
			t.Errorf("%s: %d %v %q", path, r.StatusCode, r.Header, bodyOf(t, r))
		}
	}
	for _, link := range []string{"2.0", "3.0"} { // symlinks that lead out of the site
		r := ask(h, "GET", "/simple/some-name/some_name-"+link+"-py3-none-any.whl")
		if body := bodyOf(t, r); r.StatusCode == 200 || strings.Contains(body, "secret") {
			t.Errorf("%s: %d %q", link, r.StatusCode, body)
		}
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	got := ""
	_, h := newSite(t, func(c *Config) {
		c.Upload = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Method + " " + r.URL.Path })
	})
	for _, path := range []string{"/", "/simple/", "/simple/some-name/", "/simple/some-name/" + wheelName, "/healthz", "/api/v1/status", "/log/1"} {
		for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS"} {
			if r := ask(h, method, path); r.StatusCode != 405 || r.Header.Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s: %d, Allow: %s", method, path, r.StatusCode, r.Header.Get("Allow"))
			}
		}
	}
	ask(h, "PUT", "/upload/abc")
	if got != "PUT /upload/abc" {
		t.Errorf("the upload got %q", got)
	}
	if r := ask(h, "GET", "/upload/abc"); r.StatusCode != 405 {
		t.Errorf("GET /upload/: %d", r.StatusCode)
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	_, h := newSite(t)
	if r := ask(h, "GET", "/healthz"); r.StatusCode != 200 || bodyOf(t, r) != "ok\n" {
		t.Errorf("well: %d", r.StatusCode)
	}
	_, h = newSite(t, func(c *Config) { c.Store = rows{away: errors.New("dial 10.0.0.7: refused")} })
	r := ask(h, "GET", "/healthz")
	if body := bodyOf(t, r); r.StatusCode != 503 || body != "the database does not answer\n" {
		t.Errorf("ill: %d %q", r.StatusCode, body)
	}
	if r := ask(h, "GET", "/simple/some-name/"); r.StatusCode != 200 {
		t.Errorf("the index needs the database: %d", r.StatusCode)
	}
	for _, path := range []string{"/api/v1/status", "/log/1"} {
		if r := ask(h, "GET", path); r.StatusCode != 500 || strings.Contains(bodyOf(t, r), "10.0.0.7") {
			t.Errorf("%s: %d", path, r.StatusCode)
		}
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	_, h := newSite(t, func(c *Config) {
		c.Store = rows{status: store.Status{
			Schema: 1, StalePages: 5,
			Counts: store.Counts{Packages: 1, Releases: 2, Wheels: 3, WheelBytes: 4,
				Jobs: map[string]map[string]int64{"cp311-linux_armv7l": {"queued": 6}}},
			UpstreamStatus: store.UpstreamStatus{Reading: []store.ReadingStatus{{Urgency: "walk", Count: 7, Due: 6, Troubled: 5, Oldest: 4}}},
			Slaves: []store.SlaveRow{
				{Name: "pi", Role: farm.RoleSlave, PublicKey: "KEY", Doing: "building"},
				{Name: "old", Role: farm.RoleSlave, Revoked: true}, {Name: "eve", Role: farm.RoleOperator},
			},
		}}
	})
	r := ask(h, "GET", "/api/v1/status")
	var got any
	if err := json.Unmarshal([]byte(bodyOf(t, r)), &got); err != nil || r.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%v %v", err, r.Header)
	}
	want := map[string]any{
		"schema": 1.0, "packages": 1.0, "releases": 2.0, "wheels": 3.0, "wheel_bytes": 4.0, "counted_at": nil, "not_yet": 0.0, "stale_pages": 5.0,
		"jobs":      map[string]any{"cp311-linux_armv7l": map[string]any{"queued": 6.0}},
		"following": map[string]any{"source": "", "serial": 0.0, "moved_at": nil, "asked_at": nil, "trouble": ""},
		"reading":   []any{map[string]any{"urgency": "walk", "count": 7.0, "due": 6.0, "troubled": 5.0, "oldest_seconds": 4.0}},
		"troubled":  nil, "walks": nil, "faults": nil, "unserved": nil,
		"slaves": []any{map[string]any{"name": "pi", "role": "slave", "revoked": false, "paused": false, "paused_why": "", "faults": 0.0,
			"doing": "building", "leases": 0.0, "last_seen": nil, "version": "", "machine": "",
			"pulse": map[string]any{"doing": "", "load": 0.0, "temperature": 0.0, "memory_free": 0.0, "disk_free": 0.0}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestServerHasLimits(t *testing.T) {
	t.Parallel()
	s := Server("127.0.0.1:0", http.NotFoundHandler())
	if s.ReadHeaderTimeout <= 0 || s.IdleTimeout <= 0 || s.MaxHeaderBytes <= 0 || s.ReadTimeout != 0 || s.WriteTimeout != 0 {
		t.Errorf("%+v", s)
	}
}
