package bench_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"

	"pinwheel/internal/atomicfile"
)

// cycleLong is PINWHEEL_BENCH_CYCLE, how long each cycle benchmark runs.
func cycleLong(b *testing.B) time.Duration {
	b.Helper()
	text := os.Getenv("PINWHEEL_BENCH_CYCLE")
	if text == "" {
		return 2 * window
	}
	long, err := time.ParseDuration(text)
	if err != nil || long < 2*window {
		b.Fatalf("PINWHEEL_BENCH_CYCLE is %q: want a duration of %s or more", text, 2*window)
	}
	return long
}

// Sizes of what a build brings: bytes of a log, and of the one module of a wheel.
const (
	cycleLog   = 2_000
	cycleWheel = 20_000
)

// cycleRows are those of the farm that the cycle's own rows take the place of.
const cycleRows = 3

// How many jobs a second there must be enough of.
const (
	mostFailed = 4_000
	mostBuilt  = 2_000
)

// BenchmarkCycle is the whole way of a job without think time: next, the build's
// files by HTTP, report, and where it was built the page. Slaves are another
// process, each with a connection of its own; every job is of another package, and
// two more jobs of each release wait for its outcome. It is run once, for
// PINWHEEL_BENCH_CYCLE, whatever b.N says.
func BenchmarkCycle(b *testing.B) {
	long := cycleLong(b)
	keep := diskDir(b)
	outer := b
	prepare := func(b *testing.B, each int) *head {
		b.Helper()
		home := home(outer, cycleRows)          // goes when all is over, see diskDir
		b.Cleanup(func() { emptyLog(b, home) }) // after its database has ended
		return newHeadIn(b, cycleDatabase(b, home, int(long.Seconds())*each), inside(b, keep))
	}
	for _, slaves := range []int{20, 200} {
		b.Run(fmt.Sprintf("outcome=failed/slaves=%d", slaves), func(b *testing.B) {
			h := prepare(b, mostFailed)
			b.ResetTimer()
			used := h.uses()
			tale := h.crew(slaves, crewTask{Long: long, Log: cycleLog})
			tale.tell(b)
			used(tale)
			b.ReportMetric(0, "ns/op")
		})
	}
	for _, slaves := range []int{20, 200} {
		b.Run(fmt.Sprintf("outcome=built/slaves=%d", slaves), func(b *testing.B) {
			h := prepare(b, mostBuilt)
			b.ResetTimer()
			began, used := time.Now(), h.uses()
			tale := h.crew(slaves, crewTask{Long: long, Log: cycleLog, Wheel: cycleWheel})
			h.awaitPages()
			took := time.Since(began)
			tale.tell(b)
			used(tale)
			rate := float64(sum(tale.Windows)) / took.Seconds()
			b.ReportMetric(rate, "published/s")
			for _, p := range []plain{{"", 1, true}, {"-at-once", plainWriters, true}, {"-unflushed", 1, false}} {
				files := h.plainFiles(inside(b, keep), min(long/8, 15*time.Second), p)
				b.ReportMetric(files, "plain"+p.name+"/s")
				b.ReportMetric(rate/files, "x-plain"+p.name)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// diskDir is a folder that goes when all of a benchmark is over, and not before: a file
// system without a journal makes files slowly where many were deleted, for minutes. It
// must be on a disk: where a flush costs nothing, neither does a plain writer.
func diskDir(b *testing.B) string {
	b.Helper()
	dir := b.TempDir()
	var fs unix.Statfs_t
	must(b, unix.Statfs(dir, &fs))
	if fs.Type == unix.TMPFS_MAGIC {
		b.Fatalf("%s is in memory: set TMPDIR to a folder on a disk", dir)
	}
	return dir
}

// emptyLog takes what a database that has ended needs no more off the disk, gigabytes of
// its log of changes, without deleting a file.
func emptyLog(b *testing.B, home string) {
	b.Helper()
	logs, err := filepath.Glob(filepath.Join(home, "data", "pg_wal", "*"))
	must(b, err)
	for _, path := range logs {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			must(b, os.Truncate(path, 0))
		}
	}
}

func inside(b *testing.B, dir string) string {
	b.Helper()
	in, err := os.MkdirTemp(dir, "")
	must(b, err)
	must(b, os.Chmod(in, 0o755))
	return in
}

// cycleDatabase is a durable farm with so many projects, each of one release on
// three targets: the lowest is queued, and the others wait for it.
func cycleDatabase(b *testing.B, home string, projects int) (dsn string) {
	b.Helper()
	dsn = databaseIn(b, home, cycleRows)
	conn, err := pgx.Connect(b.Context(), dsn)
	must(b, err)
	defer conn.Close(context.Background())
	for _, q := range []string{
		`set session_replication_role = replica`, // foreign keys hold by construction
		`truncate packages, releases, jobs, builds cascade`, dropIndexes,
		fmt.Sprintf(`insert into packages (id, name, display) overriding system value
			select i, 'p' || i, 'p' || i from generate_series(1, %d) i`, projects),
		`insert into releases (id, package_id, version, raw, released_at, sdist_filename, sdist_url, sdist_sha256) overriding system value
			select id, id, '1.0', '1.0', '2010-01-01'::timestamptz + id * interval '1 minute', 'p.tar.gz', 'http://x/p.tar.gz', repeat('0', 64) from packages`,
		`insert into jobs (release_id, package_id, target_id, state, why, reason, waits_target_id, released_at, rank)
			select r.id, r.id, t, case t when 1 then 'queued' else 'waiting' end,
				case t when 1 then '' else 'lower-target' end, case t when 1 then '' else 'the lowest builds first' end,
				case t when 1 then null else 1 end, r.released_at, -(extract(epoch from r.released_at) * 1000)::bigint
			from releases r cross join generate_series(1, 3) t order by 1, 3`,
		makeIndexes,
		// Not what is empty: that it is so is nothing to plan by.
		`vacuum analyze packages, releases, jobs, targets`, `checkpoint`,
	} {
		if _, err := conn.Exec(b.Context(), q); err != nil {
			b.Fatalf("%.60s: %v", q, err)
		}
	}
	return dsn
}

// crew runs slaves in a process of their own.
func (h *head) crew(slaves int, task crewTask) (tale crewTale) {
	h.b.Helper()
	task.NATS, task.Slaves = h.wire.Server.URL(), map[string][]byte{}
	for i := range slaves {
		name := fmt.Sprintf("c%d-%d", time.Now().UnixNano(), i)
		task.Slaves[name] = h.enroll(name)
	}
	return startCrew(h.b, task)()
}

// startCrew returns what waits for its end.
func startCrew(b *testing.B, task crewTask) (end func() crewTale) {
	b.Helper()
	exe, err := os.Executable()
	must(b, err)
	said, err := json.Marshal(task)
	must(b, err)
	cmd := exec.CommandContext(b.Context(), exe)
	cmd.Env = append(os.Environ(), beCrew+"=1")
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(said), &out, os.Stderr
	must(b, cmd.Start())
	return func() (tale crewTale) {
		b.Helper()
		must(b, cmd.Wait())
		must(b, json.Unmarshal(out.Bytes(), &tale))
		tale.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		return tale
	}
}

// awaitPages returns when no project's page is stale.
func (h *head) awaitPages() {
	h.b.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		now, err := h.store.Now(h.b.Context())
		must(h.b, err)
		left, err := h.store.Unwritten(h.b.Context(), nil, now)
		must(h.b, err)
		if left.Pages == 0 {
			return
		}
		<-tick.C
	}
}

// plainWriters is how many write at once, as many as publish does: files that are
// flushed at the same time are flushed for the price of one.
const plainWriters = 16

// plain is a way of writing the same files plainly.
type plain struct {
	name    string
	writers int
	flushed bool
}

// plainFiles writes what one published project has on the disk, with the log, again
// and again, each time into a folder of its own, and if it flushes every file, and the
// folder too: projects a second. No names are taken by renaming, nothing is verified.
func (h *head) plainFiles(dir string, long time.Duration, p plain) float64 {
	h.b.Helper()
	files := h.projectFiles()
	files["log.gz"] = make([]byte, cycleLog)
	var done atomic.Int64
	var all sync.WaitGroup
	began := time.Now()
	for range p.writers {
		all.Go(func() {
			for time.Since(began) < long {
				if err := writePlainly(filepath.Join(dir, fmt.Sprint(done.Add(1))), files, p.flushed); err != nil {
					h.b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	return float64(done.Load()) / time.Since(began).Seconds()
}

// projectFiles are those of some project of the site.
func (h *head) projectFiles() map[string][]byte {
	h.b.Helper()
	pages, err := filepath.Glob(filepath.Join(h.site, "simple", "p*9", "index.json.gz"))
	must(h.b, err)
	if len(pages) == 0 {
		h.b.Fatal("the site has no project")
	}
	dir := filepath.Dir(pages[0])
	files := map[string][]byte{}
	must(h.b, fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files[path], err = os.ReadFile(filepath.Join(dir, path))
		return err
	}))
	return files
}

func writePlainly(dir string, files map[string][]byte, flushed bool) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for name, body := range files {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		_, err = f.Write(body)
		if flushed {
			err = errors.Join(err, f.Sync())
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	if !flushed {
		return nil
	}
	return atomicfile.SyncDir(dir)
}
