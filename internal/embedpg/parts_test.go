package embedpg

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"pinwheel/internal/proc"

	"golang.org/x/sys/unix"
)

func TestFolders(t *testing.T) {
	t.Parallel()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	const elf, script = "\x7fELF...", "#!/bin/sh\n"
	for path, text := range map[string]string{
		"whole/postgres": elf, "whole/initdb": elf,
		"script/postgres": script, "script/initdb": script,
		"half/postgres": elf,
		"client/initdb": elf,
	} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(path)), 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, path), text)
	}
	// What the PATH holds is often links, and not always both.
	if err := os.Mkdir(filepath.Join(dir, "links"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../whole/postgres", filepath.Join(dir, "links", "postgres")); err != nil {
		t.Fatal(err)
	}
	var dirs []string
	for _, name := range []string{"missing", "script", "half", "client", "links", "whole"} {
		dirs = append(dirs, filepath.Join(dir, name))
	}
	got := search{dirs: append(dirs, "relative", "")}.folders()
	if diff := cmp.Diff([]string{filepath.Join(dir, "whole")}, got); diff != "" {
		t.Errorf("folders (-want +got):\n%s", diff)
	}
}

func TestFindSaysWhatItPassedOver(t *testing.T) {
	t.Parallel()
	installed := newSearch(proc.BuildUser())
	bin, passed, ok := installed.find(t.Context(), 0)
	if !ok {
		t.Skipf("no Postgres is installed here (%s)", passed)
	}
	if bin.major < oldest {
		t.Errorf("found %+v, older than %d", bin, oldest)
	}
	if same, _, ok := installed.find(t.Context(), bin.major); !ok || same.major != bin.major {
		t.Errorf("asked for %d: %+v, %v", bin.major, same, ok)
	}
	if none, passed, ok := installed.find(t.Context(), 99); ok || !strings.Contains(passed, bin.dir) {
		t.Errorf("asked for 99: %+v, passed over %q", none, passed)
	}
}

func TestParseVersion(t *testing.T) {
	t.Parallel()
	for out, want := range map[string]int{
		"postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n": 15,
		"postgres (PostgreSQL) 18.4\n":                           18,
		"postgres (PostgreSQL) 9.6.24\n":                         9,
		"postgres (PostgreSQL) 19devel\n":                        0,
		"postgres (PostgreSQL) 17beta1\n":                        0,
		"initdb (something) 15\n":                                0,
		"":                                                       0,
	} {
		got, err := parseVersion(out)
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %d, %v; want %d", out, got, err, want)
		}
	}
}

func FuzzParseVersion(f *testing.F) {
	f.Add("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n")
	f.Add("postgres (PostgreSQL) 19devel\n")
	f.Fuzz(func(t *testing.T, out string) {
		major, err := parseVersion(out)
		if err == nil && (major < 0 || major > 9999) {
			t.Errorf("%q: %d", out, major)
		}
	})
}

func TestParsePidFile(t *testing.T) {
	t.Parallel()
	const full = "4711\n/data\n1700000000\n5432\n/tmp/s\n\n  123 45\nready   \n"
	tests := []struct {
		text string
		want pidFile
		ok   bool
	}{
		{full, pidFile{4711, true}, true},
		{strings.Replace(full, "ready   ", "starting", 1), pidFile{4711, false}, true},
		{full[:20], pidFile{4711, false}, true}, // still being written
		{"-4711\n/data\n", pidFile{4711, false}, true},
		{"", pidFile{}, false},
		{"0\n", pidFile{}, false},
		{"x\n", pidFile{}, false},
	}
	for _, tt := range tests {
		got, ok := parsePidFile(tt.text)
		if got != tt.want || ok != tt.ok {
			t.Errorf("%q: %+v, %v; want %+v, %v", tt.text, got, ok, tt.want, tt.ok)
		}
	}
}

func FuzzParsePidFile(f *testing.F) {
	f.Add("4711\n/data\n1700000000\n5432\n/tmp/s\n\n  123 45\nready   \n")
	f.Add("-1\n")
	f.Fuzz(func(t *testing.T, text string) {
		// A number that is not positive would reach a whole group by kill(2).
		if got, ok := parsePidFile(text); ok && got.pid <= 0 {
			t.Errorf("%q: %+v", text, got)
		}
	})
}

func TestAwaitOrphansNamesWhoStays(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	writeFile(t, filepath.Join(data, "postmaster.pid"), "1\n")
	cmd := command(context.Background(), proc.User{}, "sleep", "infinity")
	cmd.Dir = data // as every process of a server
	child, err := proc.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	err = awaitOrphans(t.Context(), data, 20*time.Millisecond)
	wantError(t, err, data, "kill -INT")
	child.Kill()
	<-child.Done()
	if err := awaitOrphans(t.Context(), data, time.Minute); err != nil {
		t.Errorf("after its end: %v", err)
	}
}

func TestComplaint(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"2026-01-31 10:00:00.000 UTC [17] LOG:  starting\n2026-01-31 10:00:00.001 UTC [17] FATAL:  no space\n" +
			"2026-01-31 10:00:00.001 UTC [17] HINT:  buy a disk\n": "FATAL:  no space; HINT:  buy a disk",
		"initdb: error: directory exists\ninitdb: hint: remove it\n": "initdb: error: directory exists",
		"nothing\n\nloud\n": "nothing; loud",
		"":                  "",
		"ERROR: 1\nERROR: 2\nERROR: 3\nERROR: 4\nERROR: 5\n": "ERROR: 2; ERROR: 3; ERROR: 4; ERROR: 5",
	}
	for log, want := range tests {
		if got := complaint(log); got != want {
			t.Errorf("%q: %q, want %q", log, got, want)
		}
	}
}

func TestLogIsRotatedAndQuoted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "postgres.log")
	writeFile(t, path, "FATAL: old news\n"+strings.Repeat("x", maxLog))
	writeFile(t, path+".1", "older news\n")
	l, err := openLog(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.file.Close()
	if old := readFile(t, path+".1"); !strings.HasPrefix(old, "FATAL: old news") {
		t.Errorf("postgres.log.1 begins with %.20q", old)
	}
	if _, err := l.file.WriteString("FATAL: first run\n"); err != nil {
		t.Fatal(err)
	}
	again, err := openLog(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer again.file.Close()
	if _, err := again.file.WriteString("FATAL: second run\n"); err != nil {
		t.Fatal(err)
	}
	got := again.complaint()
	if !strings.Contains(got, "second run") || strings.Contains(got, "first run") || !strings.Contains(got, path) {
		t.Errorf("complaint %q, want that of the second run and the file's name", got)
	}
}

func TestLock(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	if locked, err := isLocked(path); locked || err != nil {
		t.Errorf("missing file: %v, %v", locked, err)
	}
	l, err := takeLock(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := takeLock(path); !errors.Is(err, ErrInUse) {
		t.Errorf("taken twice: %v", err)
	}
	if locked, err := isLocked(path); !locked || err != nil {
		t.Errorf("while taken: %v, %v", locked, err)
	}
	// As a child has it from fork to exec.
	inherited, err := unix.Dup(int(l.file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(inherited)
	if err := l.release(); err != nil {
		t.Fatal(err)
	}
	if locked, err := isLocked(path); locked || err != nil {
		t.Errorf("after release: %v, %v", locked, err)
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"listen_addresses", "unix_socket_directories", "unix_socket_permissions", "port", "data_directory"} {
		_, err := Start(t.Context(), Config{Dir: t.TempDir(), Settings: map[string]string{name: "x"}})
		wantError(t, err, name)
	}
	args := arguments("/d", Address{"/s"}, map[string]string{"fsync": "off", "work_mem": "8MB"})
	for _, want := range []string{"fsync=off", "work_mem=8MB", "listen_addresses=", "unix_socket_directories=/s", "jit=off"} {
		if !slices.Contains(args, want) {
			t.Errorf("%v lacks %s", args, want)
		}
	}
}

func TestURLSurvivesParsing(t *testing.T) {
	t.Parallel()
	for _, db := range []string{"pinwheel", "with space", "ümläut/%&?"} {
		cfg, err := pgx.ParseConfig(Address{"/tmp/pinwheel-pg-1"}.URLFor(db))
		if err != nil {
			t.Fatalf("%s: %v", db, err)
		}
		if cfg.Database != db || cfg.Host != "/tmp/pinwheel-pg-1" || cfg.User != "postgres" || cfg.Port != 5432 {
			t.Errorf("%s: database %q of %s on %s:%d", db, cfg.Database, cfg.User, cfg.Host, cfg.Port)
		}
	}
	if u, err := url.Parse(Address{"/tmp/x"}.URL()); err != nil || u.Path != "/pinwheel" {
		t.Errorf("URL %v, %v", u, err)
	}
}

// TestForgetTouchesNothingElse follows notes that a crash may have left about
// folders that are others' by now.
func TestForgetTouchesNothingElse(t *testing.T) {
	t.Parallel()
	dir, base := t.TempDir(), t.TempDir()
	strange := filepath.Join(base, "strange")
	busy := filepath.Join(base, socketPrefix+"busy")
	real := filepath.Join(base, socketPrefix+"real")
	for _, d := range []string{strange, busy, real} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(d, ".s.PGSQL.5432"), "")
	}
	writeFile(t, filepath.Join(busy, "precious"), "")
	if err := os.Symlink(strange, filepath.Join(base, socketPrefix+"link")); err != nil {
		t.Fatal(err)
	}
	for folder, survives := range map[string]bool{
		strange: true, busy: true, real: false,
		filepath.Join(base, socketPrefix+"link"): true,
		filepath.Join(base, socketPrefix+"gone"): false,
	} {
		if err := (Address{folder}).publish(dir); err != nil {
			t.Fatal(err)
		}
		if err := forget(dir); (err != nil) != survives {
			t.Errorf("%s: forget = %v", folder, err)
		}
		if _, err := os.Lstat(folder); (err == nil) != survives {
			t.Errorf("%s: %v, want that it survives: %v", folder, err, survives)
		}
		if _, err := os.Lstat(filepath.Join(dir, "socket")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the note is left, so no start would ever work again", folder)
		}
	}
	if _, err := os.Stat(filepath.Join(strange, ".s.PGSQL.5432")); err != nil {
		t.Errorf("a file in a strange folder: %v", err)
	}
}
