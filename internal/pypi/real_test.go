package pypi_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/pip"
	"pinwheel/internal/proc"
	"pinwheel/internal/pypi"
)

// TestRealUpstreamForms reads three small projects from the index that pip on this machine uses, through each form
// that it answers: whatever form a farm gets, it must come to know the same. It asks at most nine times.
func TestRealUpstreamForms(t *testing.T) {
	t.Parallel()
	py, _, err := pip.Find(t.Context(), "", proc.User{})
	if err != nil {
		t.Fatal(err)
	}
	simple, err := pip.Upstream(t.Context(), py)
	if err != nil {
		t.Fatal(err)
	}
	clients := map[string]*pypi.Client{}
	for _, form := range []string{"json", "html", "details"} {
		clients[form] = pypi.New(pypi.Config{Simple: simple, Form: form, Tries: 3, Pause: time.Second})
	}
	for _, name := range []string{"six", "markupsafe", "peppercorn"} {
		answers := map[string]map[string]facts{}
		for form, c := range clients {
			p, err := c.Project(t.Context(), name)
			if err != nil && (form == "html" || errors.Is(err, pypi.ErrUnavailable) || !notOffered(c, err)) {
				t.Fatal(err) // HTML is what every index has (PEP 503)
			}
			if err != nil {
				t.Logf("%s: no %s: %v", name, form, err)
				delete(clients, form)
				continue
			}
			answers[form] = factsOf(p)
			t.Logf("%s as %s: %d releases with files, serial %d, status %s, %d left out", name, form, len(answers[form]), p.Serial, p.Status, p.LeftOut)
		}
		if len(answers) < 2 {
			t.Fatalf("%s: this index answers in the forms %v only: nothing to compare", name, answers)
		}
		agree(t, name, answers)
	}
	asked := int64(0)
	for _, c := range clients {
		if st := c.Stats(); len(st.Faults) == 0 {
			asked += st.Requests
		}
	}
	if asked > 9 {
		t.Errorf("asked %d times", asked)
	}
}

// notOffered says whether the first thing that a client asked for came in another form, or does not exist.
func notOffered(c *pypi.Client, err error) bool {
	st := c.Stats()
	return st.Requests == 1 && (errors.Is(err, pypi.ErrNotFound) || st.Faults[pypi.NotIndex]+st.Faults[pypi.Refused] == 1)
}

// facts are what every form of a page tells of a release.
type facts struct {
	Sdist, SHA256, RequiresPython, YankReason string
	Yanked                                    bool
	Wheels                                    map[string]string // hashes
}

func factsOf(p pypi.Project) map[string]facts {
	all := map[string]facts{}
	for _, r := range p.Releases {
		f := facts{RequiresPython: r.RequiresPython, Yanked: r.Yanked, YankReason: r.YankReason, Wheels: map[string]string{}}
		if r.Sdist != nil {
			f.Sdist, f.SHA256 = r.Sdist.Filename, r.Sdist.SHA256
		}
		for _, w := range r.Wheels {
			f.Wheels[w.Filename] = w.SHA256
		}
		if r.Sdist != nil || len(r.Wheels) > 0 { // HTML names releases by their files only
			all[r.Version.String()] = f
		}
	}
	return all
}

func agree(t *testing.T, name string, answers map[string]map[string]facts) {
	t.Helper()
	var first string
	for form, got := range answers {
		if first == "" {
			first = form
		}
		if diff := cmp.Diff(answers[first], got); diff != "" {
			t.Errorf("%s: -%s +%s:\n%s", name, first, form, diff)
		}
		if len(got) < 4 {
			t.Errorf("%s: only %d releases as %s", name, len(got), form)
		}
		for version, f := range got {
			if f.Sdist != "" && len(f.SHA256) != 64 || strings.Contains(f.Sdist, "/") {
				t.Errorf("%s %s as %s: %+v", name, version, form, f)
			}
		}
	}
}
