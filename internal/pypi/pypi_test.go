package pypi_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"pinwheel/internal/pep"
	"pinwheel/internal/pypi"
	"pinwheel/internal/pypitest"
)

const demo = `
-- Demo.Pkg==1.0 --
requires-python: >=3.7,<4
-- Demo.Pkg==1.10 --
sdist: none
wheel: py3-none-any
-- Demo.Pkg==1.9 --
yanked: "broken" & <worse>
wheel: py3-none-any
-- Demo.Pkg==2.0rc1 --
yanked:
`

// client reads a fake index without patience.
func client(s *pypitest.Server) *pypi.Client {
	return pypi.New(pypi.Config{Simple: s.URL(), Timeout: 10 * time.Second, Pause: time.Microsecond})
}

func version(t *testing.T, s string) pep.Version {
	t.Helper()
	v, err := pep.ParseVersion(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func sameVersion() cmp.Option { return cmp.Comparer(func(a, b pep.Version) bool { return a.Equal(b) }) }

// TestProject reads one project in each form that an index may have; the forms differ only in what they cannot say.
func TestProject(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name                string
		htmlOnly, noDetails bool
		display             string
		ignored             []string // fields of File and Release that this form has no place for
	}{
		{name: "JSON", display: "demo-pkg"},
		{name: "HTML and details", htmlOnly: true, display: "Demo.Pkg"},
		{name: "HTML alone", htmlOnly: true, noDetails: true, display: "demo-pkg", ignored: []string{"Size", "Uploaded"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := pypitest.New(t, demo)
			s.HTMLOnly(c.htmlOnly)
			s.NoDetails(c.noDetails)
			got, err := client(s).Project(t.Context(), "demo_PKG")
			if err != nil {
				t.Fatal(err)
			}
			want := wantDemo(t, s, c.display)
			ignored := cmp.FilterPath(func(p cmp.Path) bool {
				return len(c.ignored) > 0 && (p.Last().String() == ".Size" || p.Last().String() == ".Uploaded")
			}, cmp.Ignore())
			digests := cmpopts.IgnoreFields(pypi.File{}, "SHA256", "Size")
			etag := cmpopts.IgnoreFields(pypi.Project{}, "ETag")
			if diff := cmp.Diff(want, got, sameVersion(), ignored, digests, etag); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			checkFacts(t, got, c.noDetails)
		})
	}
}

func wantDemo(t *testing.T, s *pypitest.Server, display string) pypi.Project {
	t.Helper()
	hour := func(n int) time.Time { return time.Date(2024, 1, 1, n, 0, 0, 123456000, time.UTC) }
	file := func(name string, hours int) pypi.File {
		return pypi.File{Filename: name, URL: s.Base() + "/files/demo-pkg/" + name, Uploaded: hour(hours)}
	}
	sdist1 := file("demo_pkg-1.0.tar.gz", 1)
	sdist1.RequiresPython = ">=3.7,<4"
	const reason = `"broken" & <worse>`
	sdist9, wheel9 := file("demo_pkg-1.9.tar.gz", 3), file("demo_pkg-1.9-py3-none-any.whl", 3)
	sdist9.Yanked, sdist9.YankReason, wheel9.Yanked, wheel9.YankReason = true, reason, true, reason
	sdist2 := file("demo_pkg-2.0rc1.tar.gz", 4)
	sdist2.Yanked = true
	return pypi.Project{Name: "demo-pkg", Display: display, Spelled: display != "demo-pkg", Status: "active", Serial: s.Serial("demo-pkg"), Releases: []pypi.Release{
		{Version: version(t, "1.0"), Raw: "1.0", Uploaded: hour(1), RequiresPython: ">=3.7,<4", Sdist: &sdist1},
		{Version: version(t, "1.9"), Raw: "1.9", Uploaded: hour(3), Yanked: true, YankReason: reason,
			Sdist: &sdist9, Wheels: []pypi.File{wheel9}},
		{Version: version(t, "1.10"), Raw: "1.10", Uploaded: hour(2),
			Wheels: []pypi.File{file("demo_pkg-1.10-py3-none-any.whl", 2)}},
		{Version: version(t, "2.0rc1"), Raw: "2.0rc1", Uploaded: hour(4), Yanked: true, Sdist: &sdist2},
	}}
}

// checkFacts looks at what the comparison leaves out, since only the server knows it.
func checkFacts(t *testing.T, p pypi.Project, noDetails bool) {
	t.Helper()
	for _, r := range p.Releases {
		files := r.Wheels
		if r.Sdist != nil {
			files = append(files, *r.Sdist)
		}
		for _, f := range files {
			if len(f.SHA256) != 64 || (f.Size == 0) != noDetails {
				t.Errorf("%s: SHA-256 %q, size %d", f.Filename, f.SHA256, f.Size)
			}
		}
	}
}

// TestNotFound tells a project that is not there from an index that is not.
func TestNotFound(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t, demo)
	c := client(s)
	_, err := c.Project(t.Context(), "No_Such")
	want := "read project no-such: GET " + s.URL() + "no-such/: no such project upstream: status 404 Not Found"
	if !errors.Is(err, pypi.ErrNotFound) || errors.Is(err, pypi.ErrUnavailable) || err.Error() != want {
		t.Errorf("error is %v, want %s", err, want)
	}
	if err := s.Remove("demo-pkg"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Project(t.Context(), "demo-pkg"); !errors.Is(err, pypi.ErrNotFound) {
		t.Errorf("removed project: %v", err)
	}
	if faults := c.Stats().Faults; len(faults) > 0 { // whether it should be there only the caller knows
		t.Errorf("counted %v", faults)
	}
}

// TestBadNames asks nothing.
func TestBadNames(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t)
	for _, name := range []string{"", "../etc", "a b", "-a", "a/b", "ä"} {
		if _, err := client(s).Project(t.Context(), name); err == nil || !strings.Contains(err.Error(), "not a valid project name") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestChanges follows what a project goes through.
func TestChanges(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t, "-- moving==1.0 --\n")
	c := client(s)
	look := func() string {
		p, err := c.Project(t.Context(), "moving")
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, r := range p.Releases {
			b.WriteString(r.Raw)
			if r.Yanked {
				b.WriteString("(" + r.YankReason + ")")
			}
			b.WriteString(" ")
		}
		return b.String()
	}
	for _, step := range []struct {
		do   func() error
		want string
	}{
		{func() error { return s.AddText("-- moving==1.1 --\n") }, "1.0 1.1 "},
		{func() error { return s.Yank("Moving", "1.0", "old") }, "1.0(old) 1.1 "},
		{func() error { return s.Unyank("moving", "1.0") }, "1.0 1.1 "},
		{func() error { return s.Remove("moving", "1.0") }, "1.1 "},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		if got := look(); got != step.want {
			t.Errorf("releases %q, want %q", got, step.want)
		}
	}
}

// TestSdistIsTheOnePipTakes asks real pip which of several sdists it would build.
func TestSdistIsTheOnePipTakes(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t, `
-- zip-last==1.0 --
sdist: .tar.gz .zip
-- tar-last==1.0 --
sdist: .zip .tar.gz
-- tgz-last==1.0 --
sdist: .tar.gz .zip .tgz
`)
	s.HTMLOnly(true)
	for _, name := range []string{"zip-last", "tar-last", "tgz-last"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := client(s).Project(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			out, err := s.Pip(t, "download", "--no-deps", "--no-binary", name, name)
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if want := "/" + p.Releases[0].Sdist.Filename; !strings.Contains(out, want) {
				t.Errorf("we take %s, pip says\n%s", want, out)
			}
		})
	}
}

func TestSiblings(t *testing.T) {
	t.Parallel()
	for simple, want := range map[string]string{
		"https://index.example/simple":          "https://index.example/pypi/",
		"https://index.example/simple/":         "https://index.example/pypi/",
		"https://index.example/a/b/simple//":    "https://index.example/a/b/pypi/",
		"https://index.example/base/+simple/":   "",
		"https://index.example/notreallysimple": "",
		"":                                      "",
	} {
		if got := pypi.Siblings(simple); got != want {
			t.Errorf("Siblings(%q) = %q, want %q", simple, got, want)
		}
	}
}
