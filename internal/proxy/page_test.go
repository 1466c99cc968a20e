package proxy

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"
)

var pageURL = &url.URL{Scheme: "https", Host: "index.example", Path: "/simple/foo/"}

const sum1 = "1111111111111111111111111111111111111111111111111111111111111111"
const sum2 = "2222222222222222222222222222222222222222222222222222222222222222"

// collect rewrites a page and lists the links that it leads to us.
func collect(rw *rewrite) *[]link {
	var links []link
	rw.page = pageURL
	rw.at = func(l link) string {
		links = append(links, l)
		return fmt.Sprintf("/i/files/%d/%s", len(links)-1, l.name())
	}
	return &links
}

func TestHTML(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		page, want string
		links      []link
	}{
		"all else stays, byte for byte": {
			"<!DOCTYPE html>\n<HTML><!-- a comment > --><meta NAME=pypi:repository-version content='1.1'><h1>Links & more</h1>\r\n<br/>\xff",
			"<!DOCTYPE html>\n<HTML><!-- a comment > --><meta NAME=pypi:repository-version content='1.1'><h1>Links & more</h1>\r\n<br/>\xff", nil},
		"another host, with a hash": {
			`<a href="https://files.example/a/foo-1.tar.gz#sha256=` + sum1 + `" data-requires-python="&gt;=3.8">foo-1.tar.gz</a>`,
			`<a href="/i/files/0/foo-1.tar.gz#sha256=` + sum1 + `" data-requires-python="&gt;=3.8">foo-1.tar.gz</a>`,
			[]link{{url: "https://files.example/a/foo-1.tar.gz", sum: sum1}}},
		"relative, with another hash, and a query": {
			`<A HREF='../../p/foo-1.whl?x=1&amp;y=2#md5=abc' data-yanked="">`,
			`<a href="/i/files/0/foo-1.whl#md5=abc" data-yanked="">`,
			[]link{{url: "https://index.example/p/foo-1.whl?x=1&y=2"}}},
		"metadata": {
			`<a data-dist-info-metadata="true" data-core-metadata="sha256=` + sum2 + `" href="foo.whl#egg=x&sha256=` + sum1 + `">`,
			`<a data-dist-info-metadata="true" data-core-metadata="sha256=` + sum2 + `" href="/i/files/0/foo.whl#egg=x&amp;sha256=` + sum1 + `">`,
			[]link{{url: "https://index.example/simple/foo/foo.whl", sum: sum1, meta: sum2}}},
		"a base": {
			`<base href="https://other.example/x/"><a href="foo.zip">`, `<a href="/i/files/0/foo.zip">`,
			[]link{{url: "https://other.example/x/foo.zip"}}},
		"nothing to take": {
			`<a>x</a><a href="">x</a><a href="mailto:a@b">x</a><a href="file:///etc/passwd">x</a><a href="ftp://a/b">x</a><a href="http:///x">x</a>`,
			`<a>x</a><a href="">x</a><a href="mailto:a@b">x</a><a href="file:///etc/passwd">x</a><a href="ftp://a/b">x</a><a href="http:///x">x</a>`, nil},
		"a hash that is none": {
			`<a href="f.whl#sha256=xyz">`, `<a href="/i/files/0/f.whl#sha256=xyz">`, []link{{url: "https://index.example/simple/foo/f.whl"}}},
	} {
		var rw rewrite
		links := collect(&rw)
		var out strings.Builder
		if err := rw.html(&out, strings.NewReader(c.page)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if out.String() != c.want {
			t.Errorf("%s:\n got %s\nwant %s", name, out.String(), c.want)
		}
		if diff := cmp.Diff(c.links, *links, cmp.AllowUnexported(link{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	page := `{"meta":{"api-version":"1.1"},"name":"foo","versions":["1"],"files":[` +
		`{"filename":"foo-1.tar.gz","url":"https://files.example/foo-1.tar.gz","hashes":{"sha256":"` + sum1 + `","md5":"x"},"size":12345678901,"yanked":"bad","x":null},` +
		`{"filename":"foo-1.whl","url":"../../foo-1.whl","hashes":{},"core-metadata":{"sha256":"` + sum2 + `"}},` +
		`{"filename":"bar.whl","url":"bar.whl","dist-info-metadata":true}]}`
	want := strings.NewReplacer("https://files.example/foo-1.tar.gz", "/i/files/0/foo-1.tar.gz", "../../foo-1.whl", "/i/files/1/foo-1.whl",
		`"url":"bar.whl"`, `"url":"/i/files/2/bar.whl"`).Replace(page)
	var rw rewrite
	links := collect(&rw)
	var out strings.Builder
	if err := rw.json(&out, strings.NewReader(page)); err != nil {
		t.Fatal(err)
	}
	var got, expected any
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(want), &expected); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(expected, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !strings.Contains(out.String(), "12345678901") {
		t.Error("a large number lost its digits")
	}
	wantLinks := []link{{"https://files.example/foo-1.tar.gz", sum1, ""}, {"https://index.example/foo-1.whl", "", sum2}, {"https://index.example/simple/foo/bar.whl", "", ""}}
	if diff := cmp.Diff(wantLinks, *links, cmp.AllowUnexported(link{})); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
	for _, bad := range []string{"", "[]", `{"files":{}}`, `{"files":[{"url":5}]}`, `{"files":[`, `{"files":[{"url":"a"}]`, `{"files":[]} more`,
		`{"files":[]}{}`, `{"files":null}`, `{"files":[null]}`, "<html>"} {
		if err := rw.json(&out, strings.NewReader(bad)); err == nil {
			t.Errorf("%q is a page", bad)
		}
	}
}

// TestLargeJSON: a page is not held in pieces, each of which costs far more than its bytes.
func TestLargeJSON(t *testing.T) {
	t.Parallel()
	var page strings.Builder
	page.WriteString(`{"meta":{"api-version":"1.1"},"files":[`)
	for i := range 20_000 {
		if i > 0 {
			page.WriteString(",")
		}
		fmt.Fprintf(&page, `{"filename":"foo-%d.whl","url":"foo-%d.whl","hashes":{"sha256":"%s"},"x":[1,2,3]}`, i, i, sum1)
	}
	page.WriteString("]}")
	rw := rewrite{page: pageURL, at: func(l link) string { return l.url }}
	most := &largest{}
	if err := rw.json(most, strings.NewReader(page.String())); err != nil {
		t.Fatal(err)
	}
	if most.n > 1000 || most.all < int64(page.Len()) {
		t.Errorf("%d bytes are written, up to %d at once; the page has %d", most.all, most.n, page.Len())
	}
}

// largest is a writer that notes how much it is given at once, and in all.
type largest struct {
	n   int
	all int64
}

func (l *largest) Write(p []byte) (int, error) {
	l.n, l.all = max(l.n, len(p)), l.all+int64(len(p))
	return len(p), nil
}

// FuzzHTML: what a reader of HTML finds in the page that is passed on leads to us or
// nowhere that we would have to know of, and it finds as many links as before.
func FuzzHTML(f *testing.F) {
	f.Add(`<a href="https://files.example/a/foo-1.tar.gz#sha256=` + sum1 + `">x</a>`)
	f.Add(`<base href=//x/><a href=y/z>`)
	f.Add("<A HREF='&#x2f;a&amp;b' href=2 HREF=3>\x00<script><a href=x></script><plaintext><a href=x>")
	f.Fuzz(func(t *testing.T, page string) {
		var rw rewrite
		links := collect(&rw)
		var out strings.Builder
		if err := rw.html(&out, strings.NewReader(page)); err != nil {
			return
		}
		ours := 0
		for z := html.NewTokenizer(strings.NewReader(out.String())); z.Next() != html.ErrorToken; {
			if tok := z.Token(); tok.Data == "a" && (tok.Type == html.StartTagToken || tok.Type == html.SelfClosingTagToken) {
				href := attribute(tok, "href")
				if strings.HasPrefix(href, "/i/files/") {
					ours++
				} else if _, _, ok := complete(pageURL, href); ok && len(*links) == 0 {
					t.Errorf("%q was left in %q", href, out.String())
				}
			}
		}
		if ours < len(*links) {
			t.Errorf("%d links led to us, %d are in the page: %q", len(*links), ours, out.String())
		}
	})
}
