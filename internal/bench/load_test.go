package bench_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// A farm's size, and the mean length of a build of the reference's first run.
const (
	loadSlaves = 200
	loadBuild  = 8600 * time.Millisecond
)

// BenchmarkLoad tells what a `master serve` holds in memory and takes of the
// processor with 200 slaves that wait for work, and with 200 that build: hello,
// beats, next, logs and reports come from another process. Postgres is not counted.
func BenchmarkLoad(b *testing.B) {
	long := max(cycleLong(b), 3*window)
	for _, busy := range []bool{false, true} {
		b.Run(fmt.Sprintf("busy=%v", busy), func(b *testing.B) {
			f := &full{dsn: cycleDatabase(b, home(b, cycleRows), loadSlaves*int(long.Seconds()))}
			if !busy {
				must(b, forAll(b, f.connect(b), `update jobs set not_before = 'infinity'`))
			}
			s := f.serve(b, "http://127.0.0.1:1")
			task := crewTask{NATS: s.nats, Slaves: map[string][]byte{}, Long: long + 2*time.Second, Log: cycleLog, Build: loadBuild, Hello: true}
			for i := range loadSlaves {
				name := fmt.Sprintf("l%d-%d", time.Now().UnixNano(), i)
				task.Slaves[name] = s.enroll(b, name)
			}
			end := startCrew(b, task)
			<-time.After(2 * time.Second) // all have come
			pid := s.cmd.Process.Pid
			before, began := cpu(b, pid), time.Now()
			<-time.After(long - 2*time.Second)
			used := cpu(b, pid) - before
			b.ReportMetric(100*used.Seconds()/time.Since(began).Seconds(), "cpu-%")
			b.ReportMetric(float64(rss(b, pid))/1e6, "master-MB")
			tale := end()
			if len(tale.Trouble) > 0 {
				b.Error(tale.Trouble)
			}
			b.ReportMetric(float64(sum(tale.Windows))/tale.Seconds, "jobs/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func (f *full) connect(b *testing.B) *pgx.Conn {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), f.dsn)
	must(b, err)
	b.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// enroll gives the credentials of a new slave.
func (s *served) enroll(b *testing.B, name string) []byte {
	b.Helper()
	creds, err := exec.Command(s.master, "enroll", name, "--state-dir", s.state, "--database-url", s.f.dsn).Output()
	must(b, err)
	return creds
}

// clockTick is Linux's USER_HZ, on all its machines.
const clockTick = time.Second / 100

// cpu is the processor time that a process has taken.
func cpu(b *testing.B, pid int) time.Duration {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	must(b, err)
	// The name in parentheses may hold anything; the 14th and 15th field count from it.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	var ticks time.Duration
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		must(b, err)
		ticks += time.Duration(n)
	}
	return ticks * clockTick
}
