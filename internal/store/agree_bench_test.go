package store_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"pinwheel/internal/embedpg"
	"pinwheel/internal/farm"
	"pinwheel/internal/pgtest"
	"pinwheel/internal/proc"
	"pinwheel/internal/store"
)

// durable is a database on a server that writes to disk as a farm's does: what
// tests use trades that for time, which a measurement must not.
func durable(b *testing.B) string {
	b.Helper()
	user, err := proc.PostgresUser()
	if err != nil {
		b.Fatal(err)
	}
	dir, err := proc.SharedTempDir("pinwheel-store-", user)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	pg, err := embedpg.Start(b.Context(), embedpg.Config{Dir: filepath.Join(dir, "pg"), CacheDir: proc.DefaultCacheDir(), Fetch: pgtest.Fetch})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { pg.Close() })
	if _, _, err := store.Migrate(b.Context(), pg.URL()); err != nil {
		b.Fatal(err)
	}
	return pg.URL()
}

// Of a full PyPI: projects have so many releases in the middle, and each is
// planned on three targets.
const (
	benchBatch    = 1000
	benchReleases = 9
)

// benchProjects is a batch as a backfill has it, the lowest target queued.
func benchProjects(batch int, targets []store.TargetRow) (as []store.Agreement, done []store.Reading) {
	for p := range benchBatch {
		name := fmt.Sprintf("project-%08d", (batch*benchBatch+p)*7919%100_000_000)
		a := store.Agreement{Known: store.Known{ProjectFacts: store.ProjectFacts{Name: name}},
			Facts: store.ProjectFacts{Name: name, Display: name, Serial: int64(batch), ETag: `"abcdefabcdefabcdef"`, Followed: true}}
		for r := range benchReleases {
			v := fmt.Sprintf("%d.%d", r/3, r%3)
			file := name + "-" + v + ".tar.gz"
			n := store.NewRelease{ReleaseFacts: store.ReleaseFacts{Version: v, Raw: v,
				Released:       time.Unix(1_000_000_000+int64(batch*7919+p*104729+r*1299709)%800_000_000, 0),
				RequiresPython: ">=3.8", Sdist: farm.Sdist{Filename: file, SHA256: fmt.Sprintf("%064d", p),
					URL: "../../packages/aa/bb/0123456789abcdef0123456789abcdef0123456789abcdef012345678901/" + file, Size: 12345},
				Wheels: "py3-none-any"}}
			for i, t := range targets {
				plan := store.Planned{State: farm.Queued, Priority: farm.PriorityBacklog}
				if i > 0 {
					plan = store.Planned{State: farm.Waiting, Why: farm.WhyLowerTarget, Waits: targets[0].ID, Priority: farm.PriorityBacklog,
						Reason: targets[0].Target.String() + " builds first"}
				}
				n.Jobs = append(n.Jobs, store.NewJob{Target: t.ID, Planned: plan})
			}
			a.Add = append(a.Add, n)
		}
		as, done = append(as, a), append(done, store.Reading{Name: name})
	}
	return as, done
}

// BenchmarkAgree is a backfill without the upstream: each turn makes 1,000 projects
// of 9 releases on 3 targets, by two readers at once.
func BenchmarkAgree(b *testing.B) {
	dsn := durable(b)
	s, err := store.Open(b.Context(), dsn)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for _, abi := range []string{"cp39", "cp311", "cp313"} {
		if err := s.AddTarget(b.Context(), farm.Target{ABI: abi, Platform: "linux_armv7l"}, farm.Facts{}, "test"); err != nil {
			b.Fatal(err)
		}
	}
	targets, err := s.Targets(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	var batch atomic.Int64
	b.SetParallelism(1)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			as, done := benchProjects(int(batch.Add(1)), targets)
			out, err := s.Agree(b.Context(), as, done)
			if err != nil || len(out.Changed) > 0 {
				b.Errorf("%+v, %v", out, err)
				return
			}
		}
	})
	b.StopTimer()
	releases := float64(b.N * benchBatch * benchReleases)
	b.ReportMetric(releases/b.Elapsed().Seconds(), "releases/s")
	b.ReportMetric(releases*3/b.Elapsed().Seconds(), "jobs/s")
}

// BenchmarkKnown reads a project of 5,000 releases on 3 targets.
func BenchmarkKnown(b *testing.B) {
	w := newWorld(b)
	w.second()
	w.must(w.AddTarget(b.Context(), farm.Target{ABI: "cp314", Platform: target.Platform}, farm.Facts{}, "test"))
	targets, err := w.Targets(b.Context())
	w.must(err)
	as, _ := benchProjects(1, targets)
	big := as[0]
	for i := len(big.Add); i < 5000; i++ {
		r := big.Add[0]
		r.Version = fmt.Sprintf("9.%d", i)
		big.Add = append(big.Add, r)
	}
	w.agree(append(as[1:], big)...)
	w.must(w.exec(`analyze`))
	b.ResetTimer()
	for range b.N {
		if k := w.known(big.Known.Name); len(k.Releases) != 5000 || len(k.Releases[7].Jobs) != 3 {
			b.Fatalf("%d releases", len(k.Releases))
		}
	}
}

// BenchmarkTakeReading takes and forgets 100 of 900,000 projects at a time, behind
// 100,000 more urgent ones that are put off.
func BenchmarkTakeReading(b *testing.B) {
	w := newWorld(b)
	w.must(w.exec(`
insert into reading (name, urgency, not_before) select 'off' || n, 10, now() + interval '1 day' from generate_series(1, 100000) n;
insert into reading (name, urgency) select 'p' || n, 30 from generate_series(1, 900000) n;
analyze reading`))
	b.ResetTimer()
	for range b.N {
		rs := w.take(100)
		if len(rs) != 100 {
			b.Fatalf("%d taken", len(rs))
		}
		if _, err := w.Agree(b.Context(), nil, rs); err != nil {
			b.Fatal(err)
		}
		if _, _, err := w.NextReading(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*100)/b.Elapsed().Seconds(), "projects/s")
}
