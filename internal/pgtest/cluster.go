package pgtest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/embedpg"
	"pinwheel/internal/proc"
)

// NewCluster makes the data of a Postgres in the folder dir, which whoever has a
// network in common with it may use as they like, and returns how its server is
// started: as the user proc.PostgresUser, who owns the data. It is for tests that
// run, stop and kill the server themselves.
func NewCluster(t testing.TB, dir string) (argv []string) {
	t.Helper()
	pg, err := embedpg.Start(t.Context(), embedpg.Config{Dir: dir, CacheDir: proc.DefaultCacheDir(), Fetch: Fetch})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := pg.Close(); err != nil {
			t.Error(err)
		}
	}()
	db, err := pgx.Connect(t.Context(), pg.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(t.Context())
	var bin, data, rules string
	const q = `select setting, current_setting('data_directory'), current_setting('hba_file') from pg_config where name = 'BINDIR'`
	if err := db.QueryRow(t.Context(), q).Scan(&bin, &data, &rules); err != nil {
		t.Fatal(err)
	}
	// Written in place: the file is the server's user's, and must stay so.
	if err := os.WriteFile(rules, []byte("local all all trust\nhost all all samenet trust\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{filepath.Join(bin, "postgres"), "-D", data}
}
