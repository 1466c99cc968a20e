package ingest

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/farm"
	"pinwheel/internal/pypi"
	"pinwheel/internal/store"
)

// page is a project with releases of long ago.
func page(releases ...pypi.Release) *pypi.Project {
	p := demo(releases...)
	for i := range p.Releases {
		if p.Releases[i].Uploaded.IsZero() {
			p.Releases[i].Uploaded = today().AddDate(-1, 0, 0)
		}
	}
	p.Display, p.Spelled, p.Status = "Demo", true, statusActive
	return &p
}

// heldBack is the page of a quarantined project: it lists nothing.
func heldBack() *pypi.Project {
	p := page()
	p.Status, p.StatusReason = statusQuarantined, "malware"
	return p
}

func withWheels(tags ...string) func(*pypi.Release) {
	return func(r *pypi.Release) {
		for _, t := range tags {
			r.Wheels = append(r.Wheels, pypi.File{Filename: "demo-" + r.Raw + "-" + t + ".whl"})
		}
	}
}

func uploaded(t time.Time) func(*pypi.Release) { return func(r *pypi.Release) { r.Uploaded = t } }

func hash(s string) func(*pypi.Release) { return func(r *pypi.Release) { r.Sdist.SHA256 = s } }

// TestVerdictsOnAPage: what becomes of one release on cp39 and cp313, which both
// have slaves, by what the page says of it.
func TestVerdictsOnAPage(t *testing.T) {
	t.Parallel()
	fresh := uploaded(today().AddDate(0, 0, -13))
	cases := []struct {
		what string
		r    pypi.Release
		env  func(*Environment)
		want string
	}{
		{"of long ago", release("1.0"), nil, "1.0: queued/40 waiting-lower-target"},
		{"new", release("1.0", fresh), nil, "1.0: queued/20 waiting-lower-target"},
		{"new no more", release("1.0", uploaded(today().AddDate(0, 0, -14))), nil, "1.0: queued/40 waiting-lower-target"},
		{"of a time that nobody told", release("1.0", uploaded(time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC))), nil, "1.0: queued/20 waiting-lower-target"},
		{"from the future", release("1.0", uploaded(today().AddDate(9000, 0, 0))), nil, "1.0: queued/20 waiting-lower-target"},
		{"yanked", release("1.0", yanked, fresh), nil, "1.0: queued/60 waiting-lower-target"},
		{"yanked, and not built", release("1.0", yanked), func(e *Environment) { e.Policy.Yanked = farm.PolicySkip }, "1.0: skipped-yanked skipped-yanked"},
		{"without an sdist", release("1.0", onlyWheel), nil, "1.0: skipped-no-sdist skipped-no-sdist"},
		{"legacy", release("2004d"), nil, "2004d: skipped-legacy-version skipped-legacy-version"},
		{"for newer Pythons", release("1.0", needs(">=3.10")), nil, "1.0: skipped-requires-python queued/40"},
		{"for older Pythons", release("1.0", needs("<3.10")), nil, "1.0: queued/40 skipped-requires-python"},
		{"with a pure wheel upstream", release("1.0", withWheels("py3-none-any"), fresh), nil, "1.0: queued/50 waiting-lower-target"},
		{"with a wheel upstream for one of them", release("1.0", withWheels("cp39-cp39-linux_armv7l"), fresh), nil,
			"1.0: queued/50 waiting-lower-target"},
		{"the same, and such are not built", release("1.0", withWheels("cp39-cp39-linux_armv7l"), fresh),
			func(e *Environment) { e.Policy.UpstreamWheels = farm.PolicySkip }, "1.0: covered-upstream-wheel queued/20"},
		{"with a manylinux wheel upstream, and a glibc that is known", release("1.0", withWheels("cp39-abi3-manylinux_2_31_armv7l")),
			func(e *Environment) {
				e.Policy.UpstreamWheels = farm.PolicySkip
				e.Targets[1].Facts.Glibc = "2.41"
			}, "1.0: queued/40 covered-upstream-wheel"},
		{"no slave for the lower", release("1.0"), func(e *Environment) { e.Live = map[int64]bool{2: true} }, "1.0: waiting-lower-target queued/40"},
		{"no slave at all", release("1.0"), func(e *Environment) { e.Live = nil }, "1.0: queued/40 waiting-lower-target"},
		{"skipped by a maintainer", release("1.0"), skips(store.Skip{Package: "demo"}), "1.0: skipped-by-hand skipped-by-hand"},
		{"skipped in this version", release("1.0"), skips(store.Skip{Package: "demo", Version: "1.0.0"}), "1.0: skipped-by-hand skipped-by-hand"},
		{"skipped in another version", release("1.0"), skips(store.Skip{Package: "demo", Version: "1.0.1"}), "1.0: queued/40 waiting-lower-target"},
		{"skipped on one target", release("1.0"), skips(store.Skip{Package: "demo", Target: "cp39-linux_armv7l"}), "1.0: skipped-by-hand queued/40"},
		{"another project is skipped", release("1.0"), skips(store.Skip{Package: "other"}), "1.0: queued/40 waiting-lower-target"},
	}
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			m := newModel(t)
			if c.env != nil {
				c.env(&m.env)
			}
			m.read(page(c.r), true)
			m.want(c.what, c.want)
		})
	}
}

func skips(s store.Skip) func(*Environment) {
	s.Reason, s.Author = "breaks the Pis", "ada"
	return func(e *Environment) { e.Skips = append(e.Skips, s) }
}

func TestWantedGoesBeforeTheBacklog(t *testing.T) {
	t.Parallel()
	m := newModel(t)
	m.known.Wanted = true
	m.read(page(release("1.0"), release("2.0", withWheels("py3-none-any"))), true)
	m.want("wanted, and one has a wheel upstream", "1.0: queued/30 waiting-lower-target; 2.0: queued/50 waiting-lower-target")
}

// TestPagesChange is a project's life, page by page.
func TestPagesChange(t *testing.T) {
	t.Parallel()
	m := newModel(t)
	m.read(page(release("1.0", onlyWheel)), true)
	m.want("a wheel comes first", "1.0: skipped-no-sdist skipped-no-sdist")
	m.read(page(release("1.0")), true)
	m.want("then the sdist", "1.0: queued/40 waiting-lower-target")
	m.read(page(release("1.0"), release("1.1")), true)
	m.want("a release", "1.0: queued/40 waiting-lower-target; 1.1: queued/40 waiting-lower-target")
	m.read(page(release("1.0", yanked), release("1.1")), true)
	m.want("a yank", "1.0: queued/60 waiting-lower-target; 1.1: queued/40 waiting-lower-target")
	if !m.last.Page {
		t.Error("a yank does not mark the page")
	}
	m.read(page(release("1.0"), release("1.1")), true)
	m.want("taken back", "1.0: queued/40 waiting-lower-target; 1.1: queued/40 waiting-lower-target")
	m.read(page(release("1.1")), true)
	m.want("a release is removed", "1.1: queued/40 waiting-lower-target")
	if m.last.Page {
		t.Error("the page is marked without need")
	}
	m.read(page(), true)
	m.want("all are", "")
}

// TestQuarantine: nothing that is known goes, and all is as it was when it ends.
func TestQuarantine(t *testing.T) {
	t.Parallel()
	m := newModel(t)
	good := page(release("1.0"), release("1.1"), release("1.2"), release("1.3"))
	m.read(good, true)
	m.ends("1.0", 1, farm.Built, "demo-1.0-py3-none-any.whl")
	m.read(good, true)
	m.find("1.1", 1).State = farm.Leased
	m.ends("1.2", 1, farm.Failed, "")
	before := "1.0: built covered-lower-wheel; 1.1: leased waiting-lower-target; 1.2: failed queued/40; 1.3: queued/40 waiting-lower-target"
	m.read(good, true)
	m.want("before", before)

	m.read(heldBack(), true)
	held := "1.0: built skipped-quarantined; 1.1: skipped-quarantined skipped-quarantined; " +
		"1.2: failed skipped-quarantined; 1.3: skipped-quarantined skipped-quarantined"
	m.want("quarantined", held)
	if got := m.find("1.3", 1).Reason; got != "quarantined: malware" || !m.last.Page {
		t.Errorf("reason %q, page %v", got, m.last.Page)
	}
	m.plan()
	m.want("planned meanwhile", held)
	m.read(good, true)
	m.want("cleared", strings.Replace(before, "leased", "queued/40", 1))
	if !m.last.Page {
		t.Error("the end of a quarantine does not mark the page")
	}
}

// TestLastSdistGoes: what was built of it goes, and what is shown is why.
func TestLastSdistGoes(t *testing.T) {
	t.Parallel()
	m := newModel(t)
	m.env.Targets = append(m.env.Targets, store.TargetRow{ID: 3, Target: farm.Target{ABI: "cp314", Platform: "linux_armv7l"}})
	m.read(page(release("1.0"), release("1.1"), release("1.2")), true)
	m.ends("1.0", 1, farm.Built, "demo-1.0-cp39-cp39-linux_armv7l.whl")
	m.find("1.1", 1).State = farm.Leased
	m.env.Targets = m.env.Targets[:2]
	m.ends("1.0", 3, farm.Built, "demo-1.0-cp314-cp314-linux_armv7l.whl") // its target is retired by now
	m.read(page(release("1.0", onlyWheel), release("1.1", noFiles), release("1.2", onlyWheel, yanked)), true)
	none := " skipped-no-sdist skipped-no-sdist"
	m.want("the sdists go", "1.0:"+none+"; 1.1:"+none+" waiting-lower-target; 1.2:"+none+" waiting-lower-target")
	m.read(page(release("1.0"), release("1.1"), release("1.2")), true)
	m.want("they come again", "1.0: queued/40 waiting-lower-target; 1.1: queued/40 waiting-lower-target waiting-lower-target; "+
		"1.2: queued/40 waiting-lower-target waiting-lower-target")
}

// TestSdistIsReplaced under the same version: a failure says nothing about it.
func TestSdistIsReplaced(t *testing.T) {
	t.Parallel()
	m := newModel(t)
	m.read(page(release("1.0", hash("a")), release("1.1", hash("a")), release("1.2", hash(""))), true)
	m.ends("1.0", 1, farm.Failed, "")
	m.ends("1.1", 1, farm.Built, "demo-1.1-cp39-cp39-linux_armv7l.whl")
	m.ends("1.2", 1, farm.Failed, "")
	m.plan()
	m.want("before", "1.0: failed queued/40; 1.1: built queued/40; 1.2: failed queued/40")
	m.read(page(release("1.0", hash("b")), release("1.1", hash("b")), release("1.2", hash("b"))), true)
	m.want("the failure is tried again; a hash that is told only now is no other file",
		"1.0: queued/40 waiting-lower-target; 1.1: built queued/40; 1.2: failed queued/40")
}

// TestSpellingsAreOneRelease: rows keep the key by which people know them, and show
// how pip's choice is spelled.
func TestSpellingsAreOneRelease(t *testing.T) {
	t.Parallel()
	m := newModel(t)
	m.read(page(release("1.0"), release("2004d")), true)
	id := m.known.Releases[0].ID
	p := page(release("1.0.0"), release("2004d"))
	p.Releases[0].Raw = "1" // as the index lists it
	m.read(p, true)
	var got []string
	for _, r := range m.known.Releases {
		got = append(got, r.Version+" "+r.Raw+" "+r.Sdist.Filename)
	}
	if diff := cmp.Diff([]string{"1.0 1.0.0 demo-1.0.0.tar.gz", "2004d 2004d demo-2004d.tar.gz"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if m.known.Releases[0].ID != id || len(m.last.Add)+len(m.last.Remove) > 0 {
		t.Error("the row is another one")
	}
}

// TestFarmHoldsOneVersionTwice, as an older one could: the one with wheels stays.
func TestFarmHoldsOneVersionTwice(t *testing.T) {
	t.Parallel()
	m := newModel(t)
	m.read(page(release("1.0")), true)
	twin := m.known.Releases[0]
	twin.ID, twin.Version, twin.Jobs = 7, "1.0.0", []store.KnownJob{{ID: 8, Target: 1, State: farm.Built}}
	m.known.Releases = append(m.known.Releases, twin)
	m.read(page(release("1.0")), true)
	m.want("one of them", "1.0.0: built queued/40")
}

// TestPlanOverWhatIsKnown: targets, slaves and the policy change; no page is asked.
func TestPlanOverWhatIsKnown(t *testing.T) {
	t.Parallel()
	m := newModel(t)
	m.read(page(release("1.0"), release("1.1", yanked)), true)
	m.env.Live = map[int64]bool{2: true}
	m.plan()
	if !m.last.Unread {
		t.Error("a plan counts as reading")
	}
	m.want("the lower's slave goes", "1.0: waiting-lower-target queued/40; 1.1: waiting-lower-target queued/60")
	m.env.Targets = append(m.env.Targets, store.TargetRow{ID: 3, Target: farm.Target{ABI: "cp314", Platform: "linux_armv7l"}})
	m.env.Policy.Yanked = farm.PolicySkip
	m.plan()
	m.want("a target comes, and yanked ones are not built any more",
		"1.0: waiting-lower-target queued/40 waiting-lower-target; 1.1: skipped-yanked skipped-yanked skipped-yanked")
	m.ends("1.0", 2, farm.Built, "demo-1.0-py3-none-any.whl")
	m.env.Targets = append(m.env.Targets, store.TargetRow{ID: 4, Target: farm.Target{ABI: "cp315", Platform: "linux_armv7l"}})
	m.plan()
	m.want("another, after a build", "1.0: queued/40 built covered-lower-wheel covered-lower-wheel; "+
		"1.1: skipped-yanked skipped-yanked skipped-yanked skipped-yanked")
	m.env.Targets, m.env.Retired = m.env.Targets[2:], m.env.Targets[:2]
	m.plan()
	m.want("targets are retired", "1.0: queued/40 built covered-lower-wheel covered-lower-wheel; "+
		"1.1: skipped-yanked skipped-yanked skipped-yanked skipped-yanked")
	for id, abi := range map[int64]string{5: "cp316", 6: "cp36"} {
		m.env.Targets = append(m.env.Targets, store.TargetRow{ID: id, Target: farm.Target{ABI: abi, Platform: "linux_armv7l"}})
	}
	m.env.Policy.Yanked = farm.PolicyLast
	m.read(nil, true)
	m.want("others come: the wheel of the retired one serves the higher, and who builds the others is new",
		"1.0: queued/40 built covered-lower-wheel covered-lower-wheel covered-lower-wheel queued/40; "+
			"1.1: skipped-yanked skipped-yanked waiting-lower-target waiting-lower-target waiting-lower-target queued/60")
}

// TestByHand: of a project that nobody follows, only what was asked for is a job.
func TestByHand(t *testing.T) {
	t.Parallel()
	m := newModel(t)
	p := page(release("1.0"), release("1.1", yanked), release("1.2"))
	m.env.Policy.Yanked = farm.PolicySkip
	m.add(p, "1.1")
	m.want("asked for", "1.1: queued/10 queued/10")
	m.plan()
	m.read(p, false)
	m.want("read again", "1.0:; 1.1: queued/10 queued/10; 1.2:")
	m.env.Targets = append(m.env.Targets, store.TargetRow{ID: 3, Target: farm.Target{ABI: "cp314", Platform: "linux_armv7l"}})
	m.plan()
	m.want("a target comes", "1.0:; 1.1: queued/10 queued/10; 1.2:")
	m.read(p, true)
	m.want("followed", "1.0: queued/40 waiting-lower-target waiting-lower-target; 1.1: queued/10 queued/10 skipped-yanked; "+
		"1.2: queued/40 waiting-lower-target waiting-lower-target")
	m.env.Policy = farm.Policy{} // a command knows no policy, and leaves alone what it was not asked for
	p.Serial, p.Releases = 9, p.Releases[1:]
	m.add(p, "1.2")
	if m.known.Serial != 0 || !m.last.Unread {
		t.Error("it counts as read")
	}
	m.want("asked for, of a followed one", "1.0: queued/40 waiting-lower-target waiting-lower-target; 1.1: queued/10 queued/10 skipped-yanked; "+
		"1.2: queued/10 queued/10 queued/10")
	if !m.known.Followed {
		t.Error("it is not followed any more")
	}
}

// TestWhoBeginsToWaitHoldsTheOther: the outcome may come before the commit, and
// nobody would tell a job that waits for what has been.
func TestWhoBeginsToWaitHoldsTheOther(t *testing.T) {
	t.Parallel()
	m := newModel(t)
	m.env.Targets = m.env.Targets[:1]
	m.read(page(release("1.0")), true)
	j := m.find("1.0", 1)
	j.State = farm.Leased
	m.env.Targets = append(m.env.Targets, store.TargetRow{ID: 3, Target: farm.Target{ABI: "cp314", Platform: "linux_armv7l"}})
	m.plan()
	want := []store.JobMove{{Job: j.ID, From: farm.Leased, Planned: store.Planned{State: farm.Leased, Priority: farm.PriorityBacklog}}}
	if diff := cmp.Diff(want, m.last.Move); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	m.want("after", "1.0: leased waiting-lower-target")
}

// TestProjectFacts: what is known of the project as a whole.
func TestProjectFacts(t *testing.T) {
	t.Parallel()
	m := newModel(t)
	p := page(release("1.0"))
	p.Serial, p.ETag = 7, `"abc"`
	m.read(p, true)
	want := store.ProjectFacts{Name: "demo", Display: "Demo", Status: "active", Serial: 7, ETag: `"abc"`, Followed: true}
	if diff := cmp.Diff(want, m.known.ProjectFacts); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	p.Display, p.Serial, p.ETag, p.Status, p.StatusReason = "DEMO", 8, strings.Repeat("x", 201), "archived", "too\x00 old"
	m.read(p, true)
	want = store.ProjectFacts{Name: "demo", Display: "DEMO", Status: "archived", StatusReason: "too old", Serial: 8, Followed: true}
	if diff := cmp.Diff(want, m.known.ProjectFacts); diff != "" || !m.last.Page {
		t.Errorf("page %v (-want +got)\n%s", m.last.Page, diff)
	}
	p.Display, p.Status = "", "on holiday"
	m.read(p, true)
	want.Display, want.Status, want.StatusReason = "demo", "active", ""
	if diff := cmp.Diff(want, m.known.ProjectFacts); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestSdistFacts: what could not be fetched, or not be kept, is no sdist.
func TestSdistFacts(t *testing.T) {
	t.Parallel()
	const name, url = "demo-1.0.tar.gz", "http://index/demo-1.0.tar.gz"
	cases := []struct {
		what string
		f    *pypi.File
		want farm.Sdist
	}{
		{"none", nil, farm.Sdist{}},
		{"whole", &pypi.File{Filename: name, URL: url, SHA256: "aa", Size: 9}, farm.Sdist{Filename: name, URL: url, SHA256: "aa", Size: 9}},
		{"a size below nothing", &pypi.File{Filename: name, URL: url, Size: -1}, farm.Sdist{Filename: name, URL: url}},
		{"without a name", &pypi.File{URL: url}, farm.Sdist{}},
		{"a name in two lines", &pypi.File{Filename: "demo\n-1.0.tar.gz", URL: url}, farm.Sdist{}},
		{"an address without end", &pypi.File{Filename: name, URL: url + strings.Repeat("x", maxURL)}, farm.Sdist{}},
	}
	for _, c := range cases {
		if got := sdistFacts(c.f); got != c.want {
			t.Errorf("%s: %+v", c.what, got)
		}
	}
}

// BenchmarkAgree is one project of nine releases on three targets, new to the farm
// and then unchanged: of the ten minutes that a full PyPI may take to load, it is to
// be a small part.
func BenchmarkAgree(b *testing.B) {
	var releases []pypi.Release
	for i := range 9 {
		releases = append(releases, release("1."+string(rune('0'+i)), needs(">=3.8"), withWheels("cp39-cp39-manylinux_2_17_armv7l", "py3-none-any")))
	}
	p := page(releases...)
	m := newModel(b)
	m.env.Targets = append(m.env.Targets, store.TargetRow{ID: 3, Target: farm.Target{ABI: "cp314", Platform: "linux_armv7l"}})
	b.Run("new", func(b *testing.B) {
		for b.Loop() {
			agree(store.Known{ProjectFacts: store.ProjectFacts{Name: "demo"}}, p, m.env, true)
		}
	})
	m.read(p, true)
	b.Run("known", func(b *testing.B) {
		for b.Loop() {
			agree(m.known, p, m.env, true)
		}
	})
}
