package ingest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/farm"
	"pinwheel/internal/pypi"
	"pinwheel/internal/pypitest"
	"pinwheel/internal/store"
)

// TestQuarantinedRelease: it only vanishes from the page; nothing of it goes, and all
// is as it was when it is named again.
func TestQuarantinedRelease(t *testing.T) {
	t.Parallel()
	m := newModel(t)
	good := page(release("1.0"), release("1.1", withWheels("cp39-cp39-linux_armv7l")), release("1.2"))
	m.read(good, true)
	m.ends("1.0", 1, farm.Built, "demo-1.0-py3-none-any.whl")
	m.read(good, true)
	m.find("1.1", 1).State = farm.Leased
	before := "1.0: built covered-lower-wheel; 1.1: leased waiting-lower-target; 1.2: queued/40 waiting-lower-target"
	m.want("before", before)
	facts := m.known.Releases[0].ReleaseFacts

	m.known.Held = []string{"1.0.0", "1.1"} // however it is spelled
	m.read(good, true)
	m.want("announced, and still named", before)
	held := "1.0: built skipped-quarantined; 1.1: skipped-quarantined skipped-quarantined; 1.2: queued/40 waiting-lower-target"
	bare := pypi.Release{Version: release("1.1").Version, Raw: "1.1"}
	for what, p := range map[string]*pypi.Project{
		"not named": page(release("1.2")), "named without files": page(release("1.2"), bare), "all of it": heldBack(),
	} {
		if m.read(p, true); p.Status == statusActive {
			m.want(what, held)
		}
		if !m.last.Page {
			t.Errorf("%s: the page is not marked", what)
		}
		m.plan()
		m.read(good, true)
		m.want("cleared after "+what, strings.Replace(before, "leased", "queued/50", 1))
		if !m.last.Page {
			t.Errorf("%s: the end of it does not mark the page", what)
		}
	}
	m.read(page(release("1.2")), true)
	if got := m.find("1.0", 2).Reason; got != "quarantined: the upstream holds the release back" {
		t.Errorf("the reason is %q", got)
	}
	facts.Quarantined = true
	if diff := cmp.Diff(facts, m.known.Releases[0].ReleaseFacts); diff != "" {
		t.Errorf("facts of what is held (-want +got)\n%s", diff)
	}
	m.add(page(release("1.2"), bare), "1.1")
	m.want("asked for by hand", held)
	m.known.Held = []string{"1.1"}
	m.read(page(release("1.2")), true)
	m.want("one is removed", "1.1: skipped-quarantined skipped-quarantined; 1.2: queued/40 waiting-lower-target")
	if !slices.Contains(m.last.Remove, int64(101)) {
		t.Errorf("removed: %v", m.last.Remove)
	}
}

// TestHolds are the words of events on quarantined releases.
func TestHolds(t *testing.T) {
	t.Parallel()
	event := func(serial int64, version, action string) pypi.Event {
		return pypi.Event{Name: "demo", Version: version, Action: action, Serial: serial}
	}
	got := holds([]pypi.Event{
		event(6, "0.9", "release quarantined"), event(7, "1.0", "release quarantined"), event(8, "1.0", "yank release"),
		event(9, "1.0", "release quarantine cleared"), event(10, "2.0", "remove release"), event(11, "", "project quarantined"),
		event(12, "", "release quarantined"), event(13, strings.Repeat("1", maxVersion+1), "release quarantined"),
		event(14, "", "remove project"), event(15, "", "remove"),
	}, 6)
	want := []store.Hold{{Package: "demo", Version: "1.0", Held: true}, {Package: "demo", Version: "1.0"},
		{Package: "demo", Version: "2.0"}, {Package: "demo"}, {Package: "demo"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestUnsure: what a page lacks is believed to be gone only if the changelog was
// heard up to the page, and the page tells what was heard of the project.
func TestUnsure(t *testing.T) {
	t.Parallel()
	had := func(version string) store.KnownRelease {
		return store.KnownRelease{ReleaseFacts: store.ReleaseFacts{Version: version, Sdist: farm.Sdist{Filename: version + ".tar.gz"}}}
	}
	full := store.Known{Heard: 10, Announced: 8, Releases: []store.KnownRelease{had("1.0"), had("1.1"), had("2004d")}}
	full.Releases[2].Sdist = farm.Sdist{} // it never had anything
	cases := []struct {
		what   string
		change func(it *task, p *pypi.Project)
		want   bool
	}{
		{"of this moment", func(*task, *pypi.Project) {}, false},
		{"further than the changelog", func(_ *task, p *pypi.Project) { p.Serial = 11 }, true},
		{"further, and lacks nothing", func(_ *task, p *pypi.Project) {
			p.Serial, p.Releases = 11, page(release("1.0"), release("1.1.0")).Releases
		}, false},
		{"further, and has no files of it", func(_ *task, p *pypi.Project) {
			p.Serial = 11
			p.Releases = append(p.Releases, pypi.Release{Version: release("1.1").Version, Raw: "1.1"})
		}, true},
		{"further, and it is held", func(it *task, p *pypi.Project) { it.known.Held, p.Serial = []string{"1.1"}, 11 }, false},
		{"further, and the project is held", func(_ *task, p *pypi.Project) { p.Serial, p.Status = 11, statusQuarantined }, false},
		{"older than what was announced", func(_ *task, p *pypi.Project) { p.Serial = 7 }, true},
		{"older than what was announced meanwhile", func(it *task, _ *pypi.Project) { it.known.Announced = 9 }, true},
		{"older than what was wanted", func(it *task, _ *pypi.Project) { it.reading.Serial = 9 }, true},
		{"without a serial", func(_ *task, p *pypi.Project) { p.Serial = 0 }, false},
		{"without a changelog", func(it *task, p *pypi.Project) { it.known.Heard, p.Serial = 0, 11 }, false},
	}
	for _, c := range cases {
		it, p := &task{known: full}, page(release("1.0"))
		p.Serial = 8
		c.change(it, p)
		if got := unsure(it, *p); got != c.want {
			t.Errorf("%s: %v", c.what, got)
		}
	}
}

// TestHeldThroughTheLoops: an upstream quarantines a release, and clears it, while
// nothing, or everything, else happens to its project.
func TestHeldThroughTheLoops(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	r.begun()
	tell := func(line string) { t.Helper(); r.must(r.upstream.Tell(line)) }
	tell("release demo 1.0\nrelease demo 1.1")
	r.start()
	r.untilJobs(queued("demo 1.0"), queued("demo 1.1"))
	skipped := func(v string) string { return fmt.Sprintf("demo %s %s skipped", v, v7) }
	tell("quarantine-release demo 1.0")
	r.untilJobs(skipped("1.0"), queued("demo 1.1"))
	id := r.release("demo", "1.0")
	tell("release demo 1.2\nremove demo 1.1")
	r.untilJobs(skipped("1.0"), queued("demo 1.2"))
	tell("clear demo 1.0")
	r.untilJobs(queued("demo 1.0"), queued("demo 1.2"))
	if r.release("demo", "1.0") != id {
		t.Error("it is another row")
	}
	tell("quarantine-release demo 1.0\nremove demo 1.0")
	r.untilJobs(queued("demo 1.2"))
	tell("quarantine-release demo 1.2\nremove demo")
	r.untilJobs()
	tell("release demo 1.2\nrelease demo 1.3") // another project of the same name
	r.untilJobs(queued("demo 1.2"), queued("demo 1.3"))
	tell("remove demo 1.2")
	r.untilJobs(queued("demo 1.3"))
}

// release is the row of a release.
func (r *rig) release(name, version string) int64 {
	r.t.Helper()
	known, err := r.store.KnownProjects(r.t.Context(), []string{name})
	r.must(err)
	for _, x := range known[name].Releases {
		if x.Version == version {
			return x.ID
		}
	}
	r.t.Fatalf("no row of %s %s", name, version)
	return 0
}

// TestPageBeforeTheWord: a page is read that lacks a release before the changelog
// could tell why. Nothing is believed until it does, also where the names are
// compared meanwhile in the place of a changelog that does not answer.
func TestPageBeforeTheWord(t *testing.T) {
	t.Parallel()
	t.Run("nothing else tells", func(t *testing.T) {
		t.Parallel()
		pageBeforeTheWord(t, func(r *rig) { r.cfg.WalkEvery = time.Hour }, func(*rig) {})
	})
	t.Run("names are compared", func(t *testing.T) {
		t.Parallel()
		pageBeforeTheWord(t, func(*rig) {}, func(r *rig) {
			r.until("a list stands in for the changelog", func() bool { return r.following().Source == sourceSerials })
		})
	})
}

func pageBeforeTheWord(t *testing.T, change, meanwhile func(*rig)) {
	r := newRig(t, v7)
	r.begun()
	r.must(r.upstream.Tell("release demo 1.0\nrelease demo 1.1"))
	change(r)
	r.start()
	r.untilJobs(queued("demo 1.0"), queued("demo 1.1"))
	id := r.release("demo", "1.0")
	r.until("it follows by the changelog", func() bool { return r.following().Source == sourceChangelog })
	r.upstream.Break("/pypi#changelog_since_serial", pypitest.Fault{Trouble: pypitest.Status, Status: 503})
	r.must(r.upstream.Tell("quarantine-release demo 1.0\nrelease demo 1.2"))
	r.db.Exec(`insert into reading (name, urgency) values ('demo', 40) on conflict do nothing`)
	meanwhile(r)
	r.until("the page waits for the word", func() bool { return r.troubled()["demo"].Trouble == notTold })
	// What else it tells is believed: a new release does not wait for the word on an old one.
	r.untilJobs(queued("demo 1.0"), queued("demo 1.1"), queued("demo 1.2"))
	if got := r.release("demo", "1.0"); got != id {
		t.Errorf("row %d, want %d", got, id)
	}
	r.upstream.Mend("/pypi#changelog_since_serial")
	r.untilJobs(fmt.Sprintf("demo 1.0 %s skipped", v7), queued("demo 1.1"), queued("demo 1.2"))
	r.must(r.upstream.Tell("clear demo 1.0"))
	r.untilJobs(queued("demo 1.0"), queued("demo 1.1"), queued("demo 1.2"))
	if got := r.release("demo", "1.0"); got != id {
		t.Errorf("row %d, want %d", got, id)
	}
}
