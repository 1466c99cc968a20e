package web

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/buildlog"
	"pinwheel/internal/depot"
	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// logText has what a hostile build could write, which goes out as it came.
const logText = "gcc: <b>error</b>\x1b[31m\xff\x00\r\n"

// zeros is a text without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func packed(t testing.TB, text io.Reader) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := buildlog.Compress(&b, text); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// logs makes a site whose builds 1, 2, … have these logs, as they are stored.
func logs(t testing.TB, stored ...[]byte) (h http.Handler, sums []string) {
	t.Helper()
	_, h = newSite(t, func(c *Config) {
		builds := map[int64]store.BuildRow{}
		for i, body := range stored {
			file := farm.File{Name: buildlog.Name, SHA256: sumOf(string(body)), Size: int64(len(body))}
			if err := c.Depot.(*depot.Local).Put(t.Context(), bytes.NewReader(body), file); err != nil {
				t.Fatal(err)
			}
			builds[int64(i+1)] = store.BuildRow{Outcome: "failed", LogSHA256: file.SHA256}
			sums = append(sums, file.SHA256)
		}
		c.Store = rows{builds: builds}
	})
	return h, sums
}

func TestLog(t *testing.T) {
	t.Parallel()
	const sum = "55c1a9f1bd2bf68cb8b2f5e0b07f4e4a0ec0ea3a9b0b5a5a2cb6a1dba4d1a0aa"
	_, h := newSite(t, func(c *Config) {
		c.Store = rows{builds: map[int64]store.BuildRow{
			2: {}, 3: {Outcome: "lost"}, 4: {Outcome: "failed", LogSHA256: sum}, 5: {Outcome: "failed", LogSHA256: "../x"},
		}}
	})
	for path, want := range map[string]struct {
		code int
		body string
	}{
		"/log/2": {404, "no log yet: the build is under way\n"},
		"/log/3": {404, "no log: the build ended as lost without one\n"},
		"/log/4": {404, "no log: it is not kept any more\n"},
		"/log/5": {500, "something is wrong here, and has been logged\n"},
		"/log/6": {404, "there is no build 6\n"},
	} {
		r := ask(h, "GET", path)
		if body := bodyOf(t, r); r.StatusCode != want.code || body != want.body || r.Header.Get("Content-Type") != "text/plain; charset=utf-8" ||
			r.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d %q %v", path, r.StatusCode, body, r.Header)
		}
	}
}

// TestLogForms: who takes gzip gets the log as it is kept, everybody else its
// text; the log of an early slave is text already. Not a byte of it is changed.
func TestLogForms(t *testing.T) {
	t.Parallel()
	h, sums := logs(t, packed(t, strings.NewReader(logText)), []byte(logText))
	for _, c := range []struct {
		path, accept, encoding, etag string
	}{
		{"/log/1", "gzip, deflate", "gzip", sums[0]},
		{"/log/1", "", "", sums[0] + "-text"},
		{"/log/1", "br, gzip;q=0", "", sums[0] + "-text"},
		{"/log/2", "gzip", "", sums[1]},
		{"/log/2", "", "", sums[1]},
	} {
		r := ask(h, "GET", c.path, "Accept-Encoding", c.accept)
		body, n := "", r.ContentLength
		if c.encoding != "" {
			body = unpacked(t, r)
		} else if body = bodyOf(t, r); n != int64(len(body)) {
			t.Errorf("%s: Content-Length %d", c.path, n)
		}
		got := []string{body, r.Header.Get("Content-Type"), r.Header.Get("Content-Encoding"), r.Header.Get("ETag"),
			r.Header.Get("Vary"), r.Header.Get("X-Content-Type-Options")}
		want := []string{logText, "text/plain; charset=utf-8", c.encoding, `"` + c.etag + `"`, "Accept-Encoding", "nosniff"}
		if diff := cmp.Diff(want, got); r.StatusCode != 200 || diff != "" {
			t.Errorf("%s, Accept-Encoding %q: %d\n%s", c.path, c.accept, r.StatusCode, diff)
		}
		if r := ask(h, "GET", c.path, "Accept-Encoding", c.accept, "If-None-Match", `"`+c.etag+`"`); r.StatusCode != 304 {
			t.Errorf("%s again: %d", c.path, r.StatusCode)
		}
	}
}

// TestLogRanges: the end of a log can be had without the rest, also of its text.
func TestLogRanges(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for i := range 100_000 {
		text.WriteString("line " + strconv.Itoa(i) + "\n")
	}
	h, sums := logs(t, packed(t, strings.NewReader(text.String())))
	r := ask(h, "GET", "/log/1", "Range", "bytes=-11")
	if body := bodyOf(t, r); r.StatusCode != 206 || body != "line 99999\n" {
		t.Errorf("the end: %d %q", r.StatusCode, body)
	}
	r = ask(h, "GET", "/log/1", "Range", "bytes=7-13", "If-Range", `"`+sums[0]+`-text"`)
	if body := bodyOf(t, r); r.StatusCode != 206 || body != "line 1\n" {
		t.Errorf("a line: %d %q", r.StatusCode, body)
	}
	r = ask(h, "GET", "/log/1", "Range", "bytes=7-13", "If-Range", `"`+sums[0]+`"`)
	if body := bodyOf(t, r); r.StatusCode != 200 || body != text.String() {
		t.Errorf("begun compressed: %d, %d bytes", r.StatusCode, len(body))
	}
	// Each would cost unpacking it anew.
	r = ask(h, "GET", "/log/1", "Range", "bytes=9-9,7-7,5-5,3-3")
	if body := bodyOf(t, r); r.StatusCode != 200 || body != text.String() {
		t.Errorf("many: %d, %d bytes", r.StatusCode, len(body))
	}
	r = ask(h, "GET", "/log/1", "Range", "bytes=0-1", "Accept-Encoding", "gzip")
	if body := bodyOf(t, r); r.StatusCode != 206 || body != "\x1f\x8b" || r.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("of the compressed: %d %q %v", r.StatusCode, body, r.Header)
	}
}

// TestHostileLogs: what cannot be unpacked within limits is told so, and nothing
// of it is sent.
func TestHostileLogs(t *testing.T) {
	t.Parallel()
	whole := packed(t, strings.NewReader(logText))
	h, _ := logs(t, packed(t, io.LimitReader(zeros{}, buildlog.MaxText+1)), whole[:len(whole)-1])
	for _, path := range []string{"/log/1", "/log/2"} {
		r := ask(h, "GET", path)
		if body := bodyOf(t, r); r.StatusCode != 500 || body != "no log: what the slave sent cannot be unpacked\n" || r.Header.Get("ETag") != "" {
			t.Errorf("%s: %d %.80q %v", path, r.StatusCode, body, r.Header)
		}
	}
}
