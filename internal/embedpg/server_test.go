package embedpg

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/proc"
)

// masterVariable turns a copy of the test binary into a master that runs a
// server in the folder it names, until it is killed.
const masterVariable = "EMBEDPG_TEST_MASTER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(masterVariable); dir != "" {
		master(dir)
	}
	os.Exit(m.Run())
}

func master(dir string) {
	s, err := Start(context.Background(), config(dir))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(s.URL())
	<-s.Done()
	os.Exit(1)
}

func TestLifeOfAServer(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(folder(t), "new", "pg")
	s := start(t, quick(dir))
	db := connect(t, s.URL())
	do(t, db, "CREATE TABLE kept (n int)")
	do(t, db, "INSERT INTO kept VALUES (42)")
	if found, err := Find(dir); err != nil || found != s.Address {
		t.Errorf("find = %+v, %v; want %+v", found, err, s.Address)
	}
	refuseSecond(t, dir)
	closeServer(t, s)
	if err := s.Err(); err != nil {
		t.Errorf("error after Close: %v", err)
	}
	if _, err := os.Stat(s.folder); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("socket folder %s is left: %v", s.folder, err)
	}
	if _, err := Find(dir); !errors.Is(err, ErrNotRunning) {
		t.Errorf("find after Close: %v", err)
	}
	began := time.Now()
	s = start(t, quick(dir))
	t.Logf("restarted on the same data in %v", time.Since(began))
	if n := number(t, connect(t, s.URLFor("pinwheel")), "SELECT n FROM kept"); n != 42 {
		t.Errorf("kept %d, want 42", n)
	}
}

// refuseSecond starts a second server on the folder of a living one.
func refuseSecond(t *testing.T, dir string) {
	t.Helper()
	_, err := Start(t.Context(), config(dir))
	if !errors.Is(err, ErrInUse) {
		t.Fatalf("second start = %v, want ErrInUse", err)
	}
	for _, want := range []string{dir, strconv.Itoa(os.Getpid())} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("second start: %q does not name %s", err, want)
		}
	}
}

func TestOnlyTheSocketAndOnlyForUs(t *testing.T) {
	t.Parallel()
	s := start(t, quick(folder(t)))
	db := connect(t, s.URL())
	if got := text(t, db, "SHOW listen_addresses"); got != "" {
		t.Errorf("listens on %q", got)
	}
	if got := text(t, db, "SHOW cluster_name"); got != "pinwheel" {
		t.Errorf("cluster name %q", got)
	}
	info, err := os.Stat(s.folder)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o700 {
		t.Errorf("socket folder is open: %v", info.Mode())
	}
	if path := filepath.Join(s.folder, ".s.PGSQL.5432"); len(path) > 100 {
		t.Errorf("socket path of %d bytes: %s", len(path), path)
	}
	if encoding := text(t, db, "SHOW server_encoding"); encoding != "UTF8" {
		t.Errorf("encoding %s", encoding)
	}
}

// TestKilledMaster kills a master like the kernel does when memory is short,
// at once after a commit, while a session is busy.
func TestKilledMaster(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	cmd, url := startMaster(t, dir)
	db := connect(t, url)
	do(t, db, "CREATE TABLE kept (n int)")
	do(t, db, "INSERT INTO kept VALUES (42)")
	connect(t, url) // held open: its backend must go too
	socket, err := os.Readlink(filepath.Join(dir, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	shared := sharedMemory(t, dir)

	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // says "killed", which is what we did
	began := time.Now()
	s := start(t, quick(dir))
	t.Logf("recovered in %v after kill -9 of the master", time.Since(began))

	if n := number(t, connect(t, s.URL()), "SELECT n FROM kept"); n != 42 {
		t.Errorf("kept %d, want 42", n)
	}
	if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("socket folder %s of the killed master is left", socket)
	}
	closeServer(t, s)
	if pid, err := userOf(filepath.Join(dir, "data")); pid != 0 || err != nil {
		t.Errorf("process %d still works on the data (%v)", pid, err)
	}
	segments := readFile(t, "/proc/sysvipc/shm")
	if slices.ContainsFunc(strings.Split(segments, "\n"), func(line string) bool {
		columns := strings.Fields(line) // the key, the id, and what else there is of one
		return len(columns) > 1 && columns[1] == shared
	}) {
		t.Errorf("shared memory %s of the killed master is left:\n%s", shared, segments)
	}
}

// sharedMemory returns the id of the server's System V segment, which stands
// behind its key in the seventh line of its pid file.
func sharedMemory(t *testing.T, dir string) string {
	t.Helper()
	lines := strings.Split(readFile(t, filepath.Join(dir, "data", "postmaster.pid")), "\n")
	fields := strings.Fields(lines[6])
	if len(fields) != 2 {
		t.Fatalf("shared memory line %q", lines[6])
	}
	return fields[1]
}

// TestSocketFoldersOfKilledMastersAreSwept by whoever starts next, on whatever
// data; that of a living one stays.
func TestSocketFoldersOfKilledMastersAreSwept(t *testing.T) {
	t.Parallel()
	dead, alive := folder(t), folder(t)
	cmd, _ := startMaster(t, dead)
	other, _ := startMaster(t, alive)
	defer killMaster(t, other, alive)
	var sockets []string
	for _, dir := range []string{dead, alive} {
		socket, err := os.Readlink(filepath.Join(dir, "socket"))
		if err != nil {
			t.Fatal(err)
		}
		sockets = append(sockets, socket)
	}
	killMaster(t, cmd, dead)
	start(t, quick(folder(t)))
	// Another one that starts now may be at it, and then this one has left it alone.
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(30 * time.Second)
	for _, err := os.Stat(sockets[0]); !errors.Is(err, os.ErrNotExist); _, err = os.Stat(sockets[0]) {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("the socket folder %s of a killed master is left: %v", sockets[0], err)
		}
	}
	if _, err := os.Stat(filepath.Join(sockets[1], ".s.PGSQL.5432")); err != nil {
		t.Errorf("that of a living one: %v", err)
	}
}

// killMaster also waits for the end of the server, which writes in the folder.
func killMaster(t *testing.T, cmd *exec.Cmd, dir string) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // says "killed", which is what we did
	if err := awaitOrphans(context.Background(), filepath.Join(dir, "data"), orphanPatience); err != nil {
		t.Error(err)
	}
}

func startMaster(t *testing.T, dir string) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), masterVariable+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "postgres://") {
		t.Fatalf("master says %q, %v", line, err)
	}
	return cmd, strings.TrimSpace(line)
}

func TestKilledServer(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	s := start(t, quick(dir))
	connect(t, s.URL()) // a backend that has to notice
	if err := syscall.Kill(s.child.Pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-s.Done()
	if err := s.Err(); err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "killed") {
		t.Errorf("error = %v, want one that names %s and says killed", err, dir)
	}
	if err := s.Close(); err != nil {
		t.Errorf("close after the end: %v", err)
	}
	if s.Err() == nil {
		t.Error("Close made the reason of the end forgotten")
	}
	s = start(t, quick(dir))
	connect(t, s.URL())
}

func TestStartSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	bad := quick(dir)
	bad.Settings["shared_buffers"] = "nonsense"
	_, err := Start(t.Context(), bad)
	if err == nil || !strings.Contains(err.Error(), "shared_buffers") || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("error = %v, want Postgres's own words", err)
	}
	if err != nil && strings.Contains(err.Error(), "\n") {
		t.Errorf("more than a line: %q", err)
	}
	s := start(t, quick(dir)) // the failed start left nothing in the way
	connect(t, s.URL())
}

func TestCancelledStartLeavesNothing(t *testing.T) {
	t.Parallel()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	hasty, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond) // in the middle of initdb
	defer cancel()
	for _, ctx := range []context.Context{cancelled, hasty} {
		dir := folder(t)
		if _, err := Start(ctx, config(dir)); err == nil || !errors.Is(err, ctx.Err()) {
			t.Errorf("error = %v, want %v", err, ctx.Err())
		}
		for _, pattern := range []string{"data*", "socket"} {
			if left, _ := filepath.Glob(filepath.Join(dir, pattern)); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		}
	}
}

// config uses the server that is installed, or the user's own cache.
func config(dir string) Config {
	return Config{Dir: dir, CacheDir: proc.DefaultCacheDir(), Fetch: pipFetch}
}

// quick trades durability, which most tests do not need, for time.
func quick(dir string) Config {
	cfg := config(dir)
	cfg.Settings = map[string]string{"fsync": "off"}
	return cfg
}

func start(t *testing.T, cfg Config) *Server {
	t.Helper()
	s, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // what matters is checked where it matters
	return s
}

func closeServer(t *testing.T, s *Server) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

// folder is one that the server's user can reach, as t.TempDir is not for root.
func folder(t *testing.T) string {
	t.Helper()
	user, err := proc.PostgresUser()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := proc.SharedTempDir("embedpg-*", user)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	db, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatalf("connect to %s: %v", url, err)
	}
	t.Cleanup(func() { _ = db.Close(context.Background()) }) // its server may be gone
	return db
}

func do(t *testing.T, db *pgx.Conn, sql string) {
	t.Helper()
	if _, err := db.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func number(t *testing.T, db *pgx.Conn, sql string) (n int) {
	t.Helper()
	if err := db.QueryRow(t.Context(), sql).Scan(&n); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return n
}

func text(t *testing.T, db *pgx.Conn, sql string) (s string) {
	t.Helper()
	if err := db.QueryRow(t.Context(), sql).Scan(&s); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return s
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
