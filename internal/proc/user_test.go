package proc_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"pinwheel/internal/proc"
)

func TestUsersByRights(t *testing.T) {
	t.Parallel()
	pg, err := proc.PostgresUser()
	if err != nil {
		t.Fatal(err)
	}
	build, root := proc.BuildUser(), os.Geteuid() == 0
	if build.IsZero() == root || pg.IsZero() == root {
		t.Errorf("root %v, but build user %+v and Postgres user %+v", root, build, pg)
	}
	if root && (pg.Name == "" || pg.UID == 0 || build.UID == pg.UID) {
		t.Errorf("Postgres user %+v, build user %+v: want two users, not root, one with a name", pg, build)
	}
}

func TestApplyRunsAsTheUser(t *testing.T) {
	t.Parallel()
	u := proc.BuildUser()
	cmd := exec.Command("sh", "-c", "id -u; id -g; id -G")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	u.Apply(cmd)
	if !cmd.SysProcAttr.Setsid {
		t.Error("Apply forgot what SysProcAttr said")
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := string(out); !u.IsZero() && got != "60999\n60999\n60999\n" {
		t.Errorf("uid, gid, groups = %q", got)
	}
}

func TestCanExec(t *testing.T) {
	t.Parallel()
	u := proc.BuildUser()
	dir := shared(t, u)
	closed := filepath.Join(dir, "closed")
	mkdir(t, closed, 0o755)
	write(t, filepath.Join(dir, "good"), 0o755)
	write(t, filepath.Join(dir, "plain"), 0o644)
	write(t, filepath.Join(closed, "inside"), 0o755)
	link(t, "good", filepath.Join(dir, "link"))
	link(t, "closed/inside", filepath.Join(dir, "link-inside"))
	if err := os.Chmod(closed, 0o600); err != nil { // nobody but root gets in
		t.Fatal(err)
	}
	tests := []struct{ file, culprit string }{
		{"good", ""},
		{"link", ""},
		{"plain", "plain"},
		{"closed/inside", "closed"},
		{"link-inside", "inside"},
		{"missing", "missing"},
		{"closed", "closed"},
	}
	for _, tt := range tests {
		err := u.CanExec(filepath.Join(dir, tt.file))
		if tt.culprit == "" && err != nil {
			t.Errorf("%s: %v", tt.file, err)
		}
		if tt.culprit != "" && (err == nil || !strings.Contains(err.Error(), tt.culprit)) {
			t.Errorf("%s: error %v, want one that names %s", tt.file, err, tt.culprit)
		}
	}
}

func TestCanEnterNamesTheClosedFolder(t *testing.T) {
	t.Parallel()
	u := proc.BuildUser() // an ordinary user is shut out of his own 0600 folder too
	dir := shared(t, u)
	closed := filepath.Join(dir, "closed")
	mkdir(t, closed, 0o755)
	mkdir(t, filepath.Join(closed, "below"), 0o755)
	if err := u.CanEnter(filepath.Join(closed, "below")); err != nil {
		t.Errorf("while open: %v", err)
	}
	if err := os.Chmod(closed, 0o600); err != nil {
		t.Fatal(err)
	}
	err := u.CanEnter(filepath.Join(closed, "below"))
	if !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), closed) {
		t.Errorf("error = %v, want permission denied for %s", err, closed)
	}
}

func TestSharedTempDirPassesOverClosedAndLong(t *testing.T) {
	u := proc.BuildUser()
	closed := t.TempDir()
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	long := filepath.Join(closed, strings.Repeat("long", 20))
	mkdir(t, long, 0o755)
	for _, base := range []string{closed, long, filepath.Join(closed, "missing")} {
		t.Setenv("TMPDIR", base)
		dir := shared(t, u)
		if strings.HasPrefix(dir, closed) && (base != closed || !u.IsZero()) {
			t.Errorf("TMPDIR %s: got %s", base, dir)
		}
		if err := u.CanEnter(dir); err != nil {
			t.Error(err)
		}
	}
	if left, err := os.ReadDir(long); err != nil || len(left) > 0 {
		t.Errorf("left behind in a refused folder: %v, %v", left, err)
	}
}

func TestDefaultDirs(t *testing.T) {
	t.Setenv("HOME", "/home/pi")
	t.Setenv("XDG_STATE_HOME", "/state")
	t.Setenv("XDG_CACHE_HOME", "relative/is/ignored")
	state, cache := "/state/pinwheel", "/home/pi/.cache/pinwheel"
	if os.Geteuid() == 0 {
		state, cache = "/var/lib/pinwheel", "/var/cache/pinwheel"
	}
	if got := proc.DefaultStateDir(); got != state {
		t.Errorf("state: %s, want %s", got, state)
	}
	if got := proc.DefaultCacheDir(); got != cache {
		t.Errorf("cache: %s, want %s", got, cache)
	}
}

func shared(t *testing.T, users ...proc.User) string {
	t.Helper()
	dir, err := proc.SharedTempDir("proc-test-*", users...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// A closed folder would stop an ordinary user's RemoveAll.
		_ = os.Chmod(filepath.Join(dir, "closed"), 0o700)
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func mkdir(t *testing.T, dir string, mode os.FileMode) {
	t.Helper()
	if err := os.Mkdir(dir, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, mode); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}
