package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/builder"
	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
)

// status is a part of dpkg's database with what it holds besides.
const status = `Package: libffi-dev
Status: install ok installed
Priority: optional
Architecture: armhf
Multi-Arch: same
Depends: libffi8 (= 3.4.4-1)
Conffiles:
 /etc/x 0123
Description: Foreign Function Interface library (development files)
 Package: not-this
 .
 Status: nor ok this

Package: libffi-dev
Status: install ok installed
Architecture: arm64

Package: removed
Status: deinstall ok config-files
Provides: nothing

Package: half
Status: install reinstreq half-installed

Package: held
Status: hold ok installed
Provides: libjpeg-dev (= 1:2.1.5-2), held-virtual, libx:any

Package: Bad Name
Status: install ok installed

Status: install ok installed

Package: g++
Status: install ok installed`

func TestInstalledPackages(t *testing.T) {
	t.Parallel()
	want := []string{"g++", "held", "held-virtual", "libffi-dev", "libjpeg-dev", "libx"}
	for _, text := range []string{status, status + "\n\n", strings.ReplaceAll(status, "\n", "\r\n")} {
		if diff := cmp.Diff(want, installed(strings.NewReader(text))); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
	if got := (&debian{path: filepath.Join(t.TempDir(), "none")}).now(); len(got) > 0 {
		t.Errorf("without dpkg: %q", got)
	}
}

// TestThisMachinesPackages: what dpkg itself calls installed is found.
func TestThisMachinesPackages(t *testing.T) {
	t.Parallel()
	list := (&debian{path: dpkgStatus}).now()
	if _, err := os.Stat(dpkgStatus); err != nil {
		if len(list) > 0 {
			t.Errorf("%d packages, without dpkg", len(list))
		}
		return
	}
	if !slices.Contains(list, "dpkg") || !slices.Contains(list, "libc6") {
		t.Errorf("%d packages, and neither dpkg nor libc6", len(list))
	}
}

// FuzzInstalled: whatever dpkg's database holds, a hello with it is taken.
func FuzzInstalled(f *testing.F) {
	f.Add(status)
	f.Add("Package: a\nStatus: x installed\nProvides: ,,(,a:")
	var many strings.Builder
	for i := range bus.MaxPackages + 10 {
		fmt.Fprintf(&many, "Package: lib%030d\nStatus: install ok installed\n\n", i)
	}
	f.Add(many.String())
	f.Fuzz(func(t *testing.T, text string) {
		list := installed(strings.NewReader(text))
		size := 0
		for i, p := range list {
			if size += len(p); !farm.ValidDebianName(p) || i > 0 && list[i-1] >= p {
				t.Fatalf("%q after %q", p, list[max(i-1, 0)])
			}
		}
		if len(list) > bus.MaxPackages || size > bus.MaxPackageBytes {
			t.Fatalf("%d names of %d bytes", len(list), size)
		}
	})
}

// TestHelloTellsOfNewPackages: at first, and when something was installed.
func TestHelloTellsOfNewPackages(t *testing.T) {
	t.Parallel()
	m := newMaster(t)
	dpkg := filepath.Join(t.TempDir(), "status")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(dpkg+".new", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(dpkg+".new", dpkg); err != nil {
			t.Fatal(err)
		}
	}
	write("Package: gcc\nStatus: install ok installed\n")
	hellos := make(chan []string, 16)
	m.hello = func(h bus.Hello) bus.Welcome { hellos <- h.Packages; return m.welcome() }
	m.serve(m.farm.Master)
	begun, goOn := make(chan string, 1), make(chan struct{})
	s := m.prepareSlave(Config{Targets: []Target{{Python: testPython(), Dpkg: dpkg}}}, heldBuild(begun, goOn)).start()
	if got := receive(t, hellos); !slices.Equal(got, []string{"gcc"}) {
		t.Errorf("at first %q", got)
	}
	// Also while it builds: the lease stays.
	m.leases <- lease(1)
	receive(t, begun)
	write("Package: gcc\nStatus: install ok installed\n\nPackage: cmake\nStatus: install ok installed\n")
	if got := receive(t, hellos); !slices.Equal(got, []string{"cmake", "gcc"}) {
		t.Errorf("then %q", got)
	}
	close(goOn)
	s.wait(Accepted, lease(1).Token)
	if len(hellos) > 0 {
		t.Errorf("and once more %q", <-hellos)
	}
}

// TestLeaseBringsTheRecipe to the builder; one that it does not take is reported as a fault of this slave, for another may
// know it, and nothing is built.
func TestLeaseBringsTheRecipe(t *testing.T) {
	t.Parallel()
	m := newMaster(t)
	m.serve(m.farm.Master)
	l := lease(1)
	l.Recipe = farm.Recipe{Jobs: 2, Env: map[string]string{"A": "b"}}
	m.leases <- l
	got := make(chan farm.Recipe, 1)
	m.prepareSlave(Config{}, func(_ context.Context, b builder.Build) (builder.Result, error) {
		got <- b.Recipe
		return builder.Result{}, errors.New("this slave does not take the recipe: x")
	}).start()
	if r := receive(t, got); !r.Equal(l.Recipe) {
		t.Errorf("built with %+v", r)
	}
	if r := receive(t, m.reports); r.Failure.Cause != farm.SlaveFault || !strings.Contains(r.Failure.Detail, "does not take the recipe") {
		t.Errorf("%+v", r)
	}
}
