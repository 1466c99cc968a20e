package bench_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"pinwheel/internal/embedpg"
	"pinwheel/internal/proc"
	"pinwheel/internal/store"
)

// BenchmarkFullPyPI holds all of an index like PyPI: loads it, tells how large its
// tables are, absorbs events while slaves ask for work, and takes a fourth target.
// The database stays in the cache folder, so that parts can be measured again by
// themselves (-bench FullPyPI/events, once after a load); load begins anew. All of it is done once,
// whatever b.N says.
func BenchmarkFullPyPI(b *testing.B) {
	f := &full{dir: fullHome(b)}
	b.Run("load", func(b *testing.B) {
		f.must(b, os.RemoveAll(filepath.Join(f.dir, "pg")))
		f.open(b)
		f.loadAll(b)
	})
	b.Run("sizes", func(b *testing.B) { f.open(b); f.sizes(b) })
	b.Run("events", func(b *testing.B) { f.open(b); f.events(b) })
	b.Run("target", func(b *testing.B) { f.open(b); f.fourth(b) })
}

// full is a farm that follows a whole PyPI.
type full struct {
	dir   string
	dsn   string
	store *store.Store
}

func fullHome(b *testing.B) string {
	b.Helper()
	d, err := drawnFrom(os.Getenv)
	if err != nil {
		b.Fatal(err)
	}
	from := "drawn"
	if d.file != "" {
		from = "list"
	}
	dir := filepath.Join(proc.DefaultCacheDir(), "bench", fmt.Sprintf("full-%s-%d", from, d.count))
	if err := os.MkdirAll(dir, 0o711); err != nil {
		b.Fatal(err)
	}
	return dir
}

// open starts the farm's Postgres, durable as a farm's is.
func (f *full) open(b *testing.B) {
	b.Helper()
	pg, err := embedpg.Start(b.Context(), embedpg.Config{Dir: filepath.Join(f.dir, "pg"), CacheDir: proc.DefaultCacheDir(), Log: zerolog.Nop(),
		Settings: databaseSettings(b)})
	f.must(b, err)
	b.Cleanup(func() { pg.Close() })
	f.dsn = pg.URL()
	_, _, err = store.Migrate(b.Context(), f.dsn)
	f.must(b, err)
	f.store, err = store.Open(b.Context(), f.dsn)
	f.must(b, err)
	b.Cleanup(f.store.Close)
}

func (f *full) must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// count asks for one number.
func (f *full) count(b *testing.B, q string, args ...any) (n int64) {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), f.dsn)
	f.must(b, err)
	defer conn.Close(context.Background())
	f.must(b, conn.QueryRow(b.Context(), q, args...).Scan(&n))
	return n
}

// names is how many the upstream has, each once.
func (f *full) names(b *testing.B) int64 {
	b.Helper()
	d, err := drawnFrom(os.Getenv)
	f.must(b, err)
	seen := map[string]bool{}
	for name, err := range d.names() {
		f.must(b, err)
		seen[name] = true
	}
	return int64(len(seen))
}

// sizes prints what the largest tables and indexes take.
func (f *full) sizes(b *testing.B) {
	const q = `
select c.relkind = 'i', c.relname, pg_relation_size(c.oid), c.reltuples::bigint
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'public' and c.relkind in ('r', 'i') and pg_relation_size(c.oid) > 1000000
order by 3 desc`
	conn, err := pgx.Connect(b.Context(), f.dsn)
	f.must(b, err)
	defer conn.Close(context.Background())
	rows, err := conn.Query(b.Context(), q)
	f.must(b, err)
	var index bool
	var name string
	var size, tuples int64
	_, err = pgx.ForEachRow(rows, []any{&index, &name, &size, &tuples}, func() error {
		kind := map[bool]string{true: "index", false: "table"}[index]
		_, err := fmt.Printf("BenchmarkFullPyPISize/%s=%s 1 %.1f MB %d rows\n", kind, name, float64(size)/1e6, tuples)
		return err
	})
	f.must(b, errors.Join(err))
	b.ReportMetric(float64(f.count(b, `select pg_database_size(current_database())`))/1e9, "GB")
	b.ReportMetric(0, "ns/op")
}
