package pgtest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/embedpg"
	"pinwheel/internal/pgtest"
	"pinwheel/internal/proc"
	"pinwheel/internal/store"
)

// nestedVariable makes a copy of the test binary run one test, with a server of
// its own.
const nestedVariable = "PGTEST_TEST_NESTED"

// dataMark stands in the log before the folder that a nested server used.
const dataMark = "data are in "

func TestMain(m *testing.M) {
	if os.Getenv(nestedVariable) == "no-main" {
		os.Exit(m.Run())
	}
	pgtest.Main(m)
}

func TestNewIsMigratedAndOnesOwn(t *testing.T) {
	t.Parallel()
	one, two := pgtest.New(t), pgtest.New(t)
	if one == two {
		t.Fatalf("both are %s", one)
	}
	for _, dsn := range []string{one, two} {
		have, want, err := store.CheckSchema(t.Context(), dsn)
		if err != nil || have != want || want == 0 {
			t.Errorf("schema of %s: %d, want %d, %v", dsn, have, want, err)
		}
	}
	query(t, one, "CREATE TABLE mine (n int)")
	if got := query(t, two, "SELECT coalesce(to_regclass('mine')::text, 'none')"); got != "none" {
		t.Errorf("the other database sees %s", got)
	}
}

func TestEmptyIsEmpty(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Empty(t)
	t.Log(dataMark + query(t, dsn, "SHOW data_directory"))
	got := query(t, dsn, "SELECT count(*)::text FROM pg_class WHERE relnamespace = 'public'::regnamespace")
	if got != "0" {
		t.Errorf("%s relations, want none", got)
	}
}

func TestDroppedWithItsSessions(t *testing.T) {
	t.Parallel()
	var dsn string
	t.Run("user", func(t *testing.T) {
		dsn = pgtest.New(t)
		db, err := pgx.Connect(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		_ = db // left open on purpose
	})
	if db, err := pgx.Connect(t.Context(), dsn); err == nil {
		_ = db.Close(t.Context())
		t.Errorf("%s is still there", dsn)
	}
}

// BenchmarkNew is what a test pays, beside a database without any schema.
func BenchmarkNew(b *testing.B) {
	for name, f := range map[string]func(testing.TB) string{"migrated": pgtest.New, "empty": pgtest.Empty} {
		f(b) // the first pays for the server and the template
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				f(b)
			}
		})
	}
}

func TestOutsideServerIsLeftAsItWas(t *testing.T) {
	t.Parallel()
	user, err := proc.PostgresUser()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := proc.SharedTempDir("pgtest-outside-*", user)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	pgtest.Empty(t) // where no Postgres is installed, this brings one into the cache
	outside, err := embedpg.Start(t.Context(), embedpg.Config{
		Dir:      dir,
		CacheDir: proc.DefaultCacheDir(),
		Settings: map[string]string{"fsync": "off"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer outside.Close()
	const names = "SELECT datname::text FROM pg_database ORDER BY datname"
	before := query(t, outside.URL(), names)
	if out, err := nested(t, "^TestNewIsMigratedAndOnesOwn$", "PINWHEEL_TEST_DATABASE_URL="+outside.URL()); err != nil {
		t.Fatalf("nested tests: %v\n%s", err, out)
	}
	if after := query(t, outside.URL(), names); after != before {
		t.Errorf("databases are %s, and were %s", after, before)
	}
}

func TestEmbeddedServerLeavesNothing(t *testing.T) {
	t.Parallel()
	temp, err := os.MkdirTemp("/tmp", "pgt") // short and reachable, as TMPDIR usually is
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(temp) })
	if err := os.Chmod(temp, 0o1777); err != nil {
		t.Fatal(err)
	}
	out, err := nested(t, "^TestEmptyIsEmpty$", "PINWHEEL_TEST_DATABASE_URL=", "TMPDIR="+temp)
	if err != nil {
		t.Fatalf("nested tests: %v\n%s", err, out)
	}
	_, data, _ := strings.Cut(out, dataMark)
	data, _, _ = strings.Cut(data, "\n")
	folder := filepath.Dir(filepath.Dir(data))
	if _, err := os.Stat(folder); !strings.Contains(folder, "pgtest") || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("folder %s of the server: %v, want that it is gone\n%s", folder, err, out)
	}
	if left, _ := filepath.Glob(filepath.Join(temp, "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestWithoutMainItSaysSo(t *testing.T) {
	t.Parallel()
	out, err := nested(t, "^TestEmptyIsEmpty$", nestedVariable+"=no-main")
	if err == nil || !strings.Contains(out, "pgtest.Main") {
		t.Errorf("error %v, output %s; want a failure that names pgtest.Main", err, out)
	}
}

func nested(t *testing.T, run string, env ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.run="+run)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func query(t *testing.T, dsn, statement string) (s string) {
	t.Helper()
	db, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(context.Background())
	rows, err := db.Query(t.Context(), statement)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return strings.Join(got, " ")
}
