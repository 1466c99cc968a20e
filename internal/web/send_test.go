package web

import (
	"compress/gzip"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	htmlPage = "/simple/some-name/"
	gzipped  = "gzip" // as a value of Accept-Encoding, and of Content-Encoding
)

// copyOf writes the compressed copy of a page of the site, of the same time.
func copyOf(t testing.TB, dir, name string) (size int64) {
	t.Helper()
	path := filepath.Join(dir, "site", name)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path + ".gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z := gzip.NewWriter(f)
	page, err := os.ReadFile(path)
	if err == nil {
		_, err = z.Write(page)
	}
	if err == nil {
		err = z.Close()
	}
	if err == nil {
		err = os.Chtimes(path+".gz", time.Time{}, info.ModTime())
	}
	if err != nil {
		t.Fatal(err)
	}
	if info, err = f.Stat(); err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func unpacked(t testing.TB, r *http.Response) string {
	t.Helper()
	z, err := gzip.NewReader(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// setTime makes a file of the site as old as t.
func setTime(t testing.TB, dir, name string, at time.Time) {
	t.Helper()
	if err := os.Chtimes(filepath.Join(dir, "site", name), at, at); err != nil {
		t.Fatal(err)
	}
}

// TestCompressedPages: each form of a page has its copy, which those get who take
// it, as a thing of its own.
func TestCompressedPages(t *testing.T) {
	t.Parallel()
	dir, h := newSite(t)
	sizes := map[string]int64{}
	for _, name := range []string{"index.html", "index.json"} {
		sizes[name] = copyOf(t, dir, "simple/some-name/"+name)
	}
	for accept, name := range map[string]string{"text/html": "index.html", jsonType: "index.json"} {
		plain := ask(h, "GET", htmlPage, "Accept", accept)
		r := ask(h, "GET", htmlPage, "Accept", accept, "Accept-Encoding", "gzip, deflate")
		if r.StatusCode != 200 || r.Header.Get("Content-Encoding") != gzipped || r.ContentLength != sizes[name] ||
			r.Header.Get("Vary") != "Accept, Accept-Encoding" || r.Header.Get("Content-Type") != plain.Header.Get("Content-Type") {
			t.Errorf("%s: %d %v", name, r.StatusCode, r.Header)
		}
		if got, want := unpacked(t, r), bodyOf(t, plain); got != want || want == "" {
			t.Errorf("%s: %q, the page is %q", name, got, want)
		}
		if plain.Header.Get("Content-Encoding") != "" || plain.Header.Get("ETag") == r.Header.Get("ETag") {
			t.Errorf("%s: two forms, one thing: %v, %v", name, plain.Header, r.Header)
		}
		head := ask(h, "HEAD", htmlPage, "Accept", accept, "Accept-Encoding", gzipped)
		if head.ContentLength != sizes[name] || head.Header.Get("Content-Encoding") != gzipped || bodyOf(t, head) != "" {
			t.Errorf("HEAD %s: %v", name, head.Header)
		}
	}
	if r := ask(h, "GET", htmlPage, "Accept-Encoding", "identity, gzip;q=0.5"); r.Header.Get("Content-Encoding") != "" {
		t.Errorf("not asked for: %v", r.Header)
	}
}

// TestCopyOfAnotherPage: what is left of the page before, or of nobody, is not sent.
func TestCopyOfAnotherPage(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(t *testing.T, dir string){
		"none":                  func(*testing.T, string) {},
		"of the page before":    func(t *testing.T, dir string) { setTime(t, dir, "simple/some-name/index.html.gz", time.Unix(1e9, 0)) },
		"of a page yet to come": func(t *testing.T, dir string) { setTime(t, dir, "simple/some-name/index.html", time.Unix(1e9, 0)) },
		"a folder": func(t *testing.T, dir string) {
			path := filepath.Join(dir, "site/simple/some-name/index.html.gz")
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(path, 0o755); err != nil {
				t.Fatal(err)
			}
		},
	} {
		dir, h := newSite(t)
		if name != "none" {
			copyOf(t, dir, "simple/some-name/index.html")
		}
		change(t, dir)
		r := ask(h, "GET", htmlPage, "Accept-Encoding", gzipped)
		if body := bodyOf(t, r); r.StatusCode != 200 || r.Header.Get("Content-Encoding") != "" || body != "html" || r.ContentLength != 4 {
			t.Errorf("%s: %d %v %q", name, r.StatusCode, r.Header, body)
		}
	}
}

// TestConditions: what did not change is not sent again; each other form of a page,
// and the page of a moment later, are other things.
func TestConditions(t *testing.T) {
	t.Parallel()
	dir, h := newSite(t)
	copyOf(t, dir, "simple/some-name/index.html")
	forms := [][]string{
		{"Accept", "text/html"}, {"Accept", "text/html", "Accept-Encoding", gzipped},
		{"Accept", jsonType}, {"Accept", "application/vnd.pypi.simple.v1+html"},
		{"Accept", "application/vnd.pypi.simple.v1+html", "Accept-Encoding", gzipped},
	}
	tags := map[string]bool{}
	for i, form := range forms {
		tag := ask(h, "GET", htmlPage, form...).Header.Get("ETag")
		if tags[tag] || strings.HasPrefix(tag, "W/") {
			t.Errorf("%v: ETag %s", form, tag)
		}
		tags[tag] = true
		for k, other := range forms {
			r := ask(h, "GET", htmlPage, append([]string{"If-None-Match", tag}, other...)...)
			want := map[bool]int{true: 304, false: 200}[i == k]
			if r.StatusCode != want || r.Header.Get("Vary") != "Accept, Accept-Encoding" {
				t.Errorf("%v, asked by one who has %v: %d %v", other, form, r.StatusCode, r.Header)
			}
		}
	}
	setTime(t, dir, "simple/some-name/index.html", time.Now().Add(time.Millisecond))
	for tag := range tags {
		if r := ask(h, "GET", htmlPage, "If-None-Match", tag); r.StatusCode != 200 {
			t.Errorf("changed: %d", r.StatusCode)
		}
	}
}

// TestLastModified: a page of this second may be followed by another of this
// second, so its time says nothing yet; a wheel's always does.
func TestLastModified(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 500)
	dir, h := newSite(t, func(c *Config) { c.Now = func() time.Time { return now } })
	for age, want := range map[time.Duration]bool{0: false, -time.Hour: false, 400: false, 600: true, time.Hour: true} {
		setTime(t, dir, "simple/some-name/index.html", now.Add(-age))
		r := ask(h, "GET", htmlPage)
		changed := r.Header.Get("Last-Modified")
		if (changed != "") != want || want && changed != now.Add(-age).UTC().Format(http.TimeFormat) {
			t.Errorf("a page %v old: %q", age, changed)
		}
		again := ask(h, "GET", htmlPage, "If-Modified-Since", now.Add(-age).UTC().Format(http.TimeFormat))
		if (again.StatusCode == 304) != want {
			t.Errorf("a page %v old, unchanged: %d", age, again.StatusCode)
		}
	}
	setTime(t, dir, "simple/some-name/"+wheelName, now)
	if r := ask(h, "GET", htmlPage+wheelName); r.Header.Get("Last-Modified") != now.UTC().Format(http.TimeFormat) {
		t.Errorf("a wheel: %v", r.Header)
	}
}

// TestRanges: a part is one of the form that is sent, and of the version that it
// was begun with.
func TestRanges(t *testing.T) {
	t.Parallel()
	dir, h := newSite(t)
	copyOf(t, dir, "simple/some-name/index.html")
	wheel := htmlPage + wheelName
	packed := bodyOf(t, ask(h, "GET", htmlPage, "Accept-Encoding", gzipped))
	tag := func(path string, headers ...string) string { return ask(h, "GET", path, headers...).Header.Get("ETag") }
	plainTag, packedTag := tag(htmlPage), tag(htmlPage, "Accept-Encoding", gzipped)
	for _, c := range []struct {
		name, path string
		headers    []string
		code       int
		body       string
	}{
		{"the end of a wheel", wheel, []string{"Range", "bytes=-3"}, 206, "789"},
		{"a wheel to be resumed", wheel, []string{"Range", "bytes=4-", "If-Range", tag(wheel)}, 206, "456789"},
		{"a wheel that is another", wheel, []string{"Range", "bytes=4-", "If-Range", `"x"`}, 200, "0123456789"},
		{"a wheel is never compressed", wheel, []string{"Accept-Encoding", gzipped}, 200, "0123456789"},
		{"nothing is there", wheel, []string{"Range", "bytes=10-"}, 416, ""},
		{"of a page", htmlPage, []string{"Range", "bytes=1-2", "If-Range", plainTag}, 206, "tm"},
		{"of a copy", htmlPage, []string{"Accept-Encoding", gzipped, "Range", "bytes=2-", "If-Range", packedTag}, 206, packed[2:]},
		{"of a page, begun with its copy", htmlPage, []string{"Range", "bytes=1-2", "If-Range", packedTag}, 200, "html"},
		{"of a copy, begun with its page", htmlPage, []string{"Accept-Encoding", gzipped, "Range", "bytes=1-2", "If-Range", plainTag}, 200, packed},
		{"another is expected", htmlPage, []string{"Accept-Encoding", gzipped, "If-Match", plainTag}, 412, ""},
	} {
		r := ask(h, "GET", c.path, c.headers...)
		body := bodyOf(t, r)
		if r.StatusCode != c.code || c.code < 400 && body != c.body {
			t.Errorf("%s: %d %q, want %d %q", c.name, r.StatusCode, body, c.code, c.body)
		}
		if r.ContentLength >= 0 && r.ContentLength != int64(len(body)) {
			t.Errorf("%s: %d bytes are announced, %d come", c.name, r.ContentLength, len(body))
		}
	}
}
