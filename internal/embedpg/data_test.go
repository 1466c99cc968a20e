package embedpg

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pinwheel/internal/proc"
)

// TestNeverTouchesData starts on folders that it must refuse, and looks whether
// they are as they were.
func TestNeverTouchesData(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, file, text string
		want             []string
	}{
		{"older version", "PG_VERSION", "9.6\n", []string{"Postgres 9", "postgresql-9", "pg_upgrade"}},
		{"newer version", "PG_VERSION", "99\n", []string{"Postgres 99", "postgresql-99", "pg_upgrade"}},
		{"no version", "PG_VERSION", "\n", []string{"PG_VERSION"}},
		{"something else", "thesis.txt", "five years", []string{"not a Postgres cluster", "move it away"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := folder(t)
			data := filepath.Join(dir, "data")
			mkdirFor(t, data)
			writeFile(t, filepath.Join(data, tt.file), tt.text)
			_, err := Start(t.Context(), config(dir))
			wantError(t, err, append(tt.want, data)...)
			if got := readFile(t, filepath.Join(data, tt.file)); got != tt.text {
				t.Errorf("%s changed to %q", tt.file, got)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, "data*")); len(left) != 1 {
				t.Errorf("left behind: %v", left)
			}
			if locked, err := isLocked(filepath.Join(dir, "lock")); locked || err != nil {
				t.Errorf("still locked after a refusal: %v, %v", locked, err)
			}
		})
	}
}

func TestRefusesWhatTheServerCannotReach(t *testing.T) {
	t.Parallel()
	closed := filepath.Join(folder(t), "closed")
	// Root's server is another user; ours is ourselves and cannot write there.
	mode := os.FileMode(0o700)
	if os.Geteuid() != 0 {
		mode = 0o500
	}
	if err := os.Mkdir(closed, mode); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(closed, "pg")
	_, err := Start(t.Context(), config(dir))
	wantError(t, err, "permission denied", closed)
	if left, _ := filepath.Glob(filepath.Join(dir, "data*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestRefusesForeignOwner(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can give a folder to somebody else")
	}
	dir := folder(t)
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil { // root's
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(data, "PG_VERSION"), "15\n")
	_, err := Start(t.Context(), config(dir))
	wantError(t, err, data, "uid 0", "chown -R")
}

func TestUnfinishedClusterIsRemoved(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	mkdirFor(t, filepath.Join(dir, unfinished+"17"))
	writeFile(t, filepath.Join(dir, unfinished+"17", "PG_VERSION"), "15\n")
	s := start(t, quick(dir))
	connect(t, s.URL())
	if left, _ := filepath.Glob(filepath.Join(dir, unfinished+"*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestNumberOfDeadServerReused leaves the pid file of a crash whose process
// number now belongs to another program of the server's user.
func TestNumberOfDeadServerReused(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	closeServer(t, start(t, quick(dir)))
	user, err := proc.PostgresUser()
	if err != nil {
		t.Fatal(err)
	}
	other, err := proc.Start(command(context.Background(), user, "sleep", "infinity"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Kill(); <-other.Done() })
	data := filepath.Join(dir, "data")
	path := filepath.Join(data, "postmaster.pid")
	writeFile(t, path, fmt.Sprintf("%d\n%s\n1700000000\n5432\n\n\n\nready   \n", other.Pid(), data))
	if err := user.Chown(path); err != nil {
		t.Fatal(err)
	}
	connect(t, start(t, quick(dir)).URL())
}

func TestParseDataVersion(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{"15\n": 15, "18": 18, "9.6\n": 9, "": 0, "x": 0, "-3": 0, "0": 0} {
		got, err := parseDataVersion("data", text)
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
	}
}

func mkdirFor(t *testing.T, dir string) {
	t.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	user, err := proc.PostgresUser()
	if err != nil {
		t.Fatal(err)
	}
	if err := user.Chown(dir); err != nil {
		t.Fatal(err)
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// wantError wants an error of one line that names all the things.
func wantError(t *testing.T, err error, things ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("more than a line: %q", err)
	}
	for _, thing := range things {
		if !strings.Contains(err.Error(), thing) {
			t.Errorf("%q does not say %q", err, thing)
		}
	}
}
