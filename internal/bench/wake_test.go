package bench_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
)

// upper is a target of the large queue of which nothing is queued.
var upper = farm.Target{ABI: "cp313", Platform: "linux_armv7l"}

// BenchmarkWake tells how long it takes from the commit that queues a job until a
// slave that waits for one has it in its hands, with one slave that waits and with
// 200, of which all are woken. Run it with -benchtime 300x or more.
func BenchmarkWake(b *testing.B) {
	rows := rowCounts(b)[0]
	for _, slaves := range []int{1, 200} {
		b.Run(fmt.Sprintf("slaves=%d", slaves), func(b *testing.B) {
			r := newRig(b, database(b, rows), slaves)
			conn, err := pgx.Connect(b.Context(), r.dsn)
			must(b, err)
			defer conn.Close(context.Background())
			must(b, forAll(b, conn, `update jobs set not_before = 'infinity' where target_id = 1`))
			got := make(chan handed, slaves)
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			for n, slave := range r.slaves {
				go await(ctx, fmt.Sprint(n), slave, got)
			}
			var took []time.Duration
			b.ResetTimer()
			for i := range b.N {
				// Long enough for the one that was served to wait again.
				<-time.After(20 * time.Millisecond)
				began := queueOne(b, conn, int64(i+1)*3)
				h := <-got
				must(b, h.err)
				took = append(took, h.at.Sub(began))
				r.done <- h.job
			}
			b.StopTimer()
			b.ReportMetric(quantile(took, 0.5), "p50-ms")
			b.ReportMetric(quantile(took, 0.99), "p99-ms")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func forAll(b *testing.B, conn *pgx.Conn, q string) error {
	_, err := conn.Exec(b.Context(), q)
	return err
}

// handed is a job that a slave has got.
type handed struct {
	job int64
	at  time.Time
	err error
}

// await asks for work again and again.
func await(ctx context.Context, name string, slave *bus.SlaveEnd, got chan<- handed) {
	for i := 0; ctx.Err() == nil; i++ {
		reply, err := slave.Next(ctx, bus.Next{Request: fmt.Sprintf("%s/%d", name, i), Targets: []farm.Target{upper}})
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			got <- handed{err: err}
			return
		case reply.Lease != nil:
			got <- handed{job: reply.Lease.Job, at: time.Now()}
		}
	}
}

// queueOne queues a job as the store's statements do, and tells when it was.
func queueOne(b *testing.B, conn *pgx.Conn, job int64) time.Time {
	b.Helper()
	const q = `
with moved as (
    update jobs set state = 'queued', why = '', reason = '', waits_target_id = null, not_before = now(), changed_at = now()
    where id = $1 returning id, target_id, priority, rank
)
select pg_notify('farm_queue', concat_ws('/', target_id, priority, rank, id)) from moved`
	began := time.Now()
	tag, err := conn.Exec(b.Context(), q, job)
	if err != nil || tag.RowsAffected() != 1 {
		b.Fatal(tag, err)
	}
	return began
}
