package proc_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pinwheel/internal/proc"
)

// owner makes a folder, says its name, and stays until it is killed or its input
// ends.
func owner(prefix string) {
	dir, err := proc.NewTempDir(prefix)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	if err := os.WriteFile(filepath.Join(dir.Path, "file"), nil, 0o600); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(dir.Path)
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n') // it never comes
	os.Exit(0)
}

// startOwner returns the folder of another process.
func startOwner(t *testing.T, prefix string) (dir string, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"=owner", prefixVariable+"="+prefix)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() {
		_ = cmd.Process.Kill() // it may be dead already
		_ = cmd.Wait()         // says "killed"
		_ = in.Close()
	}
	t.Cleanup(kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !filepath.IsAbs(line) {
		t.Fatalf("the owner says %q, %v", line, err)
	}
	return strings.TrimSpace(line), kill
}

func newTempDir(t *testing.T, prefix string, users ...proc.User) *proc.TempDir {
	t.Helper()
	d, err := proc.NewTempDir(prefix, users...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(d.Path); err != nil {
			t.Error(err)
		}
	})
	return d
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// TestFoldersOfTheDeadAreSwept is not parallel: it has a temporary folder of its
// own.
func TestFoldersOfTheDeadAreSwept(t *testing.T) {
	t.Setenv("TMPDIR", openTemp(t))
	dead, kill := startOwner(t, "proc-a-")
	alive, _ := startOwner(t, "proc-a-")
	other, killOther := startOwner(t, "proc-b-")
	mine := newTempDir(t, "proc-a-")
	if !exists(dead) || !exists(alive) {
		t.Fatal("the folder of a living owner was swept")
	}
	kill()
	killOther()
	if err := newTempDir(t, "proc-a-").Remove(); err != nil {
		t.Error(err)
	}
	for path, want := range map[string]bool{
		dead: false, filepath.Join(alive, "file"): true, filepath.Join(mine.Path, proc.TempLock): true,
		filepath.Join(other, "file"): true, // of another kind
	} {
		if exists(path) != want {
			t.Errorf("%s: there %v, want %v", path, !want, want)
		}
	}
	if err := mine.Release(); err != nil {
		t.Error(err)
	}
	if newTempDir(t, "proc-a-"); exists(mine.Path) {
		t.Error("a folder that was given up is left")
	}
}

// TestManySweepAtOnce: a folder that begins is never taken for a dead one, and one
// that is given up is removed once.
func TestManySweepAtOnce(t *testing.T) {
	t.Setenv("TMPDIR", openTemp(t))
	ended := make(chan error)
	for i := range 8 {
		go func() {
			var err error
			for n := 0; n < 50 && err == nil; n++ {
				var d *proc.TempDir
				if d, err = proc.NewTempDir("proc-e-"); err != nil {
					break
				}
				if _, err = os.Stat(filepath.Join(d.Path, proc.TempLock)); err != nil {
					break
				}
				if i%2 == 0 {
					err = d.Remove()
				} else {
					err = d.Release()
				}
			}
			ended <- err
		}()
	}
	for range 8 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if err := newTempDir(t, "proc-e-").Remove(); err != nil {
		t.Error(err)
	}
	if left, err := filepath.Glob(filepath.Join(os.TempDir(), "proc-e-*")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestWhatIsNotASweepersStays: a link, a folder of a version without locks, a
// fresh one whose owner had no time to lock it, and a lock that is none.
func TestWhatIsNotASweepersStays(t *testing.T) {
	base := openTemp(t)
	t.Setenv("TMPDIR", base)
	elsewhere := newTempDir(t, "proc-elsewhere-")
	if err := elsewhere.Release(); err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(base, "proc-c-"+name) }
	for _, name := range []string{"young", "old", "full", "half", "linked"} {
		mkdir(t, at(name), 0o711)
	}
	write(t, filepath.Join(at("full"), "socket"), 0o600)
	write(t, filepath.Join(at("half"), proc.TempLock+"-new"), 0o600)
	long := time.Now().Add(-2 * time.Hour)
	err := errors.Join(
		os.Symlink(elsewhere.Path, at("link")),
		os.Symlink(filepath.Join(elsewhere.Path, proc.TempLock), filepath.Join(at("linked"), proc.TempLock)),
		os.Chtimes(at("old"), long, long), os.Chtimes(at("full"), long, long), os.Chtimes(at("half"), long, long))
	if err != nil {
		t.Fatal(err)
	}
	newTempDir(t, "proc-c-")
	for path, want := range map[string]bool{
		at("young"): true, at("old"): false, at("half"): false, filepath.Join(at("full"), "socket"): true,
		at("linked"): true, at("link"): true, filepath.Join(elsewhere.Path, proc.TempLock): true,
	} {
		if exists(path) != want {
			t.Errorf("%s: there %v, want %v", path, !want, want)
		}
	}
}

// TestFoldersOfOthersStay, and those of a user that we make folders for go.
func TestFoldersOfOthersStay(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a folder to somebody else")
	}
	t.Setenv("TMPDIR", openTemp(t))
	friend, stranger := proc.User{UID: 54321, GID: 54321}, proc.User{UID: 54322, GID: 54322}
	var paths []string
	for _, u := range []proc.User{friend, stranger} {
		d := newTempDir(t, "proc-d-")
		if err := errors.Join(u.Chown(d.Path), d.Release()); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, d.Path)
	}
	newTempDir(t, "proc-d-", friend)
	if exists(paths[0]) || !exists(paths[1]) {
		t.Errorf("of the user it is for: left %v; of a stranger: left %v", exists(paths[0]), exists(paths[1]))
	}
}

// openTemp is a temporary folder that every user can enter.
func openTemp(t *testing.T) string {
	t.Helper()
	base := shared(t)
	if err := os.Chmod(base, 0o777); err != nil {
		t.Fatal(err)
	}
	return base
}
