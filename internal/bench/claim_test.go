package bench_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// rowCounts are the sizes of the queue to measure: PINWHEEL_BENCH_ROWS, else
// 10,000. `make bench` sets both of the issue's.
func rowCounts(b *testing.B) []int {
	b.Helper()
	var out []int
	for _, s := range strings.Fields(os.Getenv("PINWHEEL_BENCH_ROWS")) {
		n, err := strconv.Atoi(s)
		if err != nil {
			b.Fatalf("PINWHEEL_BENCH_ROWS: %v", err)
		}
		out = append(out, n)
	}
	if len(out) == 0 {
		out = []int{10_000}
	}
	return out
}

// BenchmarkClaim leases b.N jobs over the embedded NATS server, by several
// askers at once without think time.
func BenchmarkClaim(b *testing.B) {
	for _, rows := range rowCounts(b) {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			dsn := database(b, rows)
			b.Run("plain", func(b *testing.B) { plainClaims(b, dsn) })
			for _, askers := range []int{1, 16, 200} {
				b.Run(fmt.Sprintf("askers=%d", askers), func(b *testing.B) {
					fill(b, dsn, rows) // what earlier runs claimed is queued again
					claims(b, newRig(b, dsn, askers))
				})
			}
		})
	}
}

func claims(b *testing.B, r *rig) {
	var mu sync.Mutex
	var took []time.Duration
	var wg sync.WaitGroup
	turns := make(chan int, b.N)
	for i := range b.N {
		turns <- i
	}
	close(turns)
	b.ResetTimer()
	for n, slave := range r.slaves {
		wg.Go(func() {
			var mine []time.Duration
			for i := range turns {
				d, err := r.ask(slave, fmt.Sprintf("%d/%d", n, i))
				if err != nil {
					b.Error(err)
					return
				}
				mine = append(mine, d)
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, mine...)
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "claims/s")
	b.ReportMetric(quantile(took, 0.5), "p50-ms")
	b.ReportMetric(quantile(took, 0.99), "p99-ms")
}

// plainClaims is the shortest way to the same rows: one connection, one
// statement that takes a queued job, no wire, no ledger, no fairness.
func plainClaims(b *testing.B, dsn string) {
	conn, err := pgx.Connect(b.Context(), dsn)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(context.Background())
	const q = `
update jobs set not_before = now() + interval '1 day' where id = (
    select id from jobs where target_id = 1 and state = 'queued' and not_before <= now()
    and needs_memory = 0 and needs_packages is null
    order by priority, rank, id limit 1 for update skip locked)`
	var took []time.Duration
	b.ResetTimer()
	for range b.N {
		began := time.Now()
		if tag, err := conn.Exec(b.Context(), q); err != nil || tag.RowsAffected() != 1 {
			b.Fatal(tag, err)
		}
		took = append(took, time.Since(began))
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "claims/s")
	b.ReportMetric(quantile(took, 0.5), "p50-ms")
	b.ReportMetric(quantile(took, 0.99), "p99-ms")
	if _, err := conn.Exec(b.Context(), `update jobs set not_before = now() where not_before > now()`); err != nil {
		b.Fatal(err)
	}
}
