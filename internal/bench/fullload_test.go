package bench_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"pinwheel/internal/builder"
	"pinwheel/internal/farm"
	"pinwheel/internal/ingest"
	"pinwheel/internal/service"
	"pinwheel/internal/store"
)

// loadInto makes this program a loader of that database, so that its memory is the
// stage's own and not that of a benchmark with a Postgres to look after.
const loadInto = "PINWHEEL_BENCH_LOAD_INTO"

func TestMain(m *testing.M) {
	builder.Inside()
	var err error
	dsn := os.Getenv(loadInto)
	switch {
	case dsn != "":
		err = load(context.Background(), dsn)
	case os.Getenv(beCrew) != "":
		err = runCrew(os.Stdin, os.Stdout)
	default:
		debug.SetGCPercent(200) // as `master serve` does, which is what this program stands for
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// loadRequests are made at once, as by --ingest-requests of who has an index of his
// own to read from: with the usual 8, batches are so small that the processors wait.
const loadRequests = 24

// loaded is what a loader says when it is done.
type loaded struct {
	Seconds float64 `json:"seconds"`
	CPU     float64 `json:"cpu"` // seconds, without what Postgres took
	HWM     int64   `json:"hwm"` // bytes, the most that was resident
}

// load is what `master serve` and `master backfill` beside it do, without HTTP:
// the list of names, then a request for each, decided and written in batches.
func load(ctx context.Context, dsn string) error {
	index, err := drawnFrom(os.Getenv)
	if err != nil {
		return err
	}
	s, err := store.Open(ctx, dsn)
	if err != nil {
		return err
	}
	defer s.Close()
	cfg := ingest.FollowConfig{
		Store: s, Index: index, Policy: farm.DefaultPolicy(), Quiet: true, Requests: loadRequests,
		Log: zerolog.New(os.Stderr).Level(zerolog.WarnLevel),
	}
	began, said := time.Now(), time.Now()
	serving, end := context.WithCancel(ctx)
	err = service.RunAll(serving,
		service.Part{Name: "serve", Run: ingest.NewFollower(cfg).Run},
		service.Part{Name: "backfill", Run: func(ctx context.Context) error {
			defer end()
			// A master that serves has planned what there was, nothing, by the time that
			// people ask for a backfill; else it would plan what is loaded once more.
			for ctx.Err() == nil {
				if at, err := s.Following(ctx); err != nil || at.Fingerprint != "" {
					break
				}
				service.Sleep(ctx, 100*time.Millisecond)
			}
			began = time.Now()
			return ingest.NewFollower(cfg).Backfill(ctx, func(w store.Walk, left []store.ReadingCount) {
				if time.Since(said) > 10*time.Second {
					said = time.Now()
					fmt.Fprintln(os.Stderr, time.Since(began).Round(time.Second), w.Chosen, "chosen, left:", left)
				}
			})
		}},
	)
	if err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	took := time.Since(began)
	most, err := hwm(os.Getpid())
	if err != nil {
		return err
	}
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return err
	}
	cpu := time.Duration(used.Utime.Nano() + used.Stime.Nano())
	return json.NewEncoder(os.Stdout).Encode(loaded{took.Seconds(), cpu.Seconds(), most})
}

// hwm is the most memory that a process ever had resident, in bytes.
func hwm(pid int) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("process %d has no VmHWM", pid)
}

// loadAll fills an empty farm of three targets, the lowest with a live slave, by a
// loader, and looks whether all is there.
func (f *full) loadAll(b *testing.B) {
	for _, abi := range []string{"cp39", "cp311", "cp313"} {
		f.must(b, f.store.AddTarget(b.Context(), farm.Target{ABI: abi, Platform: "linux_armv7l"}, farm.Facts{}, "test"))
	}
	f.must(b, f.store.EnrollSlave(b.Context(), "lowest", farm.RoleSlave, "none", "test"))
	slave, err := f.store.Slave(b.Context(), "lowest")
	f.must(b, err)
	_, err = f.store.Heard(b.Context(), store.Word{Slave: slave.ID, Machine: &farm.Machine{Targets: []farm.Served{{Target: target}}}})
	f.must(b, err)

	exe, err := os.Executable()
	f.must(b, err)
	cmd := exec.CommandContext(b.Context(), exe)
	cmd.Env = append(os.Environ(), loadInto+"="+f.dsn)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	f.must(b, err)
	f.must(b, cmd.Start())
	var end loaded
	decoded := json.NewDecoder(bufio.NewReader(out)).Decode(&end)
	f.must(b, errors.Join(decoded, cmd.Wait()))

	names := f.count(b, `select count(*) from packages`)
	releases, jobs := f.count(b, `select count(*) from releases`), f.count(b, `select count(*) from jobs`)
	if names != f.names(b) || releases != names*pypiReleases || jobs != 3*releases {
		b.Fatalf("%d projects, %d releases, %d jobs; want %d projects with %d releases on 3 targets each",
			names, releases, jobs, f.names(b), pypiReleases)
	}
	b.ReportMetric(end.Seconds, "load-s")
	b.ReportMetric(end.CPU, "ingest-cpu-s")
	b.ReportMetric(float64(releases)/end.Seconds, "releases/s")
	b.ReportMetric(float64(jobs)/end.Seconds, "jobs/s")
	b.ReportMetric(float64(end.HWM)/1e6, "ingest-MB")
	plain := f.plainCopy(b)
	b.ReportMetric(end.Seconds*sample/plain.Seconds(), "x-plain")
	b.ReportMetric(0, "ns/op")
}

// sample is the part of the rows that is copied plainly.
const sample = 0.05

// plainCopy is the shortest way of the same rows into Postgres: one COPY a table,
// no keys, no indexes, nothing decided.
func (f *full) plainCopy(b *testing.B) (took time.Duration) {
	conn, err := pgx.Connect(b.Context(), f.dsn)
	f.must(b, err)
	defer conn.Close(context.Background())
	last := f.count(b, fmt.Sprintf(`select id from packages order by id offset (select count(*) * %g from packages)::bigint limit 1`, sample))
	for table, key := range map[string]string{"packages": "id", "releases": "package_id", "jobs": "package_id"} {
		rows, err := os.CreateTemp(b.TempDir(), table)
		f.must(b, err)
		_, err = conn.PgConn().CopyTo(b.Context(), rows, fmt.Sprintf(`copy (select * from %s where %s < %d) to stdout`, table, key, last))
		f.must(b, err)
		_, err = rows.Seek(0, 0)
		f.must(b, err)
		_, err = conn.Exec(b.Context(), fmt.Sprintf(`drop table if exists plain_%[1]s; create table plain_%[1]s (like %[1]s)`, table))
		f.must(b, err)
		began := time.Now()
		_, err = conn.PgConn().CopyFrom(b.Context(), rows, fmt.Sprintf(`copy plain_%s from stdin`, table))
		took += time.Since(began)
		f.must(b, errors.Join(err, rows.Close()))
		_, err = conn.Exec(b.Context(), `drop table plain_`+table)
		f.must(b, err)
	}
	return took
}
