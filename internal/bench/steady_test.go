package bench_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// The steady load: an open loop of claims, the second half of the time with a
// snapshot held open, as a backup or a long report would.
const (
	steadyRate   = 1000 // claims per second
	steadyAskers = 200
)

// BenchmarkSteady runs for PINWHEEL_BENCH_STEADY (30m in the issue's
// measurement) on each size of the queue, once, whatever b.N says, and tells how
// much slower the largest is than the smallest, without a snapshot.
func BenchmarkSteady(b *testing.B) {
	text := os.Getenv("PINWHEEL_BENCH_STEADY")
	if text == "" {
		b.Skip("PINWHEEL_BENCH_STEADY is not set: a steady load takes its time")
	}
	long, err := time.ParseDuration(text)
	if err != nil {
		b.Fatal(err)
	}
	var first float64
	for _, rows := range rowCounts(b) {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			s := &steady{rig: newRig(b, database(b, rows), steadyAskers), ticks: make(chan time.Time, 1<<20)}
			s.again.Store(rows < keptFrom) // a small queue would be empty after seconds
			b.ResetTimer()
			s.run(long)
			p99 := quantile(s.before, 0.99)
			b.ReportMetric(quantile(s.before, 0.5), "p50-ms")
			b.ReportMetric(p99, "p99-ms")
			b.ReportMetric(quantile(s.during, 0.99), "snapshot-p99-ms")
			if first == 0 {
				first = p99
			}
			b.ReportMetric(p99/first, "p99-to-first")
			b.ReportMetric(0, "ns/op")
		})
	}
}

type steady struct {
	*rig
	ticks chan time.Time

	mu             sync.Mutex
	current        []time.Duration // of this minute
	before, during []time.Duration // the snapshot
}

// run hands out one tick per claim at the fixed rate. A claim's time counts from
// its tick, not from when an asker was free: an open loop hides no queueing.
func (s *steady) run(long time.Duration) {
	ctx, cancel := context.WithTimeout(s.b.Context(), long)
	defer cancel()
	var wg sync.WaitGroup
	for n, slave := range s.slaves {
		wg.Go(func() {
			i := 0
			for at := range s.ticks {
				i++
				if _, err := s.ask(slave, fmt.Sprintf("%d/%d", n, i)); err != nil {
					s.b.Error(err)
					return
				}
				s.add(time.Since(at))
			}
		})
	}
	s.clock(ctx, long)
	close(s.ticks)
	wg.Wait()
}

func (s *steady) add(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = append(s.current, d)
}

// clock makes the ticks and prints a line a minute.
func (s *steady) clock(ctx context.Context, long time.Duration) {
	began, minute := time.Now(), time.Now()
	sent, snapshot := 0, false
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			s.minute(time.Since(minute), snapshot, "last")
			return
		case now := <-tick.C:
			for due := int(now.Sub(began).Seconds() * steadyRate); sent < due; sent++ {
				s.ticks <- now
			}
			if now.Sub(minute) >= time.Minute {
				s.minute(now.Sub(minute), snapshot, "")
				minute = now
			}
			if !snapshot && now.Sub(began) > long/2 {
				s.minute(now.Sub(minute), snapshot, "half")
				minute, snapshot = now, true
				s.hold(ctx)
			}
		}
	}
}

// hold opens a snapshot and keeps it until ctx ends.
func (s *steady) hold(ctx context.Context) {
	conn, err := pgx.Connect(ctx, s.dsn)
	if err != nil {
		s.b.Fatal(err)
	}
	if _, err := conn.Exec(ctx, `begin isolation level repeatable read; select count(*) from targets`); err != nil {
		s.b.Fatal(err)
	}
	context.AfterFunc(ctx, func() { conn.Close(context.Background()) })
}

// minute prints what the last minute was like, in benchstat's form.
func (s *steady) minute(took time.Duration, snapshot bool, word string) {
	s.mu.Lock()
	d := s.current
	s.current = nil
	if snapshot {
		s.during = append(s.during, d...)
	} else {
		s.before = append(s.before, d...)
	}
	s.mu.Unlock()
	fmt.Printf("BenchmarkSteadyMinute/snapshot=%v%s 1 %.0f claims/s %.2f p50-ms %.2f p99-ms %d behind\n",
		snapshot, word, float64(len(d))/took.Seconds(), quantile(d, 0.5), quantile(d, 0.99), len(s.ticks))
}
