package pypi_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/pypi"
	"pinwheel/internal/pypitest"
)

// list reads all names of an index into a line each.
func list(t *testing.T, c *pypi.Client, etag string) (pypi.NamesInfo, string, error) {
	t.Helper()
	var b strings.Builder
	info, err := c.Names(t.Context(), etag, func(p pypi.Listed) error {
		fmt.Fprintf(&b, "%s %s %d\n", p.Name, p.Display, p.Serial)
		return nil
	})
	return info, b.String(), err
}

// TestNames reads the list of a fake index in both forms, with names that nothing should be called.
func TestNames(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t, demo, "-- zz_top==1.0 --\n-- Another==2.0 --\n")
	s.ListStrays("a\x01b", "../etc", "-", "", "<script>", strings.Repeat("a", 300), "ünicode")
	for _, form := range []string{"", "json", "html"} {
		serial := func(name string) int64 {
			if form == "html" {
				return 0
			}
			return s.Serial(name)
		}
		want := fmt.Sprintf("another Another %d\ndemo-pkg Demo.Pkg %d\nzz-top zz_top %d\n", serial("another"), serial("demo-pkg"), serial("zz-top"))
		c := inForm(s, form)
		info, got, err := list(t, c, "")
		if err != nil || got != want {
			t.Errorf("%q: %v\n%s", form, err, cmp.Diff(want, got))
		}
		if info.ETag == "" {
			t.Errorf("%q: no ETag", form)
		}
		wantInfo := pypi.NamesInfo{Serial: s.Serial(""), ETag: info.ETag, Serials: form != "html", Count: 3, LeftOut: 7}
		if diff := cmp.Diff(wantInfo, info); diff != "" || c.Stats().Faults[pypi.BadName] != 1 {
			t.Errorf("%q: counted %v\n%s", form, c.Stats().Faults, diff)
		}
		if _, got, err := list(t, c, info.ETag); !errors.Is(err, pypi.ErrUnchanged) || got != "" {
			t.Errorf("%q: unchanged: %q, %v", form, got, err)
		}
	}
	s.NoSerials(true)
	if info, _, err := list(t, client(s), ""); err != nil || info.Serials || info.Serial != 0 {
		t.Errorf("without serials: %+v, %v", info, err)
	}
}

// TestNamesTroubles breaks the list in every way. A list that is not whole is an error, and is not asked for again
// once names were seen.
func TestNamesTroubles(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		trouble     pypitest.Trouble
		unavailable bool
		json, html  pypi.Fault
		asked       int64
	}{
		{pypitest.Status, true, pypi.Unavailable, pypi.Unavailable, 2},
		{pypitest.Silent, true, pypi.Hang, pypi.Hang, 2},
		{pypitest.Stalled, true, pypi.Hang, pypi.Hang, 1},
		{pypitest.Truncated, true, pypi.Truncated, pypi.Truncated, 1},
		{pypitest.Cut, true, pypi.Truncated, pypi.Truncated, 1},
		{pypitest.Dropped, true, pypi.Network, pypi.Network, 2},
		{pypitest.Lying, false, pypi.NotJSON, pypi.NotIndex, 1},
		{pypitest.Circle, false, pypi.Redirect, pypi.Redirect, 1},
		{pypitest.Bomb, false, pypi.TooBig, pypi.TooBig, 1},
		{pypitest.Swollen, false, "", "", 1},
	} {
		for _, form := range []string{"json", "html"} {
			t.Run(string(c.trouble)+" "+form, func(t *testing.T) {
				t.Parallel()
				s := pypitest.New(t, demo, "-- other==1.0 --\n")
				s.Break("/simple/", pypitest.Fault{Trouble: c.trouble, Status: 502})
				cfg := pypi.Config{Simple: s.URL(), Form: form, Pause: time.Microsecond, Tries: 2, Timeout: 10 * time.Second}
				kind := map[string]pypi.Fault{"json": c.json, "html": c.html}[form]
				if kind == pypi.Hang {
					cfg.Timeout = 2 * time.Second // time enough for an answer to begin
				}
				cl := pypi.New(cfg)
				info, _, err := list(t, cl, "")
				if kind == "" {
					if err != nil || info.Count != 2 {
						t.Errorf("%+v, %v", info, err)
					}
					return
				}
				if err == nil || errors.Is(err, pypi.ErrUnavailable) != c.unavailable || errors.Is(err, pypi.ErrNotFound) {
					t.Errorf("error is %v", err)
				}
				if st := cl.Stats(); st.Requests != c.asked || st.Faults[kind] != c.asked {
					t.Errorf("asked %d times, want %d; counted %v, want %s", st.Requests, c.asked, st.Faults, kind)
				}
			})
		}
	}
}

// TestNamesOddLists reads lists of other makers, and things that are none.
func TestNamesOddLists(t *testing.T) {
	t.Parallel()
	const meta = `"meta":{"api-version":"1.0"}`
	const isJSON, isHTML = "application/vnd.pypi.simple.v1+json", "text/html"
	for _, c := range []struct {
		name, kind, body string
		want             string // names
		leftOut          int
		err              string
	}{
		{"meta last", isJSON, `{"x":[{"y":["z"]}],"projects":[{"name":"A.b"},{"name":"c","more":{}}],` + meta + `}`, "a-b c", 0, ""},
		{"serials as text", isJSON, `{"meta":{"api-version":"1.0","_last-serial":"7"},"projects":[{"name":"a","_last-serial":"5"}]}`, "a", 0, ""},
		{"odd entries", isJSON, `{` + meta + `,"projects":[5,{"name":7},null,{"name":"a","_last-serial":"x"},{"name":"b","_last-serial":-4}]}`, "b", 4, ""},
		{"empty", isJSON, `{` + meta + `,"projects":[]}`, "", 0, ""},
		{"next major", isJSON, `{"meta":{"api-version":"2.0"},"projects":[{"name":"a"}]}`, "a", 0, `version "2.0" cannot be read`},
		{"no version", isJSON, `{"projects":[{"name":"a"}]}`, "a", 0, `version "" cannot be read`},
		{"error object", isJSON, `{"message":"rate limited"}`, "", 0, "JSON without projects"},
		{"a list", isJSON, `["a"]`, "", 0, "[ where { should be"},
		{"projects of another shape", isJSON, `{` + meta + `,"projects":{"a":1}}`, "", 0, "{ where [ should be"},
		{"meta of another shape", isJSON, `{"meta":[],"projects":[]}`, "", 0, "not the JSON of a list of names: json: cannot"},
		{"broken", isJSON, `{` + meta + `,"projects":[{"name":"a"},{"name":b}]}`, "a", 0, "not the JSON of a list of names: invalid"},
		{"more behind", isJSON, `{` + meta + `,"projects":[]} {}`, "", 0, "more behind"},
		{"two in one", isJSON, `{` + meta + `,"projects":[{"name":"a"}`, "a", 0, "the JSON of a list of names is cut off after 1 names"},
		{"nothing", isJSON, ``, "", 0, "cut off"},
		{"absolute", isHTML, `<!DOCTYPE html><html><a href="/simple/a-b/">A.b</a><A HREF="c"> c </A></html><!--SERIAL 7-->`, "a-b c", 0, ""},
		{"elsewhere, but marked", isHTML, `<meta name="pypi:repository-version" content="1.0"><a href="https://h.example/x/a/#top">a</a>`, "a", 0, ""},
		{"a site", isHTML, `<html><a href="/login">login</a><a href="https://h.example/simple2/a/">a</a></html>`, "", 2, "without links to projects"},
		{"another text", isHTML, `<a href="a/">a</a><a href="b/">c</a><a name="d">d</a><a href="../">..</a>`, "a", 3, ""},
		{"cut in a link", isHTML, `<a href="a/">a</a><a href="b/">b`, "a", 0, "the HTML list is cut off"},
		{"text", "text/plain", `a b`, "", 0, `Content-Type is "text/plain"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", c.kind)
				_, _ = io.WriteString(w, c.body)
			}))
			t.Cleanup(s.Close)
			var names []string
			info, err := pypi.New(pypi.Config{Simple: s.URL + "/simple"}).Names(t.Context(), "", func(p pypi.Listed) error {
				names = append(names, p.Name)
				return nil
			})
			if got := strings.Join(names, " "); got != c.want || info.LeftOut != c.leftOut || info.Count != len(names) {
				t.Errorf("names %q, want %q; %d left out, want %d", got, c.want, info.LeftOut, c.leftOut)
			}
			if (err == nil) != (c.err == "") || (err != nil && !strings.Contains(err.Error(), c.err)) {
				t.Errorf("error is %v, want %q", err, c.err)
			}
		})
	}
}

// TestNamesVisitor: who visits may end the reading, with an error that is nobody else's, whatever it looks like.
func TestNamesVisitor(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t, demo, "-- other==1.0 --\n")
	for _, form := range []string{"json", "html"} {
		c := inForm(s, form)
		mine := fmt.Errorf("the database is away: %w", io.ErrUnexpectedEOF)
		info, err := c.Names(t.Context(), "", func(pypi.Listed) error { return mine })
		if !errors.Is(err, mine) || errors.Is(err, pypi.ErrUnavailable) || info.Count != 1 {
			t.Errorf("%s: after %d names %v", form, info.Count, err)
		}
		if st := c.Stats(); st.Requests != 1 || len(st.Faults) > 0 {
			t.Errorf("%s: counted %+v", form, st)
		}
	}
}
