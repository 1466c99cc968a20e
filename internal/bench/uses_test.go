package bench_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
)

// uses counts the processor time of this process, which is the master, and of the
// database from now on. What it returns reports both, and the crew's, for each job.
func (h *head) uses() (report func(crewTale)) {
	h.b.Helper()
	master, database := cpu(h.b, os.Getpid()), h.databaseCPU()
	return func(t crewTale) {
		h.b.Helper()
		each := func(d time.Duration) float64 { return d.Seconds() * 1000 / float64(max(sum(t.Windows), 1)) }
		h.b.ReportMetric(each(cpu(h.b, os.Getpid())-master), "master-cpu-ms/job")
		h.b.ReportMetric(each(h.databaseCPU()-database), "database-cpu-ms/job")
		h.b.ReportMetric(each(t.cpu), "slaves-cpu-ms/job")
	}
}

// databaseCPU is what all of the server's processes have taken so far that there are
// now. What vacuum takes is not in it: its workers come and go.
func (h *head) databaseCPU() (all time.Duration) {
	h.b.Helper()
	conn, err := pgx.Connect(h.b.Context(), h.dsn)
	must(h.b, err)
	defer conn.Close(context.Background())
	rows, err := conn.Query(h.b.Context(), `select pid from pg_stat_activity where backend_type <> 'autovacuum worker' and pid <> pg_backend_pid()`)
	must(h.b, err)
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	must(h.b, err)
	for _, pid := range pids {
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err == nil {
			all += cpu(h.b, pid)
		}
	}
	return all
}
