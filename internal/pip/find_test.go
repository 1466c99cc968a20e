package pip

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"pinwheel/internal/proc"
)

func TestFindTellsWhatPythonIs(t *testing.T) {
	t.Parallel()
	py := machinePython(t)
	if !filepath.IsAbs(py.Path) || py.Version == "" || py.Pip == "" || py.Include == "" || py.CC == "" || len(py.Prefixes) == 0 {
		t.Errorf("Find left gaps: %+v", py)
	}
	if got := py.Target().Python(); !strings.HasPrefix(py.Facts().Python, got+".") {
		t.Errorf("target %s does not fit Python %s", py.Target(), py.Facts().Python)
	}
	again, err := Ask(t.Context(), py.Path, proc.BuildUser())
	if err != nil || again.Path != py.Path {
		t.Errorf("Ask(%s) = %s, %v", py.Path, again.Path, err)
	}
}

// A Python that the build user cannot reach is passed over with one line.
func TestFindPassesOver(t *testing.T) {
	py := machinePython(t)
	if !strings.HasPrefix(py.Path, "/usr/bin/") {
		t.Logf("the Python here is %s", py.Path)
	}
	closed := filepath.Join(t.TempDir(), "closed")
	shim := filepath.Join(closed, "python3")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\nexit 3\n" // would be closed to the build user of root; is broken for all others
	if err := os.WriteFile(shim, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", closed)
	got, passedOver, err := Find(t.Context(), "", proc.BuildUser())
	if err != nil || got.Path != systemPython {
		t.Fatalf("Find = %s, %v; want %s", got.Path, err, systemPython)
	}
	if len(passedOver) != 1 || !strings.HasPrefix(passedOver[0], shim+": ") || strings.Contains(passedOver[0], "\n") {
		t.Errorf("passed over: %q", passedOver)
	}
	if os.Geteuid() == 0 && !strings.Contains(passedOver[0], "60999") {
		t.Errorf("%q does not name the user", passedOver[0])
	}
}

func TestAskSaysWhyNot(t *testing.T) {
	t.Parallel()
	dir := sharedDir(t)
	bare := filepath.Join(dir, "bare")
	if out, err := exec.Command(machinePython(t).Path, "-m", "venv", "--without-pip", bare).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	fake := filepath.Join(dir, "fake")
	// A child that is started meanwhile would hold it open for writing, and then nobody could start it.
	syscall.ForkLock.RLock()
	err := os.WriteFile(fake, []byte("#!/bin/sh\necho nonsense\n"), 0o755)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "absent"):       "no such interpreter",
		filepath.Join(bare, "bin/python3"): "has no pip (apt install python3-pip)",
		fake:                               "does not know its own path",
		"/bin/false":                       "exit status",
	} {
		_, _, err := Find(t.Context(), path, proc.BuildUser())
		if err == nil || !strings.HasPrefix(err.Error(), path+": ") || !strings.Contains(err.Error(), want) {
			t.Errorf("Find(%s) = %v, want %q", path, err, want)
		}
	}
}

func TestUsable(t *testing.T) {
	t.Parallel()
	good := Python{Path: "p", Version: "3.11.2", Pip: "23.0", Venv: true, ABI: "cp311", Platform: "linux_x86_64"}
	pypy := good
	pypy.ABI = ""
	mac := good
	mac.Platform = "macosx_11_0_arm64"
	noVenv, old, two := good, good, good
	noVenv.Venv, old.Pip = false, "8.1.2"
	two.Version, two.Venv, two.ABI = "2.7.18", false, "cp27mu"
	noPip := two
	noPip.Pip = ""
	for _, py := range []Python{good, two} {
		if err := py.usable(); err != nil {
			t.Error(err)
		}
	}
	for _, c := range []struct {
		py   Python
		want string
	}{{noVenv, "python3-venv"}, {pypy, "not a CPython"}, {mac, "not a CPython on Linux"}, {noPip, "apt install python-pip"},
		{old, "at least 9"}} {
		if err := c.py.usable(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("usable(%+v) = %v, want %q", c.py, err, c.want)
		}
	}
}

func TestCanBuild(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pip   string
		wheel bool
		want  string
	}{{"23.1", false, ""}, {"24.0", false, ""}, {"9.0.3", true, ""}, {"23.0.1", false, "apt install python3-setuptools python3-wheel"}} {
		err := Python{Path: "p", Version: "3.11.2", Pip: c.pip, Wheel: c.wheel}.CanBuild()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("pip %s, wheel %v: %v, want %q", c.pip, c.wheel, err, c.want)
		}
	}
}
