package bench_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"pinwheel/internal/bus"
	"pinwheel/internal/bustest"
	"pinwheel/internal/dispatch"
	"pinwheel/internal/embedpg"
	"pinwheel/internal/farm"
	"pinwheel/internal/proc"
	"pinwheel/internal/store"
	farmsql "pinwheel/sql"
)

var target = farm.Target{ABI: "cp311", Platform: "linux_armv7l"}

// rig is a master's queue half on a database with many jobs, and slaves that ask.
type rig struct {
	b      *testing.B
	dsn    string
	store  *store.Store
	wire   *bustest.Farm
	slaves []*bus.SlaveEnd
}

// database starts an embedded Postgres, durable as a farm's is, with rows jobs.
// The large one is kept in the cache folder: it takes minutes to make.
func database(b *testing.B, rows int) string {
	b.Helper()
	dir := home(b, rows)
	pg, err := embedpg.Start(b.Context(), embedpg.Config{Dir: dir, CacheDir: proc.DefaultCacheDir(), Log: zerolog.Nop(),
		Settings: map[string]string{"max_wal_size": "4GB", "maintenance_work_mem": "1GB"}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { pg.Close() })
	dsn := pg.URL()
	if _, _, err := store.Migrate(b.Context(), dsn); err != nil {
		b.Fatal(err)
	}
	fill(b, dsn, rows)
	return dsn
}

// keptFrom is the number of rows from which a database is worth keeping.
const keptFrom = 1_000_000

func home(b *testing.B, rows int) string {
	b.Helper()
	if rows >= keptFrom {
		schema, err := fs.ReadFile(farmsql.FS, "0001_farm.sql")
		if err != nil {
			b.Fatal(err)
		}
		// By content: rows of another schema are of no use.
		dir := filepath.Join(proc.DefaultCacheDir(), "bench", fmt.Sprintf("jobs-%d-%.8x", rows, sha256.Sum256(schema)))
		if err := os.MkdirAll(dir, 0o711); err != nil {
			b.Fatal(err)
		}
		return dir
	}
	user, err := proc.PostgresUser()
	if err != nil {
		b.Fatal(err)
	}
	dir, err := proc.SharedTempDir("pinwheel-bench-", user)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// fill makes rows jobs, all queued, on three targets, or makes an earlier run's
// rows so again. Constraints are checked by the schema's own rules except for
// foreign keys, which hold by construction.
func fill(b *testing.B, dsn string, rows int) {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), dsn)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(context.Background())
	began := time.Now()
	for _, q := range fillSteps(rows) {
		if _, err := conn.Exec(b.Context(), q); err != nil {
			b.Fatalf("%.60s: %v", q, err)
		}
	}
	b.Logf("%d rows ready in %s", rows, time.Since(began).Round(time.Second))
}

func fillSteps(rows int) []string {
	releases := (rows + 2) / 3
	reset := fmt.Sprintf(`do $$ begin
if (select count(*) from targets) < 3 or (select coalesce(max(id), 0) from jobs) < %d then
    set local session_replication_role = replica; -- foreign keys hold by construction
    truncate packages, releases, targets, jobs, builds, slaves cascade;
    drop index jobs_queue, jobs_leases, jobs_held;
    insert into targets (id, name, abi, platform, rank) overriding system value
        values (1, 'cp39-linux_armv7l', 'cp39', 'linux_armv7l', 309), (2, 'cp311-linux_armv7l', 'cp311', 'linux_armv7l', 311),
               (3, 'cp313-linux_armv7l', 'cp313', 'linux_armv7l', 313);
    insert into packages (id, name, display) overriding system value
        select i, 'p' || i, 'p' || i from generate_series(1, %d / 10 + 1) i;
    insert into releases (id, package_id, version, raw, released_at, sdist_filename, sdist_url, sdist_sha256) overriding system value
        select i, i / 10 + 1, '1.' || i, '1.' || i, '2010-01-01'::timestamptz + i * interval '1 minute', 'p.tar.gz', 'http://x/p.tar.gz', repeat('0', 64)
        from generate_series(1, %d) i;
    insert into jobs (id, release_id, target_id, state, released_at, rank) overriding system value
        select (i - 1) * 3 + t, i, t, 'queued', r.released_at, -(extract(epoch from r.released_at) * 1000)::bigint
        from generate_series(1, %d) i join releases r on r.id = i cross join generate_series(1, 3) t;
    create index jobs_queue on jobs (target_id, priority, rank, id) where state = 'queued';
    create index jobs_leases on jobs (lease_deadline) where state = 'leased';
    create index jobs_held on jobs (lease_slave_id) where state = 'leased';
end if; end $$`, releases*3-2, releases, releases, releases)
	again := `update jobs set state = 'queued', lease_token = null, lease_slave_id = null, lease_deadline = null,
    cause = '', losses = 0, not_before = now() where state <> 'queued'`
	return []string{reset, again, `truncate builds cascade`, `vacuum analyze jobs`, `vacuum analyze releases`, `checkpoint`}
}

// newRig connects askers slaves to a master's dispatch on the database.
func newRig(b *testing.B, dsn string, askers int) *rig {
	b.Helper()
	s, err := store.Open(b.Context(), dsn)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.Close)
	r := &rig{b: b, dsn: dsn, store: s, wire: bustest.Start(b)}
	d := dispatch.New(dispatch.Config{Store: s, HTTP: "http://127.0.0.1:1", Upstream: "http://127.0.0.1:1/simple/", Lease: time.Hour, Log: zerolog.Nop()})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); d.Run(ctx) }()
	stopNext, err := r.wire.Master.HandleNext(d.Next)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { stopNext(); cancel(); <-ended })
	for i := range askers {
		name := fmt.Sprintf("s%d-%d", time.Now().UnixNano(), i)
		creds, key, err := r.wire.Authority.Enroll(name, farm.RoleSlave)
		if err == nil {
			err = s.EnrollSlave(b.Context(), name, farm.RoleSlave, key)
		}
		if err != nil {
			b.Fatal(err)
		}
		r.slaves = append(r.slaves, r.wire.Connect(b, name, creds).Slave(name))
	}
	return r
}

// ask makes one request for work, as a slave does.
func (r *rig) ask(slave *bus.SlaveEnd, request string) (time.Duration, error) {
	began := time.Now()
	reply, err := slave.Next(r.b.Context(), bus.Next{Request: request, Targets: []farm.Target{target}})
	if err == nil && reply.Lease == nil {
		err = fmt.Errorf("%s: the queue is empty", slave.Name())
	}
	return time.Since(began), err
}

// quantile is the q-th of the durations, in milliseconds.
func quantile(d []time.Duration, q float64) float64 {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return float64(d[min(len(d)-1, int(q*float64(len(d))))].Microseconds()) / 1000
}
