package pypitest_test

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"pinwheel/internal/pep"
	"pinwheel/internal/pypitest"
)

const stories = `
-- pure-one==1.0 --
requires-dist: base-two>=1
requires-python: >=3.6
-- Ext.One==2.1 --
kind: extension
-- fails-one==1.0 --
kind: fails
-- prompts-one==1.0 --
kind: prompts
-- floods-one==1.0 --
kind: floods
megabytes: 2
-- network-one==1.0 --
kind: network
-- network-two==1.0 --
kind: network
address: http://127.0.0.1:1/
-- wrong-name-one==1.0 --
kind: wrong-name
-- wrong-tag-one==1.0 --
kind: wrong-tag
-- no-wheel-one==1.0 --
kind: no-wheel
-- unsound-record-one==1.0 --
kind: unsound-record
`

// TestPipWheel lets real pip build every kind of sdist that ends by itself, in pip's own build isolation.
func TestPipWheel(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t, stories)
	for _, c := range []struct {
		name  string
		wheel string // what must lie there afterwards; "": none
		says  string // a part of pip's output
	}{
		{"pure-one", "pure_one-1.0-py3-none-any.whl", "Successfully built pure-one"},
		{"Ext.One", "ext_one-2.1-" + nativeTag(t) + ".whl", "Successfully built"},
		{"fails-one", "", "fatal error: ffi.h: No such file or directory"},
		{"prompts-one", "", "EOFError"},
		{"floods-one", "floods_one-1.0-py3-none-any.whl", ""},
		{"network-one", "network_one-1.0-py3-none-any.whl", ""},
		{"network-two", "", "Connection refused"},
		{"wrong-name-one", "", "somebody_else"},
		{"wrong-tag-one", "wrong_tag_one-1.0-cp27-cp27m-win_amd64.whl", ""},
		{"no-wheel-one", "", "no_wheel_one-1.0-py3-none-any.whl"},
		{"unsound-record-one", "unsound_record_one-1.0-py3-none-any.whl", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			out, _ := s.Pip(t, "wheel", "--no-deps", "--no-binary", c.name, "-w", dir, c.name)
			if !strings.Contains(out, c.says) {
				t.Errorf("pip does not say %q:\n%s", c.says, out)
			}
			if got := wheels(t, dir); got != c.wheel {
				t.Errorf("pip left %q, want %q:\n%s", got, c.wheel, out)
			}
		})
	}
}

// TestNetworkIsCounted shows how a test learns whether a build got out.
func TestNetworkIsCounted(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t, "-- out==1.0 --\nkind: network\n")
	if n := s.Requests("/outside/out-1.0"); n != 0 {
		t.Fatalf("%d requests before the build", n)
	}
	if out, err := s.Pip(t, "wheel", "--no-deps", "-w", t.TempDir(), "out"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if n := s.Requests("/outside/out-1.0"); n != 1 {
		t.Errorf("%d requests from the build, want 1", n)
	}
}

// TestDaemonStays proves that the daemon is there when pip has ended, and hears no polite signal.
func TestDaemonStays(t *testing.T) {
	t.Parallel()
	name := unique("lingers")
	s := pypitest.New(t, "-- "+name+"==1.0 --\nkind: daemon\n")
	dir := t.TempDir()
	out, err := s.Pip(t, "wheel", "--no-deps", "-w", dir, name)
	if !errors.Is(err, exec.ErrWaitDelay) {
		t.Errorf("pip ended with %v; want it done well, with somebody holding its output\n%s", err, out)
	}
	if got := wheels(t, dir); got != pypitest.Module(name)+"-1.0-py3-none-any.whl" {
		t.Errorf("pip left %q\n%s", got, out)
	}
	pids := pypitest.Daemons(strings.ToUpper(name), "1.0")
	if len(pids) != 1 {
		t.Fatalf("daemons: %v, want one", pids)
	}
	t.Cleanup(func() { _ = syscall.Kill(pids[0], syscall.SIGKILL) })
	if err := syscall.Kill(pids[0], syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if !ignores(t, pids[0], syscall.SIGTERM) {
		t.Error("the daemon does not ignore SIGTERM")
	}
}

// unique makes a project name of which no other run of these tests, at the same time or just before, has daemons.
func unique(name string) string {
	return fmt.Sprintf("%s-%d-%d", name, os.Getpid(), time.Now().UnixNano())
}

// ignores reads the signal mask of a process that is still there.
func ignores(t *testing.T, pid int, s syscall.Signal) bool {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "SigIgn:")
	line, _, _ := strings.Cut(after, "\n")
	mask, err := strconv.ParseUint(strings.TrimSpace(line), 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return mask&(1<<(uint(s)-1)) != 0
}

// TestPipInstalls follows a dependency, from a wheel that is published beside no sdist, into a venv.
func TestPipInstalls(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t, `
-- uses==1.0 --
requires-dist: used>=1.0
-- used==1.0 --
sdist: none
wheel: py3-none-any
-- used==2.0 --
requires-python: >=99
-- used==3.0 --
yanked: too new
`)
	target := t.TempDir()
	out, err := s.Pip(t, "install", "--target", target, "uses")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	source, err := os.ReadFile(filepath.Join(target, "used.py"))
	if err != nil || string(source) != "version = \"1.0\"\n" {
		t.Errorf("used.py is %q, %v\n%s", source, err, out)
	}
}

// TestExtensionRuns imports what the C compiler made.
func TestExtensionRuns(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t, "-- c-answer==1.0 --\nkind: extension\n-- old-answer==1.0 --\nkind: armv6\n-- near-answer==1.0 --\nkind: nearly-armv6\n")
	target := t.TempDir()
	if out, err := s.Pip(t, "install", "--target", target, "c-answer", "old-answer", "near-answer"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(pypitest.Python(t), "-c", "import c_answer, old_answer, near_answer; print(c_answer.answer() * old_answer.answer() // near_answer.answer())")
	cmd.Env = append(os.Environ(), "PYTHONPATH="+target)
	out, err := cmd.CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "42" {
		t.Errorf("the extension says %q, %v", out, err)
	}
}

// TestRecords checks one promise of each of two kinds that pip itself does not look at.
func TestRecords(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t, "-- good==1.0 --\n-- bad==1.0 --\nkind: unsound-record\n")
	for name, sound := range map[string]bool{"good": true, "bad": false} {
		dir := t.TempDir()
		if out, err := s.Pip(t, "wheel", "--no-deps", "-w", dir, name); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		script := `import base64,csv,hashlib,io,sys,zipfile
z = zipfile.ZipFile(sys.argv[1])
rows = list(csv.reader(io.StringIO(z.read([n for n in z.namelist() if n.endswith("/RECORD")][0]).decode())))
assert {r[0] for r in rows} == set(z.namelist())
h = lambda b: "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(b).digest()).rstrip(b"=").decode()
print(all(r[1] == h(z.read(r[0])) for r in rows if r[1]))`
		out, err := exec.Command(pypitest.Python(t), "-c", script, filepath.Join(dir, name+"-1.0-py3-none-any.whl")).CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || (got == "True") != sound {
			t.Errorf("%s: RECORD sound is %s, %v, want %t", name, got, err, sound)
		}
	}
}

// wheels returns the names of the wheels in a folder, each a sound zip.
func wheels(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		z, err := zip.OpenReader(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range z.File {
			r, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, r); err != nil {
				t.Errorf("%s: %v", f.Name, err)
			}
		}
		z.Close()
		names = append(names, e.Name())
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// nativeTag asks pip for its favourite tag of a plain Linux wheel.
func nativeTag(t *testing.T) string {
	t.Helper()
	script := "import sys,sysconfig;v='cp%d%d'%sys.version_info[:2];" +
		"print(v+'-'+v+sys.abiflags+'-'+sysconfig.get_platform().replace('-','_').replace('.','_'))"
	out, err := exec.Command(pypitest.Python(t), "-c", script).Output()
	if err != nil {
		t.Fatal(err)
	}
	tag := strings.TrimSpace(string(out))
	if _, err := pep.ParseTags(tag); err != nil {
		t.Fatal(err)
	}
	return tag
}
