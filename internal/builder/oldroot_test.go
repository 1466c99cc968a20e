package builder

import (
	"archive/zip"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pinwheel/internal/farm"
)

// oldWheels are what a Python 2.7 needs beside the pip that it came with.
const oldWheels = `
wheel==0.37.1 --hash=sha256:4bdcd7d840138086126cd09254dc6195fb4fc6f01c050a1d7236f2630db1d22a
pip==9.0.3 --hash=sha256:c3ede34530e0e0b2381e7363aded78e0c33291654937e7373032fda04e8803e5
`

// oldPython is a Python 2.7 of this machine that a root can show: one of
// PINWHEEL_TEST_PYTHONS, or of pyenv's; "" where there is none.
func oldPython(t *testing.T) string {
	t.Helper()
	home, err := os.UserHomeDir()
	must(t, err)
	found, err := filepath.Glob(filepath.Join(home, ".pyenv/versions/2.7*/bin/python2.7"))
	must(t, err)
	for _, path := range append(strings.Fields(os.Getenv("PINWHEEL_TEST_PYTHONS")), found...) {
		if filepath.Base(path) == "python2.7" {
			return path
		}
	}
	return ""
}

// mountOld makes old19 and old9: roots with that Python, whose site-packages are a
// folder of ours.
func mountOld(t *testing.T, dir string) (mounts []string) {
	t.Helper()
	python := oldPython(t)
	if python == "" {
		return nil
	}
	wheels, said := fetchOld(t)
	if len(wheels) != 2 {
		must(t, os.WriteFile(filepath.Join(dir, "offline"), []byte(said), 0o644))
		return nil
	}
	prefix := filepath.Dir(filepath.Dir(python))
	for _, name := range []string{"old19", "old9"} {
		root, site := filepath.Join(dir, name), filepath.Join(dir, name+"-site")
		makeRoot(t, root)
		must(t, os.MkdirAll(filepath.Join(root, prefix), 0o755)) // bubblewrap would close what it makes
		must(t, os.CopyFS(site, os.DirFS(filepath.Join(prefix, "lib/python2.7/site-packages"))))
		unpack(t, wheels[1], site)
		if name == "old9" {
			own, err := filepath.Glob(filepath.Join(site, "pip*"))
			must(t, err)
			for _, path := range own {
				must(t, os.RemoveAll(path))
			}
			unpack(t, wheels[0], site)
		}
		mounts = append(mounts, "--ro-bind", "/usr", filepath.Join(root, "usr"),
			"--ro-bind", "/etc/alternatives", filepath.Join(root, "etc", "alternatives"),
			"--ro-bind", prefix, filepath.Join(root, prefix),
			"--ro-bind", site, filepath.Join(root, prefix, "lib/python2.7/site-packages"))
	}
	return mounts
}

// fetchOld has pip here fetch the old wheels, and returns them by name, pip's first;
// or none, and what pip said.
func fetchOld(t *testing.T) (wheels []string, said string) {
	t.Helper()
	py, err := findPython()
	must(t, err)
	dir := t.TempDir()
	list := filepath.Join(dir, "list")
	must(t, os.WriteFile(list, []byte(oldWheels), 0o644))
	out, err := exec.CommandContext(t.Context(), py.Path, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:",
		"--python-version", "27", "--require-hashes", "-d", dir, "-r", list).CombinedOutput()
	if err != nil {
		return nil, string(out)
	}
	wheels, err = filepath.Glob(filepath.Join(dir, "*.whl"))
	must(t, err)
	return wheels, string(out)
}

func unpack(t *testing.T, wheel, dir string) {
	t.Helper()
	z, err := zip.OpenReader(wheel)
	must(t, err)
	defer z.Close()
	must(t, os.CopyFS(dir, z))
}

// setupPy is an sdist as they were: pip runs it with what is installed beside itself.
var setupPy = map[string]string{
	"setup.py": `from setuptools import setup, Extension
setup(name="oldext", version="1.0", ext_modules=[Extension("oldext", ["m.c"])])
`,
	"PKG-INFO": "Metadata-Version: 1.1\nName: oldext\nVersion: 1.0\n",
	"m.c":      "#include <Python.h>\nPyMODINIT_FUNC initoldext(void) { Py_InitModule(\"oldext\", NULL); }\n",
}

// buildOld builds an extension for Python 2.7 by a pip of those days.
func buildOld(t *testing.T, dir, name string) {
	if text, err := os.ReadFile(filepath.Join(dir, "offline")); err == nil {
		t.Skipf("the index that pip uses here does not give the wheels: %s", text)
	}
	python := oldPython(t)
	if python == "" {
		t.Skip("there is no Python 2.7 here: install one with pyenv, or name one in PINWHEEL_TEST_PYTHONS")
	}
	b := rooted(t, filepath.Join(dir, name), python, "oldext", map[string][]byte{"oldext": archive(t, "oldext", setupPy)})
	if want := strings.TrimPrefix(name, "old") + "."; !strings.HasPrefix(b.Python.Pip, want) || b.Python.Venv {
		t.Errorf("%+v", b.Python)
	}
	r := build(t, b)
	tag := "cp27-" + b.Python.ABI + "-" + b.Python.Platform
	if r.Outcome != farm.OutcomeBuilt || filepath.Base(r.Wheels[0]) != "oldext-1.0-"+tag+".whl" {
		t.Errorf("%+v\n%s", r, readLog(t, b))
	}
	b.Python.Wheel = false
	if _, err := Run(t.Context(), b); err == nil || !strings.Contains(err.Error(), "apt install python-setuptools python-wheel") {
		t.Errorf("without the package wheel: %v", err)
	}
}

// The shim is a Python that believes to run on a 64-bit kernel for ARM.
const (
	unameC = `#define _GNU_SOURCE
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>
int uname(struct utsname *u) { int r = syscall(SYS_uname, u); if (r == 0) strcpy(u->machine, "armv8l"); return r; }
`
	shimC = `#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv) { setenv("LD_PRELOAD", "/opt/shim/lib/uname.so", 1); argv[0] = "/opt/shim/bin/python3"; return execv("/usr/bin/python3", argv); }
`
)

func makeShim(t *testing.T, root string) {
	t.Helper()
	for out, code := range map[string]string{"lib/uname.so": unameC, "bin/python3": shimC} {
		path := filepath.Join(root, "opt", "shim", out)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		args := []string{"-x", "c", "-", "-o", path}
		if filepath.Ext(out) == ".so" {
			args = append(args, "-shared", "-fPIC")
		}
		cc := exec.CommandContext(context.WithoutCancel(t.Context()), "cc", args...)
		cc.Stdin = strings.NewReader(code)
		if said, err := cc.CombinedOutput(); err != nil {
			t.Fatalf("cc: %v: %s", err, said)
		}
		must(t, os.Chmod(path, 0o755))
	}
}

// buildBelow64: wheels are not named as a 64-bit kernel would have it, for nobody's
// pip looks for that name.
func buildBelow64(t *testing.T, root string) {
	body := `
import sysconfig
platform = sysconfig.get_platform()
print("BELOW %s %s" % (os.uname()[4], platform))
os.environ.pop("LD_PRELOAD")
print("KERNEL " + subprocess.check_output(["uname", "-m"]).decode())
return wheel(d, tag="TAG-" + platform.replace("-", "_"))
`
	py, err := findPython()
	must(t, err)
	tag := py.ABI + "-" + py.ABI
	code := sdist(t, "below", strings.Replace(body, "TAG", tag, 1))
	b := rooted(t, root, "/opt/shim/bin/python3", "below", map[string][]byte{"below": code})
	if b.Python.Platform != "linux_armv7l" || b.Python.HostPlatform != "linux-armv7l" {
		t.Errorf("below a kernel that says armv8l it builds for %s, and is told %s", b.Python.Platform, b.Python.HostPlatform)
	}
	r := build(t, b)
	if r.Outcome != farm.OutcomeBuilt || filepath.Base(r.Wheels[0]) != "below-1.0-"+tag+"-linux_armv7l.whl" {
		t.Errorf("%+v\n%s", r, readLog(t, b))
	}
	if said := readLog(t, b); !strings.Contains(said, "BELOW armv8l linux-armv7l") {
		t.Errorf("the build saw another machine:\n%s", said)
	}
	if want := "KERNEL " + smallMachine(t) + "\n"; !strings.Contains(readLog(t, b), want) {
		t.Errorf("programs that the shim is not before saw another one, want %s\n%s", want, readLog(t, b))
	}
}
