package bench_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"pinwheel/internal/bus"
	"pinwheel/internal/bustest"
	"pinwheel/internal/dispatch"
	"pinwheel/internal/embedpg"
	"pinwheel/internal/farm"
	"pinwheel/internal/proc"
	"pinwheel/internal/store"
	farmsql "pinwheel/sql"
)

// target is the lowest, the one with queued jobs.
var target = farm.Target{ABI: "cp39", Platform: "linux_armv7l"}

// rig is a master's queue half on a database with many jobs, and slaves that ask.
type rig struct {
	b      *testing.B
	dsn    string
	store  *store.Store
	wire   *bustest.Farm
	slaves []*bus.SlaveEnd
	done   chan int64  // jobs whose builds have ended
	again  atomic.Bool // they are queued again, behind all others

	mu   sync.Mutex
	held map[string]int64 // by slave
}

// database starts an embedded Postgres, durable as a farm's is, with rows jobs.
// The large one is kept in the cache folder: it takes minutes to make.
func database(b *testing.B, rows int) string {
	b.Helper()
	return databaseIn(b, home(b, rows), rows)
}

// databaseIn is database in a folder of the caller's.
func databaseIn(b *testing.B, dir string, rows int) string {
	b.Helper()
	pg, err := embedpg.Start(b.Context(), embedpg.Config{Dir: dir, CacheDir: proc.DefaultCacheDir(), Log: zerolog.Nop(),
		Settings: databaseSettings(b)})
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

// databaseSettings are those of a farm's own Postgres (ansible/roles/postgres), and more
// memory to make indexes in.
func databaseSettings(b *testing.B) map[string]string {
	b.Helper()
	var machine unix.Sysinfo_t
	must(b, unix.Sysinfo(&machine))
	quarter := machine.Totalram * uint64(machine.Unit) / 4 >> 20
	return map[string]string{
		"shared_buffers": fmt.Sprintf("%dMB", quarter), "max_wal_size": "4GB", "checkpoint_timeout": "15min", "wal_compression": "lz4",
		"maintenance_work_mem": "1GB",
	}
}

// keptFrom is the number of rows from which a database is worth keeping.
const keptFrom = 1_000_000

func home(b *testing.B, rows int) string {
	b.Helper()
	if rows >= keptFrom {
		// By content: rows of another schema, or of another shape, are of no use.
		hash := sha256.New()
		files, err := fs.Glob(farmsql.FS, "*.sql")
		if err != nil {
			b.Fatal(err)
		}
		for _, name := range files {
			schema, err := fs.ReadFile(farmsql.FS, name)
			if err != nil {
				b.Fatal(err)
			}
			hash.Write(schema)
		}
		fmt.Fprint(hash, fillSteps(rows))
		dir := filepath.Join(proc.DefaultCacheDir(), "bench", fmt.Sprintf("jobs-%d-%.8x", rows, hash.Sum(nil)))
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

// fill makes rows jobs as a farm that follows its upstream has them, or makes an
// earlier run's rows so again: projects of nine releases whose times lie among those
// of all others, three targets, the lowest queued and the others waiting for it.
// Constraints are checked by the schema's own rules except for foreign keys, which
// hold by construction.
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

// Without its partial indexes a large queue is made in half the time.
const (
	dropIndexes = `drop index jobs_queue, jobs_needy, jobs_leases, jobs_held, jobs_slots, jobs_waits;`
	makeIndexes = `
create index jobs_queue on jobs (target_id, priority, rank, id)
    where state = 'queued' and needs_memory = 0 and needs_packages is null;
create index jobs_needy on jobs (target_id, (coalesce(needs_packages, '{}')), needs_memory, priority, rank, id)
    where state = 'queued' and (needs_memory > 0 or needs_packages is not null);
create index jobs_waits on jobs (waits_package) where waits_package <> '';
create index jobs_leases on jobs (lease_deadline) where state = 'leased';
create index jobs_held on jobs (lease_slave_id) where state = 'leased';
create unique index jobs_slots on jobs (lease_slot, package_id) where lease_slot > 0;`
)

func fillSteps(rows int) []string {
	releases := (rows + 2) / 3
	reset := fmt.Sprintf(`do $$ begin
if (select count(*) from targets) < 3 or (select coalesce(max(id), 0) from jobs) < %[1]d then
    set local session_replication_role = replica; -- foreign keys hold by construction
    truncate packages, releases, targets, jobs, builds, slaves cascade;
    %[5]s
    insert into targets (id, name, abi, platform, rank) overriding system value
        values (1, 'cp39-linux_armv7l', 'cp39', 'linux_armv7l', 309), (2, 'cp311-linux_armv7l', 'cp311', 'linux_armv7l', 311),
               (3, 'cp313-linux_armv7l', 'cp313', 'linux_armv7l', 313);
    insert into packages (id, name, display) overriding system value
        select i, 'p' || i, 'p' || i from generate_series(1, %[3]d) i;
    insert into releases (id, package_id, version, raw, released_at, sdist_filename, sdist_url, sdist_sha256) overriding system value
        select i, i %% %[3]d + 1, '1.' || i, '1.' || i, '2010-01-01'::timestamptz + i * interval '1 minute', 'p.tar.gz', 'http://x/p.tar.gz', repeat('0', 64)
        from generate_series(1, %[2]d) i;
    insert into jobs (id, release_id, package_id, target_id, state, why, reason, waits_target_id, released_at, rank) overriding system value
        select (i - 1) * 3 + t, i, r.package_id, t, case t when 1 then 'queued' else 'waiting' end,
            case t when 1 then '' else 'lower-target' end, case t when 1 then '' else 'the lowest builds first' end,
            case t when 1 then null else 1 end, r.released_at, -(extract(epoch from r.released_at) * 1000)::bigint
        from generate_series(1, %[2]d) i join releases r on r.id = i cross join generate_series(1, 3) t;
    %[4]s
end if; end $$`, releases*3-2, releases, releases/9+1, makeIndexes, dropIndexes)
	again := `update jobs set state = 'queued', lease_token = null, lease_slave_id = null, lease_deadline = null,
    cause = '', losses = 0, faults = 0, timeouts = 0, memory_outs = 0, avoids_slave_id = null, not_before = now() where target_id = 1 and (state <> 'queued' or not_before > now())`
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
	r := &rig{b: b, dsn: dsn, store: s, wire: bustest.Start(b), done: make(chan int64, 1<<16), held: map[string]int64{}}
	r.endBuilds()
	d := dispatch.New(dispatch.Config{Store: s, HTTP: "http://127.0.0.1:1", Upstream: "http://127.0.0.1:1/simple/", Lease: time.Hour, Log: zerolog.Nop()})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); d.Run(ctx) }()
	stopNext, err := r.wire.Inside(b).HandleNext(d.Next)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { stopNext(); cancel(); <-ended })
	for i := range askers {
		name := fmt.Sprintf("s%d-%d", time.Now().UnixNano(), i)
		creds, key, err := r.wire.Authority.Enroll(name, farm.RoleSlave)
		if err == nil {
			err = s.EnrollSlave(b.Context(), name, farm.RoleSlave, key, "test")
		}
		if err != nil {
			b.Fatal(err)
		}
		r.slaves = append(r.slaves, r.wire.Connect(b, name, creds).Slave(name))
	}
	return r
}

// endBuilds ends leases until the benchmark ends, so that projects have room for
// the next ones. It does so in the plainest way: reports are another benchmark.
func (r *rig) endBuilds() {
	const failed = `
update jobs set state = 'failed', cause = 'unknown', lease_token = null, lease_slave_id = null, lease_deadline = null
where id = any($1)`
	const queued = `
update jobs set state = 'queued', rank = rank + 1000000000000, lease_token = null, lease_slave_id = null, lease_deadline = null
where id = any($1)`
	conn, err := pgx.Connect(r.b.Context(), r.dsn)
	if err != nil {
		r.b.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer conn.Close(context.Background())
		for job := range r.done {
			batch := []int64{job}
			for len(r.done) > 0 && len(batch) < 500 {
				batch = append(batch, <-r.done)
			}
			q := failed
			if r.again.Load() {
				q = queued
			}
			if _, err := conn.Exec(context.Background(), q, batch); err != nil {
				r.b.Error(err)
			}
		}
	}()
	r.b.Cleanup(func() { close(r.done); <-ended })
}

// ask makes one request for work, as a slave does that has built what it had.
func (r *rig) ask(slave *bus.SlaveEnd, request string) (time.Duration, error) {
	began := time.Now()
	reply, err := slave.Next(r.b.Context(), bus.Next{Request: request, Targets: []farm.Target{target}})
	took := time.Since(began)
	if err != nil {
		return took, err
	}
	if reply.Lease == nil {
		return took, fmt.Errorf("%s: the queue is empty", slave.Name())
	}
	r.mu.Lock()
	before, had := r.held[slave.Name()]
	r.held[slave.Name()] = reply.Lease.Job
	r.mu.Unlock()
	if had {
		r.done <- before
	}
	return took, nil
}

// quantile is the q-th of the durations, in milliseconds.
func quantile(d []time.Duration, q float64) float64 {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return float64(d[min(len(d)-1, int(q*float64(len(d))))].Microseconds()) / 1000
}
