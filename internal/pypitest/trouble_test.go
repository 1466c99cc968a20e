package pypitest_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"pinwheel/internal/pypitest"
)

// seen is what a plain client sees of an answer.
type seen struct {
	status int
	header http.Header
	body   string
	err    error // of the request or of the body
}

// see asks for a page, or for the last serial.
func see(t *testing.T, method, url string) seen {
	t.Helper()
	body := ""
	if method == http.MethodPost {
		body = "<methodCall><methodName>changelog_last_serial</methodName></methodCall>"
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	must(t, err)
	req.Header.Set("Accept", "application/vnd.pypi.simple.v1+json")
	req.Header.Set("Content-Type", "text/xml")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return seen{err: err}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return seen{resp.StatusCode, resp.Header, string(b), err}
}

// TestTroubles has every trouble that any page can have, on a simple page and on the changelog.
func TestTroubles(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		fault pypitest.Fault
		is    func(got, sound seen) bool
	}{
		{"429", pypitest.Fault{Trouble: pypitest.Status, Status: 429, RetryAfter: "7"},
			func(g, _ seen) bool { return g.status == 429 && g.header.Get("Retry-After") == "7" }},
		{"500", pypitest.Fault{Trouble: pypitest.Status, Status: 500},
			func(g, _ seen) bool { return g.status == 500 && g.header.Get("ETag") == "" }},
		{"truncated", pypitest.Fault{Trouble: pypitest.Truncated},
			func(g, _ seen) bool { return g.status == 200 && errors.Is(g.err, io.ErrUnexpectedEOF) }},
		{"cut", pypitest.Fault{Trouble: pypitest.Cut},
			func(g, s seen) bool { return g.err == nil && g.body == s.body[:len(s.body)/2] }},
		{"dropped", pypitest.Fault{Trouble: pypitest.Dropped}, func(g, _ seen) bool { return errors.Is(g.err, io.EOF) }},
		{"lying", pypitest.Fault{Trouble: pypitest.Lying}, func(g, s seen) bool {
			return g.status == 200 && strings.HasPrefix(g.body, "<html>") && g.header.Get("Content-Type") == s.header.Get("Content-Type")
		}},
		{"circle", pypitest.Fault{Trouble: pypitest.Circle},
			func(g, _ seen) bool {
				return g.err != nil && strings.Contains(g.err.Error(), "stopped after 10 redirects")
			}},
		{"swollen", pypitest.Fault{Trouble: pypitest.Swollen, Bytes: 100_000},
			func(g, s seen) bool {
				return g.err == nil && len(g.body) > 100_000 && len(g.body) < 102_000+len(s.body)
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := pypitest.New(t)
			must(t, s.Tell("many demo 10\n"))
			for _, on := range []struct{ method, path string }{{"GET", "/simple/demo/"}, {"POST", "/pypi"}} {
				sound := see(t, on.method, s.Base()+on.path)
				s.Break(on.path, c.fault)
				if got := see(t, on.method, s.Base()+on.path); !c.is(got, sound) {
					t.Errorf("%s %s: status %d, %d bytes, %v; header %v", on.method, on.path, got.status, len(got.body), got.err, got.header)
				}
				s.Mend(on.path)
				if again := see(t, on.method, s.Base()+on.path); again.body != sound.body || again.status != 200 {
					t.Errorf("%s %s is not mended: %d", on.method, on.path, again.status)
				}
			}
		})
	}
}

// TestSilence hears nothing before an answer and within it, until it gives up.
func TestSilence(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t)
	must(t, s.Tell("many demo 10\n"))
	ctx, cancel := context.WithCancel(t.Context())
	ask := func() (*http.Response, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL()+"demo/", nil)
		must(t, err)
		req.Header.Set("Accept-Encoding", "identity") // of half a stream of gzip one may see nothing
		return http.DefaultClient.Do(req)
	}
	s.Break("/simple/demo/", pypitest.Fault{Trouble: pypitest.Stalled})
	resp, err := ask()
	must(t, err)
	defer resp.Body.Close()
	n, err := resp.Body.Read(make([]byte, 1))
	if resp.StatusCode != 200 || n != 1 {
		t.Fatalf("status %d, then %v", resp.StatusCode, err)
	}
	if _, err := io.ReadFull(resp.Body, make([]byte, 100)); err != nil {
		t.Errorf("it breaks off at once: %v", err)
	}
	time.AfterFunc(200*time.Millisecond, cancel)
	if _, err := io.ReadAll(resp.Body); !errors.Is(err, context.Canceled) {
		t.Errorf("it ends with %v", err)
	}
	s.Break("/simple/demo/", pypitest.Fault{Trouble: pypitest.Silent})
	ctx, cancel = context.WithCancel(t.Context())
	time.AfterFunc(200*time.Millisecond, cancel)
	if resp, err := ask(); !errors.Is(err, context.Canceled) {
		resp.Body.Close()
		t.Errorf("status %d, %v", resp.StatusCode, err)
	}
}

// TestSwollenIsSound: readers that can take so much read the same.
func TestSwollenIsSound(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t, "-- demo==1.0 --\nsdist: none\nwheel: py3-none-any\n")
	want := facts(t, s, "demo")
	s.Break("/pypi", pypitest.Fault{Trouble: pypitest.Swollen})
	s.Break("/simple/", pypitest.Fault{Trouble: pypitest.Swollen})
	if got := facts(t, s, "demo"); got != want {
		t.Errorf("the page shows %s, want %s", got, want)
	}
	var last int64
	python(t, s, "print(p.changelog_last_serial())", &last)
	if last != s.Serial("") {
		t.Errorf("last serial %d, want %d", last, s.Serial(""))
	}
	s.HTMLOnly(true)
	out, err := s.Pip(t, "download", "--no-deps", "demo")
	if err != nil {
		t.Errorf("pip: %v\n%s", err, out)
	}
}

// TestBomb counts what it costs on the wire, and what it is without limits.
func TestBomb(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t, "-- demo==1.0 --\n")
	s.Break("/simple/demo/", pypitest.Fault{Trouble: pypitest.Bomb})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+"demo/", nil)
	must(t, err)
	req.Header.Set("Accept-Encoding", "gzip")
	req.Header.Set("Accept", "application/vnd.pypi.simple.v1+json")
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	defer resp.Body.Close()
	var wire meter
	zip, err := gzip.NewReader(io.TeeReader(resp.Body, &wire))
	must(t, err)
	n, err := io.CopyN(io.Discard, zip, 1<<30)
	if err != nil || wire.size > 10_000_000 {
		t.Fatalf("%d bytes of %d on the wire, %v", n, wire.size, err)
	}
	var page simplePage
	must(t, json.NewDecoder(zip).Decode(&page))
	if len(page.Files) != 1 {
		t.Errorf("then the page: %+v", page)
	}
}

// TestBigSummary: 5 MB of metadata that an author wrote.
func TestBigSummary(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t)
	must(t, s.Add(pypitest.Release{Name: "demo", Version: "1.0", Hollow: true, Summary: strings.Repeat("long ", 1_000_000)}))
	if got := see(t, http.MethodGet, s.Base()+"/pypi/demo/json"); got.err != nil || len(got.body) < 5_000_000 {
		t.Errorf("%d bytes, %v", len(got.body), got.err)
	}
}

// TestStale: a cache answers with what it had, as often as was said.
func TestStale(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t, "-- demo==1.0 --\n")
	old := s.Serial("demo")
	s.Stale("Demo", 2)
	s.Stale("later", 1)
	must(t, s.Tell("release demo 2\nyank demo 1.0\nrelease later 1"))
	for i, want := range []int64{old, old, s.Serial("demo")} {
		form := []string{s.URL() + "demo/", s.Base() + "/pypi/demo/json", s.URL() + "demo/"}[i]
		got := see(t, http.MethodGet, form)
		if got.header.Get("X-PyPI-Last-Serial") != jsonOf(t, want) || strings.Contains(got.body, "demo-2.tar.gz") != (i == 2) {
			t.Errorf("%d. answer has serial %s, want %d: %s", i, got.header.Get("X-PyPI-Last-Serial"), want, got.body)
		}
	}
	for _, want := range []string{"404", "active [1] later-1.tar.gz"} {
		if got := facts(t, s, "later"); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	must(t, err)
	return string(b)
}

// TestGoneForAWhile: a project that exists is not found, some times.
func TestGoneForAWhile(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t, "-- demo==1.0 --\n")
	must(t, s.Tell("break /simple/demo/ status status=404 times=2"))
	for _, want := range []int{404, 404, 200} {
		if got := see(t, http.MethodGet, s.URL()+"demo/").status; got != want {
			t.Errorf("status %d, want %d", got, want)
		}
	}
}
