package pypitest_test

import (
	"cmp"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	diff "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"pinwheel/internal/pypitest"
)

// TestRandomStories: whatever happens, pages, root list and changelog agree with the state.
func TestRandomStories(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		s, err := pypitest.Start("")
		if err != nil {
			r.Fatal(err)
		}
		defer s.Close()
		teller := pypitest.Teller{Silent: true, Pick: func(n int) int { return rapid.IntRange(0, n-1).Draw(r, "pick") }}
		for range rapid.IntRange(1, 40).Draw(r, "lines") {
			if line, err := teller.Next(s); err != nil {
				r.Fatalf("%s: %v", line, err)
			}
		}
		checkPages(t, r, s)
		checkEvents(r, s)
	})
}

// checkPages reads every page of the state.
func checkPages(t *testing.T, r *rapid.T, s *pypitest.Server) {
	listed := map[string]float64{}
	for _, p := range readRoot(t, s).Projects {
		listed[p["name"].(string)] = p["_last-serial"].(float64)
	}
	for name, p := range s.State().Projects {
		var want []string
		for _, release := range p.Releases {
			for _, f := range release.Files {
				if !f.Hidden && p.Status != "quarantined" {
					want = append(want, fmt.Sprint(f.Filename, f.Size, f.SHA256))
				}
			}
		}
		var got []string
		for _, f := range readPage(t, s, name).Files {
			got = append(got, fmt.Sprint(f.Filename, f.Size, f.Hashes["sha256"]))
		}
		slices.Sort(want)
		slices.Sort(got)
		if d := diff.Diff(want, got); d != "" {
			r.Errorf("%s: -state +page:\n%s", name, d)
		}
		if serial, ok := listed[p.Display]; ok == (p.Status == "quarantined") || ok && int64(serial) != p.Serial {
			r.Errorf("%s: %s with serial %v in the list, %d in the state", p.Display, p.Status, serial, p.Serial)
		}
	}
}

// checkEvents: serials grow, and the last one of each project that is there is the project's.
func checkEvents(r *rapid.T, s *pypitest.Server) {
	events, state := s.Events(), s.State()
	if !slices.IsSortedFunc(events, func(a, b pypitest.Event) int { return cmp.Compare(a.Serial, b.Serial) }) {
		r.Errorf("out of order: %v", events)
	}
	last := map[string]int64{}
	for _, e := range events {
		last[pypitest.Module(e.Name)] = e.Serial
	}
	for name, p := range state.Projects {
		if last[pypitest.Module(name)] != p.Serial {
			r.Errorf("%s: serial %d, the last event has %d", name, p.Serial, last[pypitest.Module(name)])
		}
	}
}

// TestTellerKnowsWhatIsLeft: of many releases some may be there still when the first was removed.
func TestTellerKnowsWhatIsLeft(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t)
	must(t, s.Tell("many demo 3\nremove demo 1.0.0"))
	extra, many := 14, 1 // of what the teller picks from
	teller := pypitest.Teller{Names: []string{"demo"}, Pick: func(n int) int {
		switch n {
		case 20:
			return extra
		case 3:
			return many
		}
		return 0
	}}
	if line, err := teller.Next(s); err != nil {
		t.Errorf("%s: %v", line, err)
	}
}

// TestSameChoicesSameStory: a seed is enough to see a story again.
func TestSameChoicesSameStory(t *testing.T) {
	t.Parallel()
	tell := func() pypitest.State {
		s := pypitest.New(t)
		teller := pypitest.Teller{Pick: rand.New(rand.NewPCG(1, 2)).IntN, Names: []string{"one", "two"}}
		for range 300 {
			if line, err := teller.Next(s); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
		}
		return s.State()
	}
	if d := diff.Diff(tell(), tell()); d != "" {
		t.Error(d)
	}
}

// BenchmarkProjects makes small projects, a release with one sdist each.
func BenchmarkProjects(b *testing.B) {
	s := pypitest.New(b)
	for i := 0; b.Loop(); i++ {
		must(b, s.Upload(pypitest.Release{Name: fmt.Sprintf("p%d", i), Version: "1.0", Hollow: true}))
	}
}

// BenchmarkFollow tells one event and serves what a follower asks for then: the changelog and the page.
func BenchmarkFollow(b *testing.B) {
	s := pypitest.New(b)
	for i := range 10_000 {
		must(b, s.Upload(pypitest.Release{Name: fmt.Sprintf("p%d", i), Version: "1.0", Hollow: true}))
	}
	for i := 0; b.Loop(); i++ {
		before, name := s.Serial(""), fmt.Sprintf("p%d", i%10_000)
		must(b, s.Yank(name, "1.0", ""))
		if n := askAll(b, s, before, name); n == 0 {
			b.Fatal("nothing came")
		}
	}
}

func askAll(b *testing.B, s *pypitest.Server, since int64, name string) int {
	call := fmt.Sprintf("<methodCall><methodName>changelog_since_serial</methodName><params><param><value><int>%d</int></value></param></params></methodCall>", since)
	events, err := http.Post(s.Base()+"/pypi", "text/xml", strings.NewReader(call))
	must(b, err)
	page, err := http.Get(s.URL() + name + "/")
	must(b, err)
	total := int64(0)
	for _, resp := range []*http.Response{events, page} {
		n, err := io.Copy(io.Discard, resp.Body)
		must(b, err)
		must(b, resp.Body.Close())
		total += n
	}
	return int(total)
}
