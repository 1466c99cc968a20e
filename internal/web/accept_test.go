package web

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// forms names the variants shortly.
func forms(vs []variant) string {
	var out []string
	for _, v := range vs {
		out = append(out, map[string]string{
			"application/vnd.pypi.simple.v1+json": "json", "application/vnd.pypi.simple.v1+html": "v1html", "text/html": "html",
		}[v.accept[0]])
	}
	return strings.Join(out, " ")
}

func TestNegotiate(t *testing.T) {
	t.Parallel()
	const v1 = "application/vnd.pypi.simple.v1"
	for header, want := range map[string]string{
		"":          "html json v1html",
		"*/*":       "html json v1html",
		"text/html": "html",
		"text/*":    "html",
		// pip 23, uv, a browser, an old pip.
		v1 + "+json, " + v1 + "+html; q=0.1, text/html; q=0.01":           "json v1html html",
		v1 + "+json, " + v1 + "+html;q=0.2, text/html;q=0.01":             "json v1html html",
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": "html json v1html",
		"text/html, */*": "html json v1html",
		v1 + "+json":     "json",
		v1 + "+html":     "v1html",
		"application/vnd.pypi.simple.latest+json":                               "json",
		"application/vnd.pypi.simple.latest+html, text/html;q=0.5":              "v1html html",
		strings.ToUpper(v1) + "+JSON;Q=0.5":                                     "json",
		"*/*, text/html;q=0":                                                    "json v1html",
		"application/*":                                                         "json v1html",
		v1 + "+json;q=0.5, text/html;q=0.5":                                     "json html",
		v1 + "+json;q=0.001, */*;q=0.002":                                       "html v1html json",
		"application/vnd.pypi.simple.latest+json;q=0, " + v1 + "+json":          "json",
		"application/json":                                                      "",
		"application/vnd.pypi.simple.v2+json":                                   "",
		"text/html;q=0":                                                         "",
		"nonsense":                                                              "html json v1html",
		"*/html, ;;;, /, text/html;q=1.5, text/html;q=nan, text/html;q=-1":      "html json v1html",
		"image/png, text/html;q=":                                               "",
		"text/html;level=1;q=0.3," + v1 + "+json;q=0.4":                         "json html",
		strings.Repeat("image/png,", maxRanges) + "text/html":                   "",
		"\ttext/html\t;\tq=0.7\t,\t" + v1 + "+json\t;\tq=0.8":                   "json html",
		"application/vnd.pypi.simple.latest+json;q=0.9," + v1 + "+html;q=0.95,": "v1html json",
	} {
		if diff := cmp.Diff(want, forms(negotiate(header))); diff != "" {
			t.Errorf("Accept: %s (-want +got):\n%s", header, diff)
		}
	}
}

// FuzzNegotiate holds the reading of a stranger's header to its promises.
func FuzzNegotiate(f *testing.F) {
	for _, seed := range []string{"", "*/*", "text/html;q=0.5, */*;q=0.1", "a/b;q=1.000;c", ",;=/*", "text/html;q=1e0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		ranges := parseAccept(header)
		if len(ranges) == 0 || len(ranges) > maxRanges {
			t.Fatalf("%d ranges", len(ranges))
		}
		for _, r := range ranges {
			if !(r.weight >= 0 && r.weight <= 1) { // also catches NaN
				t.Errorf("weight %v", r.weight)
			}
		}
		got, last := negotiate(header), 2.0
		for _, v := range got {
			weight, _ := weigh(ranges, v.accept)
			if weight <= 0 || weight > last {
				t.Errorf("%q: %s has weight %v after %v", header, v.accept[0], weight, last)
			}
			last = weight
		}
		// Wishing for nothing that we have changes nothing.
		if len(ranges) < maxRanges && header != "" && len(parseAccept(header+",image/png")) == len(ranges)+1 {
			if again := negotiate(header + ",image/png"); forms(again) != forms(got) {
				t.Errorf("%q: %s, with image/png: %s", header, forms(got), forms(again))
			}
		}
	})
}
