package ingest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"pinwheel/internal/farm"
	"pinwheel/internal/pep"
	"pinwheel/internal/pypi"
	"pinwheel/internal/store"
)

// drawnPage is a project with some of five versions, in any state that PyPI knows.
func drawnPage(t *rapid.T, spell func(*rapid.T, string) string) *pypi.Project {
	p := page()
	for _, v := range []string{"2004d", "0.9", "1.0", "1.1", "2.0rc1"} {
		if rapid.IntRange(0, 3).Draw(t, "absent") == 0 {
			continue
		}
		p.Releases = append(p.Releases, drawnRelease(t, spell(t, v)))
	}
	p.Status = rapid.SampledFrom([]string{"active", "active", "archived", statusQuarantined}).Draw(t, "status")
	if p.Status == statusQuarantined {
		p.Releases = nil
	}
	return p
}

func drawnRelease(t *rapid.T, version string) pypi.Release {
	r := release(version, hash(rapid.SampledFrom([]string{"a", "b", ""}).Draw(t, "hash")))
	r.Uploaded = today().AddDate(0, 0, -rapid.IntRange(1, 30).Draw(t, "age"))
	r.Yanked = rapid.IntRange(0, 3).Draw(t, "yanked") == 0
	r.RequiresPython = rapid.SampledFrom([]string{"", ">=3.10", "<3.10", ">=4"}).Draw(t, "python")
	if rapid.IntRange(0, 3).Draw(t, "sdist") == 0 || r.Legacy {
		r.Sdist = nil
	}
	for _, tags := range []string{"py3-none-any", "cp39-cp39-linux_armv7l", "cp313-abi3-manylinux_2_17_armv7l"} {
		if rapid.IntRange(0, 3).Draw(t, "wheel") == 0 && !r.Legacy {
			r.Wheels = append(r.Wheels, pypi.File{Filename: "demo-" + r.Raw + "-" + tags + ".whl", RequiresPython: r.RequiresPython})
		}
	}
	return r
}

func asWritten(_ *rapid.T, v string) string { return v }

func anySpelling(t *rapid.T, v string) string {
	if v == "2004d" {
		return v
	}
	return rapid.SampledFrom([]string{v, v, strings.Replace(v, ".", ".0", 1), "v" + v, "0!" + v}).Draw(t, "spelling")
}

// change lets slaves, targets and the policy change.
func (m *model) change(t *rapid.T) {
	m.env.Live = map[int64]bool{1: rapid.Bool().Draw(t, "live"), 2: rapid.Bool().Draw(t, "live")}
	says := rapid.SampledFrom([]string{farm.PolicySkip, farm.PolicyLast, farm.PolicyBuild})
	m.env.Policy.Yanked, m.env.Policy.UpstreamWheels = says.Draw(t, "yanked"), says.Draw(t, "upstream")
	m.env.Skips = nil
	if rapid.IntRange(0, 3).Draw(t, "skip") == 0 {
		m.env.Skips = []store.Skip{{Package: "demo", Version: "1.0", Reason: "no", Author: "ada"}}
	}
	m.env.Targets[1].Facts.Glibc = rapid.SampledFrom([]string{"", "2.41"}).Draw(t, "glibc")
}

// report ends a job, or gives it to a slave, as a farm does.
func (m *model) report(t *rapid.T) {
	for i := range m.known.Releases {
		r := &m.known.Releases[i]
		for k := range r.Jobs {
			if r.Jobs[k].State != farm.Queued && r.Jobs[k].State != farm.Leased || rapid.Bool().Draw(t, "later") {
				continue
			}
			s := rapid.SampledFrom([]farm.State{farm.Leased, farm.Built, farm.Failed}).Draw(t, "ends")
			wheel := ""
			if s == farm.Built && rapid.Bool().Draw(t, "pure") {
				wheel = "demo-1.0-py3-none-any.whl"
			}
			r.Jobs[k].State, r.Jobs[k].Wheel = s, wheel
		}
	}
}

// TestAgreeTwice: whatever pages say in whatever order, whatever slaves bring
// meanwhile: moves are legal, and what was decided once is not decided again
// (model.read sees to both).
func TestAgreeTwice(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		for range rapid.IntRange(1, 8).Draw(t, "events") {
			switch rapid.IntRange(0, 4).Draw(t, "event") {
			case 0:
				m.change(t)
				m.plan()
			case 1:
				m.report(t)
				m.plan()
			case 2:
				m.add(drawnPage(t, anySpelling), "1.0")
			default:
				m.read(drawnPage(t, anySpelling), rapid.Bool().Draw(t, "follow"))
			}
			m.sound()
		}
	})
}

// sound is true of a farm at every moment: a release is there once, with one job at
// most on each target, and nothing waits in vain.
func (m *model) sound() {
	m.t.Helper()
	keys := map[string]bool{}
	for _, r := range m.known.Releases {
		if key := releaseKey(r.Version); keys[key] {
			m.t.Errorf("%s is there twice", r.Version)
		} else {
			keys[key] = true
		}
		state := map[int64]farm.State{}
		for _, j := range r.Jobs {
			if state[j.Target] != "" {
				m.t.Errorf("%s has two jobs on %d", r.Version, j.Target)
			}
			state[j.Target] = j.State
		}
		for _, j := range r.Jobs {
			if s := state[j.Waits]; j.State == farm.Waiting && s != farm.Queued && s != farm.Leased {
				m.t.Errorf("%s on %d waits for %d, which is %q: %s", r.Version, j.Target, j.Waits, s, m.jobs())
			}
		}
	}
}

// TestPagesLeaveNoTrace: while nothing is built, the database is a function of the
// last page and of what decides today.
func TestPagesLeaveNoTrace(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		for range rapid.IntRange(1, 5).Draw(t, "events") {
			if rapid.Bool().Draw(t, "policy") {
				m.change(t)
			}
			m.read(drawnPage(t, asWritten), true)
		}
		last := drawnPage(t, asWritten)
		last.Status = statusActive
		m.read(last, true)
		at := newModel(t)
		at.env = m.env
		at.read(last, true)
		ignore := cmp.Options{
			cmpopts.IgnoreFields(store.KnownRelease{}, "ID"), cmpopts.IgnoreFields(store.KnownJob{}, "ID"),
			cmpopts.SortSlices(func(a, b store.KnownRelease) bool { return a.Version < b.Version }),
			cmpopts.SortSlices(func(a, b store.KnownJob) bool { return a.Target < b.Target }), cmpopts.EquateEmpty(),
		}
		if diff := cmp.Diff(at.known, m.known, ignore); diff != "" {
			t.Fatalf("(-at once +page by page)\n%s", diff)
		}
	})
}

// TestReleaseKey is equal for what PEP 440 calls equal, and only for that.
func TestReleaseKey(t *testing.T) {
	t.Parallel()
	version := rapid.StringMatching(`v?([01]!)?[0-2](\.[0-2]){0,3}((a|-beta|rc)[0-2]?)?(-[0-1]|\.post[0-1])?(\.dev[0-1]?)?(\+[ab0](\.[0-1])?)?`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := version.Draw(t, "a"), version.Draw(t, "b")
		v, err1 := pep.ParseVersion(a)
		w, err2 := pep.ParseVersion(b)
		if err1 != nil || err2 != nil {
			t.Fatalf("%v %v", err1, err2)
		}
		if v.Equal(w) != (releaseKey(a) == releaseKey(b)) {
			t.Fatalf("%s is %s, %s is %s", a, releaseKey(a), b, releaseKey(b))
		}
	})
}

// hostile are words that strangers may write, and worse.
func hostile() *rapid.Generator[string] {
	return rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{
		"", "\x00", "a\x00b", "\xff\xfe", "\u202e", "'; drop table jobs; --", "<script>", "a\nb\tc", " ", "1.0", "\U0010ffff",
		strings.Repeat("0", 300), strings.Repeat("1.", 2000) + "1", strings.Repeat("long ", 10_000), strings.Repeat("é", 600),
	}))
}

func hostileTime() *rapid.Generator[time.Time] {
	return rapid.Custom(func(t *rapid.T) time.Time {
		return time.Unix(rapid.Int64Range(-1<<40, 1<<40).Draw(t, "s"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns"))
	})
}

func hostileRelease(t *rapid.T) pypi.Release {
	words := hostile()
	r := pypi.Release{
		Raw: words.Draw(t, "raw"), Uploaded: hostileTime().Draw(t, "uploaded"), Yanked: rapid.Bool().Draw(t, "yanked"),
		YankReason: words.Draw(t, "reason"), RequiresPython: words.Draw(t, "python"),
	}
	v, err := pep.ParseVersion(r.Raw)
	r.Version, r.Legacy = v, err != nil
	if rapid.Bool().Draw(t, "sdist") {
		r.Sdist = &pypi.File{Filename: words.Draw(t, "file"), URL: words.Draw(t, "url"), SHA256: words.Draw(t, "hash"),
			Size: rapid.Int64().Draw(t, "size")}
	}
	if rapid.Bool().Draw(t, "wheel") {
		r.Wheels = []pypi.File{{Filename: words.Draw(t, "wheel name")}, {Filename: "demo-1.0-py3-none-any.whl"}}
	}
	return r
}

// TestDatabaseTakesAnything: whatever a page holds, the database takes what is made
// of it, gives it back as it was written, and there is nothing to do then.
func TestDatabaseTakesAnything(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", v7, v13)
	rapid.Check(t, func(rt *rapid.T) {
		for range 2 {
			p := pypi.Project{
				Name: "demo", Display: hostile().Draw(rt, "display"), Spelled: rapid.Bool().Draw(rt, "spelled"), Serial: rapid.Int64().Draw(rt, "serial"), ETag: hostile().Draw(rt, "etag"),
				Status: rapid.SampledFrom([]string{"active", "archived", "odd\x00"}).Draw(rt, "status"), StatusReason: hostile().Draw(rt, "why"),
				Releases: rapid.SliceOfN(rapid.Custom(hostileRelease), 0, 4).Draw(rt, "releases"),
			}
			known, env, err := w.look(t.Context(), "demo")
			if err != nil {
				rt.Fatal(err)
			}
			if _, err := w.store.Agree(t.Context(), []store.Agreement{agree(known, &p, env, true)}, nil); err != nil {
				rt.Fatal(err)
			}
			if known, _, err = w.look(t.Context(), "demo"); err != nil {
				rt.Fatal(err)
			}
			if again := agree(known, &p, env, true); !idle(again) {
				rt.Fatalf("asked again, it decides %s", summary(again))
			}
			if rows := len(known.Releases); rows > len(p.Releases) || slices.ContainsFunc(known.Releases, func(r store.KnownRelease) bool { return len(r.Jobs) != 2 }) {
				rt.Fatalf("%d releases of %d: %+v", rows, len(p.Releases), known.Releases)
			}
		}
	})
}
