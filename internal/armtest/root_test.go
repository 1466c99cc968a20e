package armtest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pinwheel/internal/clitest"
	"pinwheel/internal/manualtest"
	"pinwheel/internal/proc"
)

// script is a copy of scripts/armroot that every user can start. The name of a root
// says what the scripts are, not where.
func script(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	dir, err := proc.SharedTempDir("pinwheel-armroot-", proc.User{UID: nobody, GID: nobody})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	// A child that is started meanwhile would hold them open for writing, and then nobody could start them.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	for _, name := range []string{"armroot", "armroot-fill"} {
		text, err := os.ReadFile(filepath.Join("../../scripts", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o600)
		}
		if err == nil {
			err = os.Chmod(filepath.Join(dir, name), 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return exec.Command(filepath.Join(dir, "armroot"), args...)
}

// nobody is the ordinary user that root's tests can be.
const nobody = 65534

// asNobody makes root's command an ordinary user's.
func asNobody(cmd *exec.Cmd) *exec.Cmd {
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	cmd.Dir = "/"
	return cmd
}

// TestRootIsNamedOnce: what is there is only named, also to an ordinary user, by one
// line on stdout, at once.
func TestRootIsNamedOnce(t *testing.T) {
	t.Parallel()
	root := armRoot(t)
	for range 2 {
		out, errs, err := run(t, asNobody(script(t)))
		if err != nil || out != root+"\n" || strings.Contains(errs, "download") {
			t.Errorf("armroot prints %q, %v, want %s\n%s", out, err, root, errs)
		}
	}
}

// TestManual types the chapter of the manual about roots. Of its two commands the other wants
// a mirror of Raspbian: see TestRootOfTwoMirrors.
func TestManual(t *testing.T) {
	t.Parallel()
	root := armRoot(t)
	if os.Geteuid() != 0 {
		t.Skip("only root makes a root: run `make test-arm` as root")
	}
	cmd := exec.Command("sh", "-ec", manualtest.Open(t).Lines("Roots", 2)[0])
	cmd.Dir, cmd.Env = "../..", append(os.Environ(), "MAKEFLAGS=", "MAKELEVEL=")
	out, errs, err := run(t, cmd)
	if err != nil || !strings.HasSuffix(out, root+"\n") {
		t.Errorf("%s prints %q, %v, want %s\n%s", cmd.Args[2], out, err, root, errs)
	}
}

// TestRootIsRefused: in one line, with the remedy.
func TestRootIsRefused(t *testing.T) {
	t.Parallel()
	armRoot(t)
	for name, c := range map[string]struct {
		args   []string
		code   int
		remedy string
	}{
		"not root":           {nil, 1, "run `make armroot` as root"},
		"no such suite here": {[]string{"--suite", "potato"}, 1, "name a mirror with --mirror"},
		"no such option":     {[]string{"--colour"}, 2, "usage: armroot"},
		"no value":           {[]string{"--mirror"}, 2, "--mirror wants a value"},
		"no keyring":         {[]string{"--keyring", "/nowhere"}, 1, "/nowhere"},
		"no suite":           {[]string{"--suite", "../x"}, 2, "no name of a release"},
		"a relative folder":  {[]string{"--dir", "x"}, 2, "not an absolute path"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := launch(t, asNobody(script(t, append([]string{"--dir", t.TempDir()}, c.args...)...)))
			if code := d.end(); code != c.code || d.stdout.String() != "" {
				t.Errorf("exit status %d, want %d, and nothing on stdout: %q", code, c.code, d.stdout)
			}
			if said := d.stderr.String(); strings.Count(said, "\n") != 1 || !strings.Contains(said, c.remedy) {
				t.Errorf("want one line with %q: %s", c.remedy, said)
			}
		})
	}
}

// makesRoots is for tests that make one, or begin to.
func makesRoots(t *testing.T) {
	t.Helper()
	armRoot(t)
	if os.Geteuid() != 0 {
		t.Skip("only root makes a root: run `make test-arm` as root")
	}
}

// TestRootIsWholeOrAbsent ends the making in the midst of it, in all ways. It is one
// test, since each way begins with what the one before has left.
func TestRootIsWholeOrAbsent(t *testing.T) {
	t.Parallel()
	makesRoots(t)
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, how := range []struct {
		name string
		sig  syscall.Signal
		at   string // the line before which it is not sent
		code int
		left int // folders of what was under way
	}{
		{"killed while it unpacks", syscall.SIGKILL, "extracting archives", -9, 1},
		{"interrupted", syscall.SIGINT, "running apt-get update", 130, 0},
		{"told to end", syscall.SIGTERM, "running apt-get update", 143, 0},
	} {
		code, path := endedAt(t, script(t, "--dir", dir), how.at, how.sig)
		if code != how.code || path != "" {
			t.Errorf("%s: exit status %d, want %d, and no path: %q", how.name, code, how.code, path)
		}
		if half, whole := leftIn(t, dir); half != how.left || whole != 0 {
			t.Errorf("%s: %d folders of what was under way are left, want %d, and %d roots count", how.name, half, how.left, whole)
		}
		nobodyLeft(t, dir)
	}
}

// endedAt starts a command and sends the signal once it says the words. Unlike launch it
// leaves alone what the command has started: to end that is the command's own promise.
func endedAt(t *testing.T, cmd *exec.Cmd, words string, sig syscall.Signal) (code int, stdout string) {
	t.Helper()
	out, errs := newOutput(), newOutput()
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = out, errs, time.Minute
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	(&rig{t: t}).eventually("it says "+words, func() (string, bool) { return errs.String(), strings.Contains(errs.String(), words) })
	if err := cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); errors.Is(err, exec.ErrWaitDelay) {
		t.Errorf("%s holds its output after its end", cmd.Path)
	}
	if w := cmd.ProcessState.Sys().(syscall.WaitStatus); w.Signaled() {
		return -int(w.Signal()), out.String()
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

func leftIn(t *testing.T, dir string) (half, whole int) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), ".") {
			half++
		} else if e.IsDir() {
			whole++
		}
	}
	return half, whole
}

// nobodyLeft: the kernel may need a moment to end what was killed.
func nobodyLeft(t *testing.T, dir string) {
	t.Helper()
	(&rig{t: t}).eventually("nothing runs below "+dir, func() (string, bool) {
		err := clitest.ProcessesOf(dir)
		return errorText(err), err == nil
	})
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestRootOnFullDisk: what does not fit leaves nothing, and says how much there is.
func TestRootOnFullDisk(t *testing.T) {
	t.Parallel()
	makesRoots(t)
	dir := t.TempDir()
	// The disk is seen by these programs only, and goes with them.
	out, errs, err := run(t, exec.Command("unshare", "--mount", "sh", "-c",
		`mount -t tmpfs -o size=200m none "$1" && "$2" --dir "$1"; echo "status $?"; ls -A "$1"`, "sh", dir, script(t).Path))
	if err != nil || out != "status 1\n.lock\n" {
		t.Errorf("want no root, exit status 1 and nothing left, got %q, %v", out, err)
	}
	full := strings.Contains(errs, "No space left on device") || strings.Contains(errs, "enough free space") // apt, before it begins
	if last := errs[strings.LastIndex(strings.TrimSpace(errs), "\n")+1:]; !full || !strings.HasPrefix(last, "armroot: no root was made") {
		t.Errorf("it does not say why:\n%s", errs)
	}
}

// TestRootOfAnotherMirror: the options reach apt. A mirror that signs with other keys
// than those of the keyring is refused, which is how Raspbian's is told from others.
func TestRootOfAnotherMirror(t *testing.T) {
	t.Parallel()
	makesRoots(t)
	keys := filepath.Join(t.TempDir(), "keys.gpg")
	if err := os.WriteFile(keys, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	out, errs, err := run(t, exec.Command("sh", "-c", `apt-get indextargets --no-release-info --format '$(REPO_URI)' 'Created-By: Packages' 'Release: bookworm' | head -n1`))
	mirror := strings.TrimSpace(out)
	if err != nil || mirror == "" {
		t.Fatalf("no mirror of bookworm here: %v\n%s", err, errs)
	}
	dir := t.TempDir()
	out, errs, err = run(t, script(t, "--dir", dir, "--suite", "bookworm", "--mirror", mirror, "--keyring", keys))
	if err == nil || out != "" || !strings.Contains(errs, "not signed") && !strings.Contains(errs, "NO_PUBKEY") {
		t.Errorf("a mirror is believed whose keys nobody has: %q, %v\n%s", out, err, errs)
	}
	if half, whole := leftIn(t, dir); half+whole != 0 {
		t.Errorf("%d half roots and %d whole ones are left", half, whole)
	}
}
