package pypi

import (
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func address(t testing.TB) *url.URL {
	t.Helper()
	u, err := url.Parse("https://index.example/base/simple/demo-pkg/")
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// answers is an index inside a bubble of testing/synctest, where no network may be.
type answers struct {
	list  []http.Response
	times []time.Time
}

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	resp := a.list[min(len(a.times), len(a.list)-1)]
	a.times = append(a.times, time.Now())
	resp.Request, resp.Body = r, io.NopCloser(strings.NewReader(`<meta name="pypi:repository-version" content="1.0">`))
	return &resp, nil
}

// TestBusy tells an index that wants to be left alone from a page that does.
func TestBusy(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]time.Duration{429: time.Hour, 503: time.Hour, 500: 0, 502: 0, 408: 0, 404: 0} {
		a := &answers{list: []http.Response{{StatusCode: status, Header: http.Header{"Retry-After": {"3600"}}}}}
		_, err := New(Config{Simple: "https://index.example/", HTTP: &http.Client{Transport: a}, Tries: 1}).Project(t.Context(), "demo")
		if got := Busy(err); err == nil || got != want {
			t.Errorf("%d: %v, %v", status, got, err)
		}
	}
}

// TestPauses measures, on a clock of its own, how long the client waits for an index that asks it to.
func TestPauses(t *testing.T) {
	t.Parallel()
	html := http.Header{"Content-Type": {"text/html"}}
	ok := http.Response{StatusCode: 200, Header: html}
	busy := func(after string) http.Response {
		return http.Response{StatusCode: 429, Header: http.Header{"Retry-After": {after}}}
	}
	start := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // synctest's clock
	for _, c := range []struct {
		name  string
		list  []http.Response
		waits []time.Duration
		fails bool
	}{
		{"seconds", []http.Response{busy("7"), busy("30"), ok}, []time.Duration{0, 7 * time.Second, 37 * time.Second}, false},
		{"a date", []http.Response{busy(start.Add(9 * time.Second).Format(http.TimeFormat)), ok}, []time.Duration{0, 9 * time.Second}, false},
		{"a date gone by", []http.Response{busy("Fri, 31 Dec 1999 23:00:00 GMT"), ok}, []time.Duration{0, 0}, false},
		{"beyond patience", []http.Response{busy("3600"), ok}, []time.Duration{0}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &answers{list: c.list}
				cl := New(Config{Simple: "https://index.example/", HTTP: &http.Client{Transport: a}})
				_, err := cl.Project(t.Context(), "demo")
				if c.fails != (After(err) == time.Hour) {
					t.Errorf("to be left alone for %s", After(err))
				}
				if c.fails != errors.Is(err, ErrUnavailable) || (!c.fails && err != nil) {
					t.Errorf("error is %v", err)
				}
				var waits []time.Duration
				for _, at := range a.times {
					waits = append(waits, at.Sub(start))
				}
				if diff := cmp.Diff(c.waits, waits); diff != "" {
					t.Errorf("asked at: -want +got\n%s", diff)
				}
			})
		})
	}
}

// TestRedirects follows to elsewhere, but not out of TLS, and not for ever.
func TestRedirects(t *testing.T) {
	t.Parallel()
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	mux := http.NewServeMux()
	mux.Handle("/down/", http.RedirectHandler(plain.URL, http.StatusFound))
	mux.Handle("/loop/", http.RedirectHandler("/loop/", http.StatusFound))
	secure := httptest.NewUnstartedServer(mux)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains about the client that leaves
	secure.StartTLS()
	t.Cleanup(secure.Close)
	hc := secure.Client()
	hc.CheckRedirect = checkRedirect
	for path, says := range map[string]string{"/down": "redirect refused: from https to http://", "/loop": "more than 5 in a row"} {
		_, err := New(Config{Simple: secure.URL + path, HTTP: hc}).Project(t.Context(), "demo")
		if err == nil || !strings.Contains(err.Error(), says) || errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: %v", path, err)
		}
	}
	_, err := New(Config{Simple: secure.URL}).Project(t.Context(), "demo")
	if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "SSL_CERT_FILE") {
		t.Errorf("unknown certificate: %v", err)
	}
}

// TestHTML reads pages of other makers than ours.
func TestHTML(t *testing.T) {
	t.Parallel()
	const sum = "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"
	const meta = `<meta name="pypi:repository-version" content="1.9">`
	file := func(u, sum string) File {
		return File{Filename: "demo-pkg-1.0.tar.gz", URL: u, SHA256: strings.ToLower(sum)}
	}
	for _, c := range []struct {
		name, html string
		want       []File
		leftOut    int
		err        string
	}{
		{name: "relative", html: `<a href=" ../../f/demo-pkg-1.0.tar.gz#sha256=` + sum + `">x</a>`,
			want: []File{file("https://index.example/base/f/demo-pkg-1.0.tar.gz", sum)}},
		{name: "base", html: `<base href="//mirror.example/x/"><base href="/other/"><A HREF=demo-pkg-1.0.tar.gz>x</A>`,
			want: []File{file("https://mirror.example/x/demo-pkg-1.0.tar.gz", "")}},
		{name: "old fragment", html: `<a href="/demo-pkg-1.0.tar.gz#egg=demo&amp;sha256=` + sum + `">x</a>`,
			want: []File{file("https://index.example/demo-pkg-1.0.tar.gz", sum)}},
		{name: "query and quoting", html: `<a href="http://h.example/demo%2Dpkg-1.0.tar.gz?key=1#md5=00">x</a>`,
			want: []File{file("http://h.example/demo%2Dpkg-1.0.tar.gz?key=1", "")}},
		{name: "other schemes", html: meta + `<a href="file:///demo-pkg-1.0.tar.gz"></a><a href="javascript:alert(1)"></a>` +
			`<a href="ftp://h/demo-pkg-1.0.tar.gz"></a><a href="http:///demo-pkg-1.0.tar.gz"></a>`, leftOut: 4},
		{name: "bad names", html: meta + `<a href="demo-pkg-1.0%0a.tar.gz"></a><a href=".."></a><a href="%zz"></a>` +
			`<a href="demo-pkg-1.0;rm.tar.gz"></a>`, leftOut: 4},
		{name: "bad hash", html: meta + `<a href="demo-pkg-1.0.tar.gz#sha256=beef"></a>`, leftOut: 1},
		{name: "twice", html: `<a href="a/demo-pkg-1.0.tar.gz"></a><a href="b/demo-pkg-1.0.tar.gz"></a>`, leftOut: 1,
			want: []File{file("https://index.example/base/simple/demo-pkg/a/demo-pkg-1.0.tar.gz", "")}},
		{name: "never pip's", html: meta + `<a href="demo_pkg-1.0-py2.7.egg"></a><a href="demo-pkg-1.0.win32.exe"></a>`},
		{name: "not links", html: meta + `<!-- <a href="x-1.0.zip"> --><script>"<a href='x-1.0.zip'>"</script><a name="top"></a>`},
		{name: "empty project", html: `<html>` + meta + `</html>`},
		{name: "next major", html: `<meta name="pypi:repository-version" content="2.0">`, err: `version "2.0" cannot be read`},
		{name: "cut off", html: `<html>` + meta + `<a href="demo-pkg-1.0.tar.gz">x</a>`, err: "cut off"},
		{name: "cut in a link", html: meta + `<a href="demo-pkg-1.0.tar.gz">demo`, err: "cut off"},
		{name: "another page", html: `<a href="/login">Log in</a><a href="other-1.0.tar.gz">x</a>`, err: "not an index page"},
		{name: "nothing", html: ``, err: "not an index page"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, err := parseHTML("demo-pkg", address(t), strings.NewReader(c.html))
			checkPage(t, p, err, c.want, c.leftOut, c.err)
		})
	}
}

func checkPage(t *testing.T, p page, err error, want []File, leftOut int, says string) {
	t.Helper()
	if says != "" {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("error is %v, want %q", err, says)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, p.files); diff != "" || p.leftOut != leftOut {
		t.Errorf("left out %d, want %d; files -want +got:\n%s", p.leftOut, leftOut, diff)
	}
}

// TestJSON reads odd pages.
func TestJSON(t *testing.T) {
	t.Parallel()
	page := func(files string) string {
		return `{"meta":{"api-version":"1.4"},"name":"Demo_pkg","files":[` + files + `]}`
	}
	const good = `"filename":"demo-pkg-1.0.tar.gz","url":"/f/demo-pkg-1.0.tar.gz","hashes":{}`
	file := func(f func(*File)) []File {
		w := File{Filename: "demo-pkg-1.0.tar.gz", URL: "https://index.example/f/demo-pkg-1.0.tar.gz"}
		f(&w)
		return []File{w}
	}
	for _, c := range []struct {
		name, json string
		want       []File
		leftOut    int
		err        string
	}{
		{name: "bare", json: page(`{` + good + `}`), want: file(func(*File) {})},
		{name: "nulls", json: page(`{` + good + `,"requires-python":null,"size":null,"upload-time":null}`), want: file(func(*File) {})},
		{name: "yanked", json: page(`{` + good + `,"yanked":true}`), want: file(func(f *File) { f.Yanked = true })},
		{name: "yanked for a reason", json: page(`{` + good + `,"yanked":"a\u0000b\nc"}`),
			want: file(func(f *File) { f.Yanked, f.YankReason = true, "abc" })},
		{name: "not yanked", json: page(`{` + good + `,"yanked":""}`), want: file(func(*File) {})}, // by PEP 691, a reason is not empty
		{name: "time and size", json: page(`{` + good + `,"size":-5,"upload-time":"2024-02-30T00:00:00Z"}`), want: file(func(*File) {})},
		{name: "one odd file", json: page(`{` + good + `},{"filename":5},"x",null,{` + strings.Replace(good, "/f/demo", "/f/other", 1) + `},` +
			`{` + good + `,"size":"big"},{` + strings.Replace(good, "{}", `{"sha256":"xyz"}`, 1) + `}`),
			want: file(func(*File) {}), leftOut: 6},
		{name: "another project", json: `{"meta":{"api-version":"1.0"},"name":"other","files":[]}`, err: `about project "other"`},
		{name: "next major", json: `{"meta":{"api-version":"2.0"},"name":"demo-pkg","files":[]}`, err: `version "2.0"`},
		{name: "no files", json: `{"meta":{"api-version":"1.0"},"name":"demo-pkg"}`, err: "without name and files"},
		{name: "error object", json: `{"message":"rate limited"}`, err: "without name and files"},
		{name: "HTML", json: "\n<!doctype html>", err: "an HTML page where JSON was promised"},
		{name: "cut off", json: `{"meta":`, err: "the JSON of a project is cut off"},
		{name: "empty", json: ``, err: "the JSON of a project is cut off"},
		{name: "broken", json: `{"meta":}`, err: "not the JSON of a project: invalid character"},
		{name: "odd versions", json: `{"meta":{"api-version":"1.1"},"name":"demo-pkg","versions":[1,"1.0",null],"files":[],"project-status":5}`, leftOut: 1},
		{name: "more behind", json: page("") + "[]", err: "more behind the JSON of a project"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, err := parseJSON("demo-pkg", address(t), strings.NewReader(c.json))
			checkPage(t, p, err, c.want, c.leftOut, c.err)
		})
	}
}

// TestDetails: the JSON API completes the page and never overrules it.
func TestDetails(t *testing.T) {
	t.Parallel()
	ours, theirs := strings.Repeat("a", 64), strings.Repeat("b", 64)
	p := page{serial: 7, files: []File{{Filename: "d-1.zip", SHA256: ours}, {Filename: "d-2.zip", SHA256: ours}, {Filename: "d-3.zip"}}}
	d, err := parseDetails("d", strings.NewReader(`{"info":{"name":"D"},"last_serial":9,"releases":{"2004d":[],"1":[
		{"filename":"d-1.zip","size":1,"digests":{"sha256":"`+ours+`"},"upload_time_iso_8601":"2024-01-01T00:00:00.5+01:00"},
		{"filename":"d-2.zip","size":2,"digests":{"sha256":"`+theirs+`"}},
		{"filename":"d-3.zip","size":3,"digests":{"sha256":"`+theirs+`"}},
		{"filename":"d-4.zip","size":4,"digests":{"sha256":"`+theirs+`"}}, 5]}}`))
	if err != nil {
		t.Fatal(err)
	}
	d.addTo(&p)
	want := []File{
		{Filename: "d-1.zip", SHA256: ours, Size: 1, Uploaded: time.Date(2023, 12, 31, 23, 0, 0, 5e8, time.UTC)},
		{Filename: "d-2.zip", SHA256: ours}, {Filename: "d-3.zip", SHA256: theirs, Size: 3},
	}
	if diff := cmp.Diff(want, p.files); diff != "" || p.serial != 7 || p.display != "D" {
		t.Errorf("serial %d, display %q; -want +got:\n%s", p.serial, p.display, diff)
	}
	got := assemble("d", p)
	if first := got.Releases[0]; !first.Legacy || first.Raw != "2004d" || len(got.Releases) != 4 {
		t.Errorf("releases: %+v", got.Releases)
	}
}

// TestGrouping: equal versions are one release, and of its sdists one is taken.
func TestGrouping(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		versions []string
		files    string // names, yanked ones with a ! at the end
		want     string // RAW:SDIST+WHEELS, "-" for no sdist
		leftOut  int
	}{
		{"zeros", nil, "demo-pkg-1.0.tar.gz demo_pkg-1-py3-none-any.whl", "1.0:demo-pkg-1.0.tar.gz+1", 0},
		{"the index's spelling", []string{"1.0.0"}, "demo-pkg-1.0.tar.gz", "1.0.0:demo-pkg-1.0.tar.gz+0", 0},
		{"order", nil, "demo-pkg-1.10.zip demo-pkg-1.9.zip demo-pkg-1.9rc1.zip", "1.9rc1:demo-pkg-1.9rc1.zip+0 1.9:demo-pkg-1.9.zip+0 1.10:demo-pkg-1.10.zip+0", 0},
		{"last sdist", nil, "demo-pkg-1.zip demo-pkg-1.tar.bz2", "1:demo-pkg-1.tar.bz2+0", 0},
		{"not the yanked sdist", nil, "demo-pkg-1.zip demo-pkg-1.tar.gz!", "1:demo-pkg-1.zip+0", 0},
		{"no files", []string{"3"}, "", "3:-+0", 0},
		{"legacy", []string{"2004d", "1"}, "", "2004d:-+0 1:-+0", 0},
		{"dash in version", nil, "demo.pkg-1.0-1.tgz", "1.0-1:demo.pkg-1.0-1.tgz+0", 0},
		{"strangers", []string{"a\nb", ""}, "demo-1.0.zip demo_pkg_more-1-py3-none-any.whl demo-pkg.zip demo-pkg-.zip demo-pkg-x.zip demo-pkg-1.rar", "", 8},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := page{versions: c.versions}
			for name := range strings.FieldsSeq(c.files) {
				bare, yanked := strings.CutSuffix(name, "!")
				p.files = append(p.files, File{Filename: bare, Yanked: yanked})
			}
			got := assemble("demo-pkg", p)
			if diff := cmp.Diff(c.want, summary(got)); diff != "" || got.LeftOut != c.leftOut {
				t.Errorf("left out %d, want %d; -want +got:\n%s", got.LeftOut, c.leftOut, diff)
			}
		})
	}
}

func summary(p Project) string {
	var parts []string
	for _, r := range p.Releases {
		sdist := "-"
		if r.Sdist != nil {
			sdist = r.Sdist.Filename
		}
		parts = append(parts, r.Raw+":"+sdist+"+"+string(rune('0'+len(r.Wheels))))
	}
	return strings.Join(parts, " ")
}

// TestSpelledOnce: of a version that is spelled twice, without a file that says how, the same spelling is shown each time.
func TestSpelledOnce(t *testing.T) {
	t.Parallel()
	d := details{releases: map[string][]detailsFile{"1.0.0": nil, "1": nil, "1.0": nil}}
	for range 50 {
		var p page
		d.addTo(&p)
		if releases := assemble("demo", p).Releases; len(releases) != 1 || releases[0].Raw != "1" {
			t.Fatalf("%+v", releases)
		}
	}
}
