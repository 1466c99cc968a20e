package builder

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pinwheel/internal/farm"
	"pinwheel/internal/proc"
)

// rootsDir tells a copy of the test binary that it sees the roots of TestRoots.
const rootsDir = "BUILDER_TEST_ROOTS"

// TestRoots builds in roots that cost nothing: folders of our own into which parts of
// this machine are mounted. Only a copy of this program sees the mounts, which
// bubblewrap makes for it as a build's own fence is made.
func TestRoots(t *testing.T) {
	t.Parallel()
	bwrapOnly(t)
	if dir := os.Getenv(rootsDir); dir != "" {
		inRoots(t, dir)
		return
	}
	dir, err := proc.SharedTempDir("builder-test-", proc.BuildUser())
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	args := []string{"--die-with-parent", "--dev-bind", "/", "/"}
	if os.Geteuid() == 0 {
		args = append(args, "--cap-add", "ALL")
	}
	args = append(args, mountRoots(t, dir)...)
	cmd := exec.Command("bwrap", append(args, os.Args[0], "-test.run=^TestRoots$", "-test.v", "-test.timeout=5m")...)
	cmd.Env = append(os.Environ(), rootsDir+"="+dir)
	out, err := cmd.CombinedOutput()
	relaySkips(t, string(out))
	if err != nil || !strings.Contains(string(out), "--- PASS: TestRoots/") {
		t.Errorf("in the roots: %v\n%s", err, out)
	}
}

// relaySkips says here what was left out there.
func relaySkips(t *testing.T, said string) {
	t.Helper()
	for line := range strings.Lines(said) {
		if strings.Contains(line, "--- SKIP") || strings.Contains(line, "_test.go") {
			t.Log(strings.TrimSpace(line))
		}
	}
}

// release is what a root says that it is.
const release = "PRETTY_NAME=\"Another OS 7 (quirky)\"\nVERSION_CODENAME=quirky\n"

// mountRoots makes the roots below dir, and lists the options that mount parts of
// this machine there.
//
//	good      all that builds need, and a shim whose uname says armv8l
//	nopip     a Python without pip
//	nocc      /etc/alternatives is missing, so that cc leads nowhere
//	foreign   its shell is for a machine that nobody emulates
//	closed    as good, but nobody else may enter
//	old9      a Python 2.7 with pip 9, old19 one with pip 19, where there is one
func mountRoots(t *testing.T, dir string) (mounts []string) {
	t.Helper()
	for _, name := range []string{"good", "nopip", "nocc", "foreign", "closed"} {
		root := filepath.Join(dir, name)
		makeRoot(t, root)
		switch name {
		case "foreign":
			must(t, os.MkdirAll(filepath.Join(root, "usr", "bin"), 0o755))
			must(t, os.WriteFile(filepath.Join(root, "usr", "bin", "sh"), foreignELF, 0o755))
			must(t, os.WriteFile(filepath.Join(root, "usr", "bin", "python3"), foreignELF, 0o755))
			continue
		case "nocc":
			must(t, os.Remove(filepath.Join(root, "etc", "alternatives")))
		default:
			mounts = append(mounts, "--ro-bind", "/etc/alternatives", filepath.Join(root, "etc", "alternatives"))
		}
		mounts = append(mounts, "--ro-bind", "/usr", filepath.Join(root, "usr"))
		if name == "nopip" {
			mounts = append(mounts, "--tmpfs", filepath.Join(root, "usr/lib/python3/dist-packages"),
				"--tmpfs", filepath.Join(root, "usr/local/lib"))
		}
	}
	must(t, os.Chmod(filepath.Join(dir, "closed"), 0o700))
	makeShim(t, filepath.Join(dir, "good"))
	return append(mounts, mountOld(t, dir)...)
}

// makeRoot makes a root without its /usr, with links that would lead out of it.
func makeRoot(t *testing.T, root string) {
	t.Helper()
	for _, d := range []string{"usr", "etc/alternatives", "etc/xml", "opt"} {
		must(t, os.MkdirAll(filepath.Join(root, d), 0o755))
	}
	for _, d := range []string{"bin", "sbin", "lib", "lib64"} {
		must(t, os.Symlink("usr/"+d, filepath.Join(root, d)))
	}
	must(t, os.WriteFile(filepath.Join(root, "opt", "release"), []byte(release), 0o644))
	must(t, os.Symlink("/opt/release", filepath.Join(root, "etc", "os-release")))                      // inside only
	must(t, os.Symlink("/etc/passwd", filepath.Join(root, "etc", "magic")))                            // there is none inside
	must(t, os.Symlink("../../../../../../../../etc/hostname", filepath.Join(root, "etc/timezone")))   // nor this
	must(t, os.Symlink("../../../../../../../opt/release", filepath.Join(root, "etc", "lsb-release"))) // but this
	must(t, os.Chmod(root, 0o755))
}

// foreignELF is the head of a program for IA-64.
var foreignELF = append([]byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x32\x00\x01\x00\x00\x00"), make([]byte, 104)...)

func inRoots(t *testing.T, dir string) {
	t.Run("good", func(t *testing.T) { t.Parallel(); buildInRoot(t, filepath.Join(dir, "good")) })
	t.Run("shim", func(t *testing.T) { t.Parallel(); buildBelow64(t, filepath.Join(dir, "good")) })
	t.Run("refused", func(t *testing.T) { t.Parallel(); refusedRoots(t, dir) })
	for _, name := range []string{"old9", "old19"} {
		t.Run(name, func(t *testing.T) { t.Parallel(); buildOld(t, dir, name) })
	}
}

// rooted is a build in a root, by the Python of that path.
func rooted(t *testing.T, root, python, name string, sdists map[string][]byte) Build {
	t.Helper()
	py, err := Ask(t.Context(), root, python, proc.BuildUser())
	must(t, err)
	b := newBuild(t, Bwrap, name, index(t, sdists))
	b.Root, b.Python, b.SkipImports = root, py, false
	return b
}

// lookAround says what is to be seen of a root, and compiles an extension there.
const lookAround = `
import sysconfig
def text(p):
    try: return open(p).read()
    except (IOError, OSError): return "none"
print("ROOT " + "|".join([text("/etc/os-release"), text("/etc/lsb-release"), text("/etc/magic"), text("/etc/timezone"), ",".join(sorted(os.listdir("/")))]).replace("\n", " "))
open("m.c", "w").write('#include <Python.h>\nstatic struct PyModuleDef d = {PyModuleDef_HEAD_INIT, "m", 0, -1, 0};\nPyMODINIT_FUNC PyInit_m(void) { return PyModule_Create(&d); }\n')
subprocess.check_call(["cc", "-shared", "-fPIC", "-I" + sysconfig.get_path("include"), "m.c", "-o", "m.so"])
subprocess.check_call([sys.executable, "-c", "import m"])
return wheel(d)
`

func buildInRoot(t *testing.T, root string) {
	b := rooted(t, root, "", "look", map[string][]byte{"look": sdist(t, "look", lookAround)})
	if b.Python.OS != "Another OS 7 (quirky)" || b.Python.Codename != "quirky" || b.Python.Path != rootPython || b.Python.Glibc == "" {
		t.Errorf("the root's Python says %+v", b.Python)
	}
	if cc, err := Check(t.Context(), b); err != nil || cc == "" {
		t.Errorf("Check = %q, %v", cc, err)
	}
	r := build(t, b)
	if r.Outcome != farm.OutcomeBuilt || r.Record.OS != b.Python.OS {
		t.Errorf("%+v\n%s", r, readLog(t, b))
	}
	_, line, _ := strings.Cut(readLog(t, b), "ROOT ")
	line, _, _ = strings.Cut(line, "\n")
	one := strings.ReplaceAll(release, "\n", " ")
	if want := one + "|" + one + "|none|none|bin,build,dev,etc,lib,lib64,pinwheel,proc,sbin,tmp,usr,var"; line != want {
		t.Errorf("seen\n %s\nwant\n %s", line, want)
	}
}

func refusedRoots(t *testing.T, dir string) {
	file := filepath.Join(dir, "file")
	must(t, os.WriteFile(file, nil, 0o644))
	empty := filepath.Join(dir, "empty")
	must(t, os.Mkdir(empty, 0o755))
	in := func(name string) string { return filepath.Join(dir, name) }
	tests := []struct{ root, python, want string }{
		{in("absent"), "", "root cannot be used: " + in("absent") + ": there is no such folder; make one with `make armroot`"},
		{"here", "", "root cannot be used: here: want an absolute path"},
		{file, "", "root cannot be used: " + file + ": not a folder"},
		{empty, "", "root cannot be used: " + empty + ": has no /bin/sh"},
		{in("good"), "/opt/python9", "root " + in("good") + ": has no /opt/python9: chroot " + in("good") + " apt-get install python3"},
		{in("good"), "python3", "want an absolute path"},
		{in("good"), "/bin/true", "/bin/true: does not say what it is"},
		{in("nopip"), "", "root " + in("nopip") + ": /usr/bin/python3: has no pip (apt install python3-pip)"},
		{in("foreign"), "", "its programs are for machine-50, which this kernel does not run: apt install qemu-user-static binfmt-support; update-binfmts --enable qemu-"},
	}
	if os.Geteuid() == 0 {
		tests = append(tests, struct{ root, python, want string }{in("closed"), "", "enter " + in("closed") + " as uid 60999: permission denied; keep it where"})
	}
	for _, c := range tests {
		_, err := Ask(t.Context(), c.root, c.python, proc.BuildUser())
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("Ask(%s, %s) = %v, want %q", c.root, c.python, err, c.want)
		}
	}
	b := rooted(t, in("nocc"), "", "sd_ok", nil)
	if _, err := Run(t.Context(), b); !errors.Is(err, ErrNoCompiler) || !strings.Contains(err.Error(), "root "+in("nocc")+": no C compiler: cc is not there") {
		t.Errorf("without a compiler: %v", err)
	}
	b.Root, b.Mode = in("good"), None
	if _, err := Run(t.Context(), b); !errors.Is(err, ErrRoot) || !strings.Contains(err.Error(), "without bubblewrap there is only the root /") {
		t.Errorf("without a fence: %v", err)
	}
	b.Root, b.Python.Version = "", "2.7.18"
	if _, err := Run(t.Context(), b); err == nil || !strings.Contains(err.Error(), "in the sandbox bwrap only") {
		t.Errorf("Python 2 without a fence: %v", err)
	}
}
