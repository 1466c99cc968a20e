package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"pinwheel/internal/builder"
	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
)

// twoTargets are this machine's own and one in a root; each has a Debian package of
// its own, and one that both have.
func twoTargets(t *testing.T) []Target {
	t.Helper()
	root, own := t.TempDir(), filepath.Join(t.TempDir(), "status")
	if err := os.MkdirAll(filepath.Join(root, "var/lib/dpkg"), 0o755); err != nil {
		t.Fatal(err)
	}
	for path, name := range map[string]string{own: "cmake", filepath.Join(root, dpkgStatus): "libffi-dev"} {
		text := "Package: gcc\nStatus: install ok installed\n\nPackage: " + name + "\nStatus: install ok installed\n"
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	arm := testPython()
	arm.Path, arm.Platform, arm.Glibc, arm.Codename = "/usr/bin/python3.11", "linux_armv7l", "2.31", "quirky"
	return []Target{{Python: testPython(), Dpkg: own}, {Root: root, Python: arm}}
}

// TestSeveralTargets: all are told of and asked for, and a lease's target says in
// which root, and by which Python, it is built.
func TestSeveralTargets(t *testing.T) {
	t.Parallel()
	m := newMaster(t)
	hellos, asked := make(chan bus.Hello, 16), make(chan []farm.Target, 1)
	m.hello = func(h bus.Hello) bus.Welcome { hellos <- h; return m.welcome() }
	m.next = func(n bus.Next) bus.NextReply {
		select {
		case asked <- n.Targets:
		default:
		}
		return m.giveLease(n)
	}
	m.serve(m.farm.Master)
	built := make(chan builder.Build, 4)
	targets := twoTargets(t)
	m.prepareSlave(Config{Targets: targets}, func(_ context.Context, b builder.Build) (builder.Result, error) {
		built <- b
		return builder.Result{}, errors.New("it is enough to have been asked")
	}).start()

	h := receive(t, hellos)
	want := []bus.ServedTarget{
		{Target: targets[0].Python.Target(), Facts: targets[0].Python.Facts(), Packages: []string{"cmake"}},
		{Target: targets[1].Python.Target(), Facts: targets[1].Python.Facts(), Packages: []string{"libffi-dev"}},
	}
	if diff := cmp.Diff(want, h.Targets); diff != "" || !slices.Equal(h.Packages, []string{"gcc"}) {
		t.Errorf("everywhere %q, and (-want +got)\n%s", h.Packages, diff)
	}
	if got, want := receive(t, asked), []farm.Target{want[0].Target, want[1].Target}; !slices.Equal(got, want) {
		t.Errorf("asked for %v, want %v", got, want)
	}
	for i, target := range targets {
		l := lease(int64(i + 1))
		l.Target = target.Python.Target()
		m.leases <- l
		if b := receive(t, built); b.Root != target.Root || b.Python.Path != target.Python.Path {
			t.Errorf("%s is built in %q by %s", l.Target, b.Root, b.Python.Path)
		}
		receive(t, m.reports)
	}
	stranger := lease(9)
	stranger.Target.ABI = "cp39"
	m.leases <- stranger
	last := lease(3)
	m.leases <- last
	if b := receive(t, built); b.Package != last.Package || b.Root != "" {
		t.Errorf("a lease for %s was built: %+v", stranger.Target, b)
	}
}

// TestCommon: what is told of targets is what each has, however it is split.
func TestCommon(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		names := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}), 0, 5, rapid.ID[string])
		lists := rapid.SliceOfN(names, 1, 3).Draw(r, "lists")
		for _, list := range lists {
			slices.Sort(list)
		}
		all, rest := common(lists)
		for i, list := range lists {
			told := slices.Concat(all, rest[i])
			slices.Sort(told)
			if !slices.Equal(told, list) {
				r.Errorf("%v is told as %v and %v", list, all, rest[i])
			}
		}
	})
	if got := fitting([]string{"aa", "bb", "cc"}, 5); !slices.Equal(got, []string{"aa", "bb"}) {
		t.Errorf("of three names of two letters five hold %v", got)
	}
}

// TestBrokenTargets: the master hears which targets are not served, and why; the others
// are.
func TestBrokenTargets(t *testing.T) {
	t.Parallel()
	m := newMaster(t)
	hellos, beats := make(chan bus.Hello, 16), make(chan bus.Beat, 1024)
	m.hello = func(h bus.Hello) bus.Welcome { hellos <- h; return m.welcome() }
	m.beat = func(b bus.Beat) bus.BeatReply { beats <- b; return bus.BeatReply{} }
	m.serve(m.farm.Master)
	long := strings.Repeat("very ", 500) + "long"
	s := m.prepareSlave(Config{Broken: []Broken{{"/srv/a", errors.New("root /srv/a: has no /bin/sh")}, {"/srv/b", errors.New(long)}}}, goodBuild).start()
	h := receive(t, hellos)
	if len(h.Targets) != 1 || len(h.Broken) != 2 || h.Broken[0] != (bus.Broken{Root: "/srv/a", Why: "root /srv/a: has no /bin/sh"}) ||
		len(h.Broken[1].Why) > bus.MaxText {
		t.Errorf("hello %+v", h)
	}
	m.leases <- lease(1)
	s.wait(Accepted, "TOKEN1")
	const want = " (2 of 3 targets not served: /srv/a, /srv/b)"
	if b := receive(t, beats); !strings.HasSuffix(b.Doing, want) {
		t.Errorf("a beat says %q, not %q", b.Doing, want)
	}
}

// TestFarmIsShielded: builds are kept from the machines that NATS and the master's site
// are on.
func TestFarmIsShielded(t *testing.T) {
	t.Parallel()
	m := newMaster(t)
	s := m.prepareSlave(Config{}, goodBuild)
	got := s.farmHosts(bus.Welcome{HTTP: "http://farm.example:7070", Index: "https://wheels.example/simple/"})
	slices.Sort(got)
	if want := []string{"127.0.0.1", "farm.example", "wheels.example"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
