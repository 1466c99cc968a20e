package ingest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/farm"
	"pinwheel/internal/pep"
	"pinwheel/internal/pypi"
	"pinwheel/internal/store"
)

// release is one as the upstream client gives it: with an sdist, unless changed.
func release(raw string, change ...func(*pypi.Release)) pypi.Release {
	r := pypi.Release{Raw: raw, Sdist: &pypi.File{Filename: "demo-" + raw + ".tar.gz"}}
	v, err := pep.ParseVersion(raw)
	r.Version, r.Legacy = v, err != nil
	for _, f := range change {
		f(&r)
	}
	return r
}

func yanked(r *pypi.Release)  { r.Yanked = true }
func noFiles(r *pypi.Release) { r.Sdist = nil }
func onlyWheel(r *pypi.Release) {
	r.Sdist, r.Wheels = nil, []pypi.File{{Filename: "demo-" + r.Raw + "-py3-none-any.whl"}}
}

func needs(python string) func(*pypi.Release) {
	return func(r *pypi.Release) { r.RequiresPython = python }
}

func demo(releases ...pypi.Release) pypi.Project {
	return pypi.Project{Name: "demo", Releases: releases}
}

func old() store.TargetRow {
	return store.TargetRow{Target: farm.Target{ABI: "cp39", Platform: "linux_armv7l"}}
}

func young() store.TargetRow {
	return store.TargetRow{Target: farm.Target{ABI: "cp313", Platform: "linux_armv7l"}, Facts: farm.Facts{Python: "3.13.5"}}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		p    pypi.Project
		ask  Ask
		want string // VERSION@ABI …
	}{
		{"all", demo(release("1.0"), release("2.0", yanked)), Ask{}, "1.0@cp39 1.0@cp313 2.0@cp39 2.0@cp313"},
		{"named", demo(release("1.0"), release("2.0")), Ask{Versions: []string{"2.0"}}, "2.0@cp39 2.0@cp313"},
		{"named goes before newest", demo(release("1.0"), release("2.0")), Ask{Versions: []string{"1.0"}, Newest: true}, "1.0@cp39 1.0@cp313"},
		{"equal spellings are one", demo(release("1.0")), Ask{Versions: []string{"1", "v1.0.0", "1.0"}}, "1.0@cp39 1.0@cp313"},
		{"a legacy version by its letters", demo(release("2004d"), release("1.0")), Ask{Versions: []string{"2004d"}}, "2004d@cp39 2004d@cp313"},
		{"yanked, when named", demo(release("1.0", yanked)), Ask{Versions: []string{"1.0"}}, "1.0@cp39 1.0@cp313"},
		{"newest", demo(release("1.9"), release("1.10"), release("1.2")), Ask{Newest: true}, "1.10@cp39 1.10@cp313"},
		{"newest, final before pre-release", demo(release("1.0"), release("2.0rc1"), release("2.1.dev1")), Ask{Newest: true}, "1.0@cp39 1.0@cp313"},
		{"newest, post before final", demo(release("1.0"), release("1.0.post1")), Ask{Newest: true}, "1.0.post1@cp39 1.0.post1@cp313"},
		{"newest of pre-releases", demo(release("1.0a1"), release("1.0b1")), Ask{Newest: true}, "1.0b1@cp39 1.0b1@cp313"},
		{"newest that is not yanked", demo(release("1.0"), release("2.0", yanked)), Ask{Newest: true}, "1.0@cp39 1.0@cp313"},
		{"newest with a file", demo(release("1.0"), release("2.0", noFiles)), Ask{Newest: true}, "1.0@cp39 1.0@cp313"},
		{"newest without an sdist is newest", demo(release("1.0"), release("2.0", onlyWheel)), Ask{Newest: true}, "2.0@cp39 2.0@cp313"},
		{"newest is never a legacy one", demo(release("9999zz"), release("1.0")), Ask{Newest: true}, "1.0@cp39 1.0@cp313"},
		{"newest for each Python", demo(release("1.0"), release("2.0", needs(">=3.10"))), Ask{Newest: true}, "1.0@cp39 2.0@cp313"},
		{"newest for a Python that has none", demo(release("1.0", needs(">=3.10")), release("2.0", needs(">=3.10"))), Ask{Newest: true}, "2.0@cp39 2.0@cp313"},
		{"newest final for a Python with newer pre-releases", demo(release("1.0b2"), release("2.0", needs(">=3.10"))), Ask{Newest: true}, "1.0b2@cp39 2.0@cp313"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			list, err := choose(c.p, c.ask, []store.TargetRow{old(), young()})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, x := range list {
				got = append(got, x.release.Raw+"@"+x.target.Target.ABI)
			}
			if diff := cmp.Diff(c.want, strings.Join(got, " ")); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestChooseNothing(t *testing.T) {
	t.Parallel()
	many := demo(release("1.0"), release("1.1"), release("1.2"), release("1.3"), release("1.4"), release("1.5"))
	cases := []struct {
		name string
		p    pypi.Project
		ask  Ask
		want string
	}{
		{"no release", demo(), Ask{}, "demo: the upstream has no release of it"},
		{"no such version", demo(release("1.0")), Ask{Versions: []string{"1.0", "2.0"}}, "demo: the upstream has no version 2.0; it has 1.0"},
		{"of many, the last are named", many, Ask{Versions: []string{"9"}}, "it has …, 1.1, 1.2, 1.3, 1.4, 1.5"},
		{"no version", demo(release("1.0")), Ask{Versions: []string{""}}, "has no version ;"},
		{"nothing for pip", demo(release("1.0", yanked), release("2.0", noFiles), release("zz")), Ask{Newest: true}, "no release that pip would take"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := choose(c.p, c.ask, []store.TargetRow{old()})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, error %v, want %q", got, err, c.want)
			}
		})
	}
}
