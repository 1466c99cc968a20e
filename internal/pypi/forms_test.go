package pypi_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"pinwheel/internal/pypi"
	"pinwheel/internal/pypitest"
)

// inForm reads a fake index in one form only.
func inForm(s *pypitest.Server, form string) *pypi.Client {
	return pypi.New(pypi.Config{Simple: s.URL(), Form: form, Timeout: 10 * time.Second, Pause: time.Microsecond, Tries: 2})
}

// TestFormsAgree reads a project in each form alone; they differ only in what a form has no place for.
func TestFormsAgree(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t, demo)
	want, err := inForm(s, "json").Project(t.Context(), "demo-pkg")
	if err != nil {
		t.Fatal(err)
	}
	own := cmpopts.IgnoreFields(pypi.Project{}, "ETag", "Display", "Spelled")
	for form, lacks := range map[string]cmp.Option{
		"html":    cmp.Options{cmpopts.IgnoreFields(pypi.File{}, "Size", "Uploaded"), cmpopts.IgnoreFields(pypi.Release{}, "Uploaded")},
		"details": nil,
	} {
		got, err := inForm(s, form).Project(t.Context(), "demo-pkg")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, sameVersion(), own, lacks); diff != "" {
			t.Errorf("json - %s +:\n%s", form, diff)
		}
	}
	if n := s.Requests("/pypi/demo-pkg/json"); n != 1 {
		t.Errorf("the details were asked for %d times, by who wanted them only", n)
	}
}

// TestDetailsInstead: an index that does not serve simple pages may serve details.
func TestDetailsInstead(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t, demo)
	s.Break("/simple/", pypitest.Fault{Trouble: pypitest.Status, Status: http.StatusNotAcceptable})
	alone := pypi.New(pypi.Config{JSON: s.Base() + "/pypi", Pause: time.Microsecond})
	for name, c := range map[string]*pypi.Client{"406": client(s), "no simple index configured": alone} {
		p, err := c.Project(t.Context(), "demo-pkg")
		if err != nil || len(p.Releases) != 4 || p.Releases[0].Sdist == nil {
			t.Errorf("%s: %+v, %v", name, p.Releases, err)
		}
	}
}

// TestWithoutDetails: an index that has no JSON API, hides it or shows a page for people in its place is read without.
// All but a 404 is counted, with words, for nobody else hears of it; a page for people may be gone the next time.
func TestWithoutDetails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault pypitest.Fault
		kind  pypi.Fault
		again bool // to be read whole the next time
	}{
		"none":       {fault: pypitest.Fault{Trouble: pypitest.Status, Status: http.StatusNotFound}},
		"hidden":     {fault: pypitest.Fault{Trouble: pypitest.Status, Status: http.StatusForbidden}, kind: pypi.Refused},
		"for humans": {fault: pypitest.Fault{Trouble: pypitest.Lying}, kind: pypi.NotJSON, again: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := pypitest.New(t, demo)
			s.HTMLOnly(true)
			s.Break("/pypi/demo-pkg/json", c.fault)
			cl := client(s)
			p, err := cl.Project(t.Context(), "demo-pkg")
			if err != nil || len(p.Releases) != 4 || p.Releases[0].Sdist.Size != 0 || (p.ETag == "") != c.again {
				t.Fatalf("%+v, %v", p, err)
			}
			st := cl.Stats()
			if c.kind == "" && len(st.Faults)+len(st.Borne) > 0 {
				t.Errorf("counted %+v", st)
			}
			if c.kind != "" && (st.Faults[c.kind] != 1 || !strings.Contains(st.Borne[c.kind], s.Base()+"/pypi/demo-pkg/json: ")) {
				t.Errorf("counted %+v, want %s", st, c.kind)
			}
			s.Mend("/pypi/demo-pkg/json")
			if p, err := cl.Project(t.Context(), "demo-pkg"); err != nil || p.Releases[0].Sdist.Size == 0 {
				t.Errorf("mended: %v", err)
			}
		})
	}
}

// TestJSONSettled: the JSON API is asked where it is said to be, or not at all.
func TestJSONSettled(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t, demo)
	s.HTMLOnly(true)
	for _, c := range []struct {
		cfg               pypi.Config
		beside, elsewhere int // requests
	}{
		{pypi.Config{}, 1, 0},
		{pypi.Config{NoJSON: true}, 0, 0},
		{pypi.Config{JSON: s.Base() + "/elsewhere"}, 0, 1},
		{pypi.Config{JSON: s.Base() + "/elsewhere", NoJSON: true}, 0, 0},
	} {
		beside, elsewhere := s.Requests("/pypi/demo-pkg/json"), s.Requests("/elsewhere/demo-pkg/json")
		c.cfg.Simple = s.URL()
		if _, err := pypi.New(c.cfg).Project(t.Context(), "demo-pkg"); err != nil {
			t.Fatal(err)
		}
		beside, elsewhere = s.Requests("/pypi/demo-pkg/json")-beside, s.Requests("/elsewhere/demo-pkg/json")-elsewhere
		if beside != c.beside || elsewhere != c.elsewhere {
			t.Errorf("%+v: asked %d times beside the index, %d times elsewhere", c.cfg, beside, elsewhere)
		}
	}
}

// TestFormRefused: who allows one form gets no other.
func TestFormRefused(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t, demo)
	s.HTMLOnly(true)
	if _, err := inForm(s, "json").Project(t.Context(), "demo-pkg"); err == nil || !strings.Contains(err.Error(), `Content-Type is "text/html"`) {
		t.Errorf("HTML for JSON: %v", err)
	}
	if _, err := inForm(s, "yaml").Project(t.Context(), "demo-pkg"); err == nil || !strings.Contains(err.Error(), `no form of pages called "yaml"`) {
		t.Errorf("yaml: %v", err)
	}
}

// TestUnchanged asks with what was seen, in each form, before and after a change.
func TestUnchanged(t *testing.T) {
	t.Parallel()
	for _, form := range []string{"", "json", "html", "details"} {
		s := pypitest.New(t, demo)
		c := inForm(s, form)
		p, err := c.Project(t.Context(), "demo-pkg")
		if err != nil || p.ETag == "" {
			t.Fatalf("%s: ETag %q, %v", form, p.ETag, err)
		}
		seen := pypi.Seen{ETag: p.ETag, Serial: p.Serial}
		if _, err := c.ProjectIf(t.Context(), "demo-pkg", seen); !errors.Is(err, pypi.ErrUnchanged) {
			t.Errorf("%s: unchanged: %v", form, err)
		}
		if err := s.Yank("demo-pkg", "1.0", ""); err != nil {
			t.Fatal(err)
		}
		if p, err := c.ProjectIf(t.Context(), "demo-pkg", seen); err != nil || !p.Releases[0].Yanked || p.Serial <= seen.Serial {
			t.Errorf("%s: after a yank: serial %d, %v", form, p.Serial, err)
		}
		if faults := c.Stats().Faults; len(faults) > 0 {
			t.Errorf("%s: counted %v", form, faults)
		}
	}
}

// TestStale: an answer from before an announced change is none, neither whole nor as "unchanged".
func TestStale(t *testing.T) {
	t.Parallel()
	for _, form := range []string{"", "json", "html", "details"} {
		s := pypitest.New(t, demo)
		c := inForm(s, form)
		before, err := c.Project(t.Context(), "demo-pkg")
		if err != nil {
			t.Fatal(err)
		}
		s.Stale("demo-pkg", 2)
		if err := s.Yank("demo-pkg", "1.0", ""); err != nil {
			t.Fatal(err)
		}
		wanted := s.Serial("demo-pkg")
		for _, seen := range []pypi.Seen{{}, {ETag: before.ETag, Serial: before.Serial}} {
			_, err := c.ProjectAt(t.Context(), "demo-pkg", seen, wanted)
			if !errors.Is(err, pypi.ErrStale) || !errors.Is(err, pypi.ErrUnavailable) || errors.Is(err, pypi.ErrUnchanged) {
				t.Errorf("%s: with %v: %v", form, seen, err)
			}
		}
		if p, err := c.ProjectAt(t.Context(), "demo-pkg", pypi.Seen{}, wanted); err != nil || p.Serial != wanted {
			t.Errorf("%s: fresh: serial %d, %v", form, p.Serial, err)
		}
		if n := c.Stats().Faults[pypi.Stale]; n != 2 {
			t.Errorf("%s: %d stale answers counted", form, n)
		}
	}
}

// TestNoSerials: an index without them is believed.
func TestNoSerials(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t, demo)
	s.NoSerials(true)
	for _, form := range []string{"json", "html"} {
		p, err := inForm(s, form).ProjectAt(t.Context(), "demo-pkg", pypi.Seen{}, 1<<40)
		if err != nil || p.Serial != 0 {
			t.Errorf("%s: serial %d, %v", form, p.Serial, err)
		}
	}
}

// TestStatus follows a project's standing (PEP 792). Quarantine empties the page, and is not a deletion.
func TestStatus(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t, demo)
	if err := s.SetStatus("demo-pkg", "archived", "tired & gone"); err != nil {
		t.Fatal(err)
	}
	look := func(status, reason string, sdists int) {
		t.Helper()
		for _, form := range []string{"json", "html"} {
			p, err := inForm(s, form).Project(t.Context(), "demo-pkg")
			n := 0
			for _, r := range p.Releases {
				if r.Sdist != nil {
					n++
				}
			}
			if err != nil || p.Status != status || p.StatusReason != reason || n != sdists {
				t.Errorf("%s: status %q, reason %q, %d sdists, %v", form, p.Status, p.StatusReason, n, err)
			}
		}
	}
	look("archived", "tired & gone", 3)
	if err := s.Quarantine("demo-pkg", "malware"); err != nil {
		t.Fatal(err)
	}
	look("quarantined", "malware", 0)
	if err := s.ClearQuarantine("demo-pkg"); err != nil {
		t.Fatal(err)
	}
	look("active", "", 3)
}

// TestNewStatus: a marker that a later standard brings stops nothing.
func TestNewStatus(t *testing.T) {
	t.Parallel()
	for kind, body := range map[string]string{
		"application/vnd.pypi.simple.v1+json": `{"meta":{"api-version":"1.4"},"name":"demo","files":[],"project-status":{"status":"blessed","reason":"x"}}`,
		"text/html":                           `<meta name="pypi:repository-version" content="1.4"><meta name="pypi:project-status" content="blessed">`,
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			_, _ = w.Write([]byte(body))
		}))
		t.Cleanup(s.Close)
		p, err := pypi.New(pypi.Config{Simple: s.URL}).Project(t.Context(), "demo")
		if err != nil || p.Status != "active" || p.StatusReason != "" {
			t.Errorf("%s: %q, %q, %v", kind, p.Status, p.StatusReason, err)
		}
	}
}

// TestIntroduces: the people of an index can find those of a farm, and no setting can break a header.
func TestIntroduces(t *testing.T) {
	t.Parallel()
	for want, cfg := range map[string]pypi.Config{
		"pinwheel":                              {},
		"pinwheel/1.2 (+https://farm.example/)": {Version: "1.2", Contact: "https://farm.example/"},
		"pinwheel/1.2-3 (+me @farm.example)":    {Version: "1.2\r\n 3", Contact: "(me\n @farm.example)"},
		"curl":                                  {Version: "1", UserAgent: "curl"},
	} {
		var agent string
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			agent = r.UserAgent()
			http.NotFound(w, r)
		}))
		cfg.Simple = s.URL
		if _, err := pypi.New(cfg).Project(t.Context(), "demo"); !errors.Is(err, pypi.ErrNotFound) {
			t.Errorf("%q: %v", want, err)
		}
		s.Close()
		if agent != want {
			t.Errorf("User-Agent %q, want %q", agent, want)
		}
	}
}
