package ingest

import (
	"fmt"
	"testing"
	"time"

	"pinwheel/internal/pep"
	"pinwheel/internal/pypi"
	"pinwheel/internal/store"
)

// TestAllEmpty: pages that name no file any more, and do not say that anything has
// changed, take no more away than a page that is not there.
func TestAllEmpty(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	r.mass = newAllowance(2, time.Hour)
	r.begun()
	r.upstream.NoSerials(true)
	var want []string
	for i := range 6 {
		r.upstream.MustAdd(t, fmt.Sprintf("-- p%d==1.0 --\n", i))
		want = append(want, queued(fmt.Sprintf("p%d 1.0", i)))
	}
	r.start()
	r.untilJobs(want...)
	for i := range 6 {
		r.must(r.upstream.Remove(fmt.Sprintf("p%d", i), "1.0"))
	}
	r.until("two are empty, and the others stay", func() bool { return len(r.jobs()) == 4 && r.faulty("names-missing") >= 4 })
}

func TestEmptied(t *testing.T) {
	t.Parallel()
	known := store.Known{ProjectFacts: store.ProjectFacts{Serial: 7}, Releases: []store.KnownRelease{
		{ReleaseFacts: store.ReleaseFacts{Version: "1.0"}},
		{ReleaseFacts: store.ReleaseFacts{Version: "2.0", Wheels: "py3-none-any"}},
	}}
	file := &pypi.File{Filename: "demo-3.0.tar.gz"}
	for _, c := range []struct {
		name string
		page pypi.Project
		want bool
	}{
		{"nothing", pypi.Project{Serial: 7}, true},
		{"nothing, and no serial", pypi.Project{}, true},
		{"versions only", pypi.Project{Serial: 7, Releases: []pypi.Release{{Raw: "1.0"}, {Raw: "2.0"}}}, true},
		{"a change that it tells of", pypi.Project{Serial: 8}, false},
		{"another release", pypi.Project{Serial: 7, Releases: []pypi.Release{{Raw: "3.0", Sdist: file}}}, false},
		{"held back", pypi.Project{Serial: 7, Status: statusQuarantined}, false},
	} {
		if got := emptied(known, c.page); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	if known.Releases = known.Releases[:1]; emptied(known, pypi.Project{}) {
		t.Error("what had no file has lost none")
	}
}

// TestReaderBegins: what one that was ended still held is not missing to the next.
func TestReaderBegins(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for range 2 {
		if !r.newReader().weight.TryAcquire(heldMost) {
			t.Error("a reader begins without room")
		}
	}
}

// TestNewerPageStays: of two masters that read a project at the same time, the one
// with the older page does not have the last word.
func TestNewerPageStays(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	page := func(serial int64, version string) *task {
		v, err := pep.ParseVersion(version)
		r.must(err)
		return &task{
			reading: store.Reading{Name: "demo", Follow: true}, known: store.Known{ProjectFacts: store.ProjectFacts{Name: "demo"}},
			project: &pypi.Project{Name: "demo", Serial: serial, Releases: []pypi.Release{{
				Version: v, Raw: version, Sdist: &pypi.File{Filename: "demo-" + version + ".tar.gz"},
			}}},
		}
	}
	_, err := r.survey(t.Context())
	r.must(err)
	for _, it := range []*task{page(9, "2.0"), page(5, "1.0")} {
		left, err := r.settle(t.Context(), []*task{it})
		r.must(err)
		if len(left) > 0 {
			t.Error("not settled")
		}
	}
	r.untilJobs(queued("demo 2.0"))
}
