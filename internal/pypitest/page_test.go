package pypitest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/pypitest"
)

const acceptJSON = "application/vnd.pypi.simple.v1+json"

// ask makes a request with headers, without the compression that Go's client does by itself.
func ask(t *testing.T, url string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	must(t, err)
	req.Header.Set("Accept-Encoding", "identity")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(t, err)
	return resp, string(b)
}

// TestConditional: a tag is good until what it stands for changes, in each form by itself.
func TestConditional(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/simple/", "/simple/demo/", "/pypi/demo/json"} {
		for _, accept := range []string{acceptJSON, "text/html"} {
			s := pypitest.New(t)
			must(t, s.Tell("release demo 1.0"))
			first, body := ask(t, s.Base()+path, "Accept", accept)
			tag := first.Header.Get("ETag")
			if first.StatusCode != 200 || !strings.HasPrefix(tag, `"`) || body == "" {
				t.Fatalf("%s: status %d, tag %s", path, first.StatusCode, tag)
			}
			same, body := ask(t, s.Base()+path, "Accept", accept, "If-None-Match", `"other", W/`+tag)
			if same.StatusCode != 304 || body != "" || same.Header.Get("X-PyPI-Last-Serial") != first.Header.Get("X-PyPI-Last-Serial") {
				t.Errorf("%s: status %d with %d bytes, want 304", path, same.StatusCode, len(body))
			}
			must(t, s.Tell("release demo 2.0"))
			changed, _ := ask(t, s.Base()+path, "Accept", accept, "If-None-Match", tag)
			if changed.StatusCode != 200 || changed.Header.Get("ETag") == tag {
				t.Errorf("%s: status %d after a change", path, changed.StatusCode)
			}
			s.Break(path, pypitest.Fault{Trouble: pypitest.Cut})
			if broken, _ := ask(t, s.Base()+path, "Accept", accept, "If-None-Match", changed.Header.Get("ETag")); broken.StatusCode != 200 {
				t.Errorf("%s: status %d, want a broken answer", path, broken.StatusCode)
			}
		}
	}
}

// TestArchivingShowsInThePageOnly: no event, the same serial, another tag.
func TestArchivingShowsInThePageOnly(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t)
	must(t, s.Tell("release demo 1.0"))
	before, _ := ask(t, s.URL()+"demo/", "Accept", acceptJSON)
	serial, events := s.Serial(""), len(s.Events())
	must(t, s.Tell("status demo archived"))
	after, _ := ask(t, s.URL()+"demo/", "Accept", acceptJSON, "If-None-Match", before.Header.Get("ETag"))
	if after.StatusCode != 200 || s.Serial("") != serial || s.Serial("demo") != serial || len(s.Events()) != events {
		t.Errorf("status %d, serial %d, was %d", after.StatusCode, s.Serial(""), serial)
	}
}

// TestCompression: only for those who ask, and not of files.
func TestCompression(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t)
	must(t, s.Tell("many demo 50"))
	for path, zipped := range map[string]bool{"/simple/demo/": true, "/files/demo/demo-1.0.0.tar.gz": false} {
		plain, body := ask(t, s.Base()+path)
		if plain.Header.Get("Content-Encoding") != "" {
			t.Errorf("%s is compressed without being asked for", path)
		}
		small, packed := ask(t, s.Base()+path, "Accept-Encoding", "br, gzip")
		if got := small.Header.Get("Content-Encoding"); (got == "gzip") != zipped || zipped && len(packed) > len(body)/2 {
			t.Errorf("%s: encoding %q, %d bytes of %d", path, got, len(packed), len(body))
		}
		if got := see(t, http.MethodGet, s.Base()+path); zipped && got.err != nil {
			t.Errorf("%s: %v", path, got.err)
		}
	}
}

// rootList is the list of all projects as JSON.
type rootList struct {
	Meta     map[string]any
	Projects []map[string]any
}

func readRoot(t *testing.T, s *pypitest.Server) (list rootList) {
	t.Helper()
	_, body := ask(t, s.URL(), "Accept", acceptJSON)
	must(t, json.Unmarshal([]byte(body), &list))
	return list
}

// TestRoot: every project as it is spelled, with its serial; none in quarantine.
func TestRoot(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t)
	must(t, s.Tell("release De.Mo 1.0\nrelease other 1\ncreate bare\nrelease bad 1\nquarantine bad"))
	want := []map[string]any{}
	for _, name := range []string{"bare", "De.Mo", "other"} {
		want = append(want, map[string]any{"name": name, "_last-serial": float64(s.Serial(name))})
	}
	list := readRoot(t, s)
	if diff := cmp.Diff(want, list.Projects); diff != "" || list.Meta["_last-serial"] != float64(s.Serial("")) {
		t.Errorf("meta %v, -want +got:\n%s", list.Meta, diff)
	}
	must(t, s.Tell("clear bad"))
	if n := len(readRoot(t, s).Projects); n != 4 {
		t.Errorf("%d projects after the quarantine", n)
	}
	s.ListStrays("bad\x01name\n", "<b>")
	if list := readRoot(t, s); list.Projects[4]["name"] != "bad\x01name\n" {
		t.Errorf("strays: %v", list.Projects)
	}
	if _, html := ask(t, s.URL()); !strings.Contains(html, `<a href="de-mo/">De.Mo</a>`) || strings.Contains(html, "<b>") {
		t.Errorf("HTML: %s", html)
	}
}

// TestPlainMirror says nothing of serials anywhere.
func TestPlainMirror(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t)
	must(t, s.Tell("release demo 1.0"))
	for _, on := range []bool{false, true} {
		s.NoSerials(on)
		for _, path := range []string{"/simple/", "/simple/demo/", "/pypi/demo/json"} {
			for _, accept := range []string{acceptJSON, "text/html"} {
				resp, body := ask(t, s.Base()+path, "Accept", accept)
				says := strings.Contains(strings.ToLower(body), "serial")
				if says == on || (resp.Header.Get("X-PyPI-Last-Serial") == "") != on || resp.StatusCode != 200 {
					t.Errorf("%s as %s, mirror %t: header %q, body %s", path, accept, on, resp.Header.Get("X-PyPI-Last-Serial"), body)
				}
			}
		}
	}
}

// TestNoPageSerials: the list has those that the pages lack.
func TestNoPageSerials(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t)
	must(t, s.Tell("release demo 1.0\nlack page-serials"))
	for path, want := range map[string]bool{"/simple/": true, "/simple/demo/": false, "/pypi/demo/json": false} {
		for _, accept := range []string{acceptJSON, "text/html"} {
			resp, body := ask(t, s.Base()+path, "Accept", accept)
			says := strings.Contains(strings.ToLower(body), "serial")
			if says != want || (resp.Header.Get("X-PyPI-Last-Serial") != "") != want || resp.StatusCode != 200 {
				t.Errorf("%s as %s: header %q, body %s", path, accept, resp.Header.Get("X-PyPI-Last-Serial"), body)
			}
		}
	}
}

// TestHTMLSaysTheSame as JSON of statuses and serials.
func TestHTMLSaysTheSame(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t)
	must(t, s.Tell("release demo 1.0 python=<3&4\nyank demo 1.0 \"why\"\nquarantine demo bad <i>"))
	_, html := ask(t, s.URL()+"demo/")
	for _, want := range []string{
		`<meta name="pypi:project-status" content="quarantined">`, `<meta name="pypi:project-status-reason" content="bad &lt;i&gt;">`,
		"<!--SERIAL " + jsonOf(t, s.Serial("demo")) + "-->",
	} {
		if !strings.Contains(html, want) {
			t.Errorf("no %s in\n%s", want, html)
		}
	}
	if strings.Contains(html, "<a") {
		t.Errorf("files in quarantine:\n%s", html)
	}
	must(t, s.Tell("clear demo"))
	_, html = ask(t, s.URL()+"demo/")
	if !strings.Contains(html, `data-requires-python="&lt;3&amp;4" data-yanked="&#34;why&#34;">demo-1.0.tar.gz</a>`) {
		t.Errorf("marks of the file:\n%s", html)
	}
}

// TestDetailsAreAsPyPIs: nothing of a project without releases, or in quarantine; empty releases.
func TestDetailsAreAsPyPIs(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t)
	for _, c := range []struct {
		script string
		status int
		has    string
	}{
		{"create demo", 404, "Not Found"},
		{"empty demo 1.0", 200, `"releases":{"1.0":[]}`},
		{"file demo 1.0 demo-1.0.tar.gz", 200, `"packagetype":"sdist","python_version":"source"`},
		{"quarantine demo", 404, "Not Found"},
	} {
		must(t, s.Tell(c.script))
		if resp, body := ask(t, s.Base()+"/pypi/demo/json"); resp.StatusCode != c.status || !strings.Contains(body, c.has) {
			t.Errorf("after %q: status %d, %s", c.script, resp.StatusCode, body)
		}
	}
}

// TestHollowFiles are small, and what the page says.
func TestHollowFiles(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t)
	must(t, s.Tell("release demo 1!2.0+local .tar.gz .zip py3-none-any"))
	files := readPage(t, s, "demo").Files
	for _, f := range files {
		if _, body := ask(t, f.URL); len(body) != f.Size || sum(body) != f.Hashes["sha256"] || len(body) > 100 {
			t.Errorf("%s: %d bytes, the page says %d", f.Filename, len(body), f.Size)
		}
	}
	if hashes := []string{files[0].Hashes["sha256"], files[1].Hashes["sha256"], files[2].Hashes["sha256"]}; len(slices.Compact(slices.Sorted(slices.Values(hashes)))) != 3 {
		t.Errorf("hashes %v", hashes)
	}
}
