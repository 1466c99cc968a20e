package store_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/embedpg"
	"pinwheel/internal/farm"
	"pinwheel/internal/pgtest"
	"pinwheel/internal/proc"
	"pinwheel/internal/store"
)

// everyDoor is each way in which a master meets a database first.
func everyDoor(t *testing.T, dsn string) map[string]error {
	t.Helper()
	_, _, check := store.CheckSchema(t.Context(), dsn)
	_, _, migrate := store.Migrate(t.Context(), dsn)
	st, open := store.Open(t.Context(), dsn)
	if open == nil {
		st.Close()
	}
	return map[string]error{"check": check, "migrate": migrate, "open": open}
}

func TestDatabaseThatCannotBeReached(t *testing.T) {
	t.Parallel()
	for dsn, want := range map[string]string{
		"postgres://user:geheim@127.0.0.1:1/name":     "name at 127.0.0.1:1 as user: dial tcp 127.0.0.1:1:",
		"postgres://user:geheim@host.invalid/name":    "name at host.invalid:5432 as user: lookup host.invalid",
		"postgres://user:geheim@/name?host=/nonesuch": "name at /nonesuch:5432 as user: dial unix /nonesuch/",
		"postgres://user:geh eim@host:port/name":      "the database URL cannot be parsed; want postgres://",
		"geheim":                                      "the database URL cannot be parsed",
	} {
		for door, err := range everyDoor(t, dsn) {
			checkLine(t, door+" "+dsn, err, want)
		}
	}
}

// TestDatabaseThatIsSilent: a host takes the connection and says nothing more.
func TestDatabaseThatIsSilent(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dsn := "postgres://user:geheim@" + l.Addr().String() + "/name?sslmode=disable&connect_timeout=1"
	for door, err := range everyDoor(t, dsn) {
		checkLine(t, door, err, "name at "+l.Addr().String()+" as user: no answer within 1s; look at its host")
	}
}

// checkLine wants one line that says want, and no password.
func checkLine(t *testing.T, what string, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) || strings.ContainsAny(err.Error(), "\n\t") || strings.Contains(err.Error(), "geheim") {
		t.Errorf("%s: error %q, want one line with %q", what, fmt.Sprint(err), want)
	}
}

// TestDatabaseThatRefuses: a server of its own, because the test changes who it
// lets in.
func TestDatabaseThatRefuses(t *testing.T) {
	t.Parallel()
	user, err := proc.PostgresUser()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := proc.SharedTempDir("pinwheel-store-", user)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	pg, err := embedpg.Start(t.Context(), embedpg.Config{
		Dir: filepath.Join(dir, "pg"), CacheDir: proc.DefaultCacheDir(), Fetch: pgtest.Fetch, Settings: map[string]string{"fsync": "off"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pg.Close() })
	socket := lockDoors(t, pg.URL())
	for dsn, want := range map[string]string{
		"postgres://pi:geheim@/farm?host=" + socket:   " as pi: password authentication failed for user \"pi\"; correct user and password",
		"postgres://nobody@/farm?host=" + socket:      " as nobody: password authentication failed",
		"postgres://pi:right@/absent?host=" + socket:  " as pi: database \"absent\" does not exist; create it, then run `master migrate`",
		"postgres://pi:right@/private?host=" + socket: " as pi: permission denied for database \"private\"; let the user connect",
	} {
		for door, err := range everyDoor(t, dsn) {
			checkLine(t, door+" "+dsn, err, want)
		}
	}
	if _, _, err := store.Migrate(t.Context(), "postgres://pi:right@/farm?host="+socket); err != nil {
		t.Errorf("with the right password: %v", err)
	}
}

// lockDoors lets only the role pi in, with a password, and returns the folder of
// the server's socket.
func lockDoors(t *testing.T, url string) (socket string) {
	t.Helper()
	db, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(t.Context())
	for _, statement := range []string{
		"create role pi login password 'right'", "create database farm owner pi", "create database private",
		"revoke connect on database private from public",
	} {
		if _, err := db.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	var hba string
	err = db.QueryRow(t.Context(), "select current_setting('hba_file'), current_setting('unix_socket_directories')").Scan(&hba, &socket)
	if err != nil {
		t.Fatal(err)
	}
	// Written in place: the file is the server's user's, and must stay so.
	if err := os.WriteFile(hba, []byte("local all all scram-sha-256\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(t.Context(), "select pg_reload_conf()"); err != nil {
		t.Fatal(err)
	}
	refused(t, url)
	return socket
}

// refused waits until the server has read its rules again: it says nowhere that
// it has.
func refused(t *testing.T, url string) {
	t.Helper()
	for t.Context().Err() == nil {
		db, err := pgx.Connect(t.Context(), url)
		if err != nil {
			return
		}
		db.Close(t.Context())
	}
}

// TestNewerSchema: the previous binary works on the schema of the next.
func TestNewerSchema(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t)
	have, want, err := store.CheckSchema(t.Context(), dsn)
	if err != nil || have != want {
		t.Fatalf("schema %d, wanted %d, %v", have, want, err)
	}
	setVersion(t, dsn, "insert into goose_db_version (version_id, is_applied) values (1000, true)")
	st, err := store.Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	st.Close()
	if from, to, err := store.Migrate(t.Context(), dsn); from != 1000 || to != 1000 || err != nil {
		t.Errorf("migrate from %d to %d, %v; want nothing done", from, to, err)
	}
}

func TestOlderSchema(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Empty(t)
	if _, err := store.Open(t.Context(), dsn); !errors.Is(err, farm.ErrSchema) || !strings.Contains(err.Error(), "`master migrate`") {
		t.Errorf("error %v, want ErrSchema with the remedy", err)
	}
	have, want, err := store.CheckSchema(t.Context(), dsn)
	if have != 0 || want < 1 || err != nil {
		t.Errorf("have %d, want %d, %v", have, want, err)
	}
	if again, _, _ := store.CheckSchema(t.Context(), dsn); again != 0 {
		t.Errorf("a check made version %d", again)
	}
}

func setVersion(t *testing.T, dsn, statement string) {
	t.Helper()
	db, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(t.Context())
	if _, err := db.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}
