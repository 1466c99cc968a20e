package bench_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// maintained is a database on which somebody reads failures and sends them back.
type maintained struct {
	b     *testing.B
	conn  *pgx.Conn
	store *store.Store
}

// newMaintained has at least so many jobs, and ends by itself.
func newMaintained(b *testing.B, rows int) *maintained {
	b.Helper()
	dsn := database(b, rows)
	s, err := store.Open(b.Context(), dsn)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.Close)
	conn, err := pgx.Connect(b.Context(), dsn)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close(context.Background()) })
	return &maintained{b: b, conn: conn, store: s}
}

func (m *maintained) exec(q string, args ...any) int64 {
	m.b.Helper()
	tag, err := m.conn.Exec(m.b.Context(), q, args...)
	if err != nil {
		m.b.Fatalf("%.60s: %v", q, err)
	}
	return tag.RowsAffected()
}

// timed runs something and says how many seconds it took.
func timed(do func()) float64 {
	began := time.Now()
	do()
	return time.Since(began).Seconds()
}

const requeuedJobs = 100_000

// fail makes so many jobs failed, spread over the whole table, and leaves it as
// vacuum does.
func (m *maintained) fail(jobs, of int) {
	m.b.Helper()
	n := m.exec(`
update jobs set state = 'failed', cause = 'missing-header', detail = 'ffi.h', hint = 'apt: libffi-dev', changed_at = now() - interval '3 days'
where target_id = 1 and id in (select 1 + 3 * (i * ($2 / $1))::bigint from generate_series(0, $1 - 1) i)`, jobs, of)
	if n != int64(jobs) {
		m.b.Fatalf("%d jobs have failed, want %d", n, jobs)
	}
	m.exec(`vacuum analyze jobs`)
	m.exec(`checkpoint`)
}

// BenchmarkRequeue sends 100,000 failed jobs back and takes that back, beside a plain
// UPDATE of the same rows.
func BenchmarkRequeue(b *testing.B) {
	for _, rows := range rowCounts(b) {
		rows = max(rows, 1_000_000)
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			m := newMaintained(b, rows)
			releases := (rows + 2) / 3
			var plain, dry, real, undo float64
			for range b.N {
				m.fail(requeuedJobs, releases)
				plain += timed(func() {
					m.exec(`update jobs set state = 'queued', cause = '', detail = '', hint = '', losses = 0, priority = 40,
                        not_before = now(), changed_at = now() where state = 'failed' and cause = 'missing-header'`)
				})
				m.fail(requeuedJobs, releases)
				wish := store.Requeue{Selector: store.Selector{Cause: farm.MissingHeader}, Priority: farm.PriorityBacklog, Actor: "bench", Few: 10, DryRun: true}
				dry += timed(func() { m.moved(wish) })
				wish.DryRun = false
				var audit int64
				real += timed(func() { audit = m.moved(wish) })
				undo += timed(func() {
					u, err := m.store.Undo(b.Context(), audit, "bench", 10)
					if err != nil || u.Jobs != requeuedJobs {
						b.Fatalf("%d jobs taken back: %v", u.Jobs, err)
					}
				})
				m.exec(`update jobs set state = 'queued', cause = '', detail = '', hint = '' where state = 'failed'`)
			}
			n := float64(b.N)
			b.ReportMetric(plain/n, "plain-s")
			b.ReportMetric(dry/n, "dry-run-s")
			b.ReportMetric(real/n, "requeue-s")
			b.ReportMetric(undo/n, "undo-s")
			b.ReportMetric(real/plain, "of-plain")
		})
	}
}

func (m *maintained) moved(wish store.Requeue) int64 {
	m.b.Helper()
	r, err := m.store.Requeue(m.b.Context(), wish)
	if err != nil || r.Jobs != requeuedJobs {
		m.b.Fatalf("%d jobs: %v", r.Jobs, err)
	}
	return r.Audit
}

// BenchmarkFailures groups the failures of a farm of which every fifth job has
// failed, and a fifth is built, over two months and 400 details.
func BenchmarkFailures(b *testing.B) {
	for _, rows := range rowCounts(b) {
		rows = max(rows, 1_000_000)
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			m := newMaintained(b, rows)
			// The details are as uneven as in life: the commonest has a hundred times the 100th.
			n := m.exec(`
update jobs set state = 'failed', why = '', reason = '', waits_target_id = null, changed_at = now() - (random() * 60) * interval '1 day',
    cause = (array['missing-header', 'missing-library', 'compiler-error', 'build-backend', 'python-syntax'])[1 + id % 7 % 5],
    detail = 'thing-' || floor(400 ^ random())
where id % 5 = 0`)
			m.exec(`update jobs set state = 'built', why = '', reason = '', waits_target_id = null where id % 5 = 1`)
			m.exec(`vacuum analyze jobs`)
			b.Logf("%d failed of %d", n, rows)
			var took []time.Duration
			var one []time.Duration
			b.ResetTimer()
			for range b.N {
				began := time.Now()
				f, err := m.store.Failures(b.Context(), store.Selector{}, 10)
				if err != nil || f.Failed != n || len(f.Groups) != 10 {
					b.Fatalf("%+v, %v", f, err)
				}
				took = append(took, time.Since(began))
				began = time.Now()
				if _, err := m.store.Failures(b.Context(), store.Selector{Package: "p7"}, 10); err != nil {
					b.Fatal(err)
				}
				one = append(one, time.Since(began))
			}
			b.StopTimer()
			b.ReportMetric(quantile(took, 0.5), "all-ms")
			b.ReportMetric(quantile(one, 0.5), "package-ms")
			plain := timed(func() { m.exec(`select count(*) from jobs`) })
			b.ReportMetric(plain*1000, "plain-count-ms")
			m.exec(`
update jobs set state = 'waiting', why = 'lower-target', reason = 'the lowest builds first', waits_target_id = 1, cause = '', detail = ''
where state in ('failed', 'built') and target_id > 1`)
			m.exec(`update jobs set state = 'queued', cause = '', detail = '' where state in ('failed', 'built')`)
		})
	}
}
