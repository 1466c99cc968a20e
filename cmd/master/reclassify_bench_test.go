package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rogpeppe/go-internal/txtar"

	"pinwheel/internal/farm"
	"pinwheel/internal/pgtest"
	"pinwheel/internal/store"
)

// BenchmarkReclassify tells failed jobs anew: PINWHEEL_BENCH_FAILED of them, else
// 20,000, with the kept excerpts of real logs, all told wrongly at first. Plainly is
// reading the same rows in one statement.
func BenchmarkReclassify(b *testing.B) {
	n := 20_000
	if s := os.Getenv("PINWHEEL_BENCH_FAILED"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			b.Fatalf("PINWHEEL_BENCH_FAILED: %v", err)
		}
	}
	dsn := pgtest.New(b)
	fillFailed(b, dsn, n)
	st, err := store.Open(b.Context(), dsn)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(st.Close)
	run := func(dry bool) *reclassifying {
		r := &reclassifying{st: st, rules: farm.DefaultRules(), dry: dry, told: func() {}, unexplained: farm.NewTally(manyLines),
			run: store.Reclassification{Actor: "bench", Rules: "all", Moves: map[store.Move]int64{}}}
		if err := r.all(b.Context()); err != nil {
			b.Fatal(err)
		}
		if r.run.Read != int64(n) {
			b.Fatalf("read %d of %d", r.run.Read, n)
		}
		return r
	}
	for _, c := range []struct {
		name string
		do   func()
	}{
		{"plain-read", func() { plainRead(b, dsn) }},
		{"dry-run", func() { run(true) }},
		{"all-changed", func() {
			if r := run(false); r.run.Changed() < int64(n)*9/10 {
				b.Fatalf("changed %d", r.run.Changed())
			}
		}},
		{"none-changed", func() {
			if r := run(false); r.run.Changed() != 0 {
				b.Fatalf("changed %d", r.run.Changed())
			}
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				if c.name == "all-changed" {
					b.StopTimer()
					unlearn(b, dsn)
					b.StartTimer()
				}
				c.do()
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
		})
	}
}

// unlearn makes them unknown again.
func unlearn(b *testing.B, dsn string) {
	conn, err := pgx.Connect(b.Context(), dsn)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(b.Context())
	for _, q := range []string{`update jobs set cause = 'unknown', detail = 'nobody knows', hint = ''`, `vacuum analyze jobs, builds`} {
		if _, err := conn.Exec(b.Context(), q); err != nil {
			b.Fatal(err)
		}
	}
}

func plainRead(b *testing.B, dsn string) {
	conn, err := pgx.Connect(b.Context(), dsn)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(b.Context())
	rows, err := conn.Query(b.Context(), `select b.job_id, b.excerpt from builds b join jobs j on j.id = b.job_id where j.state = 'failed' order by b.id`)
	if err != nil {
		b.Fatal(err)
	}
	var job int64
	var excerpt string
	if _, err := pgx.ForEachRow(rows, []any{&job, &excerpt}, func() error { return nil }); err != nil {
		b.Fatal(err)
	}
}

// fillFailed makes failed jobs with one build each, which real logs explain.
func fillFailed(b *testing.B, dsn string, n int) {
	b.Helper()
	var excerpts []string
	paths, err := filepath.Glob(filepath.Join("..", "..", "internal", "corpus", "testdata", "excerpts", "*.txtar"))
	if err != nil || len(paths) == 0 {
		b.Fatalf("no kept excerpts: %v", err)
	}
	for _, path := range paths {
		a, err := txtar.ParseFile(path)
		if err != nil {
			b.Fatal(err)
		}
		for _, f := range a.Files {
			excerpts = append(excerpts, strings.TrimSpace(string(f.Data)))
		}
	}
	conn, err := pgx.Connect(b.Context(), dsn)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(b.Context())
	for _, q := range []string{
		`set session_replication_role = replica`, // keys hold by construction
		`insert into targets (id, name, abi, platform, rank) overriding system value values (1, 'cp311-linux_armv7l', 'cp311', 'linux_armv7l', 311)`,
		`insert into slaves (id, name, role, public_key) overriding system value values (1, 'a', 'slave', 'k')`,
		`insert into packages (id, name, display) overriding system value select i, 'p' || i, 'p' || i from generate_series(1, @n) i`,
		`insert into releases (id, package_id, version, raw) overriding system value select i, i, '1', '1' from generate_series(1, @n) i`,
		`insert into jobs (id, release_id, package_id, target_id, state, cause, detail, released_at, rank) overriding system value
		 select i, i, i, 1, 'failed', 'unknown', 'nobody knows', now(), i from generate_series(1, @n) i`,
		`insert into builds (job_id, slave_id, token, request, ended_at, outcome, cause, excerpt, record)
		 select i, 1, 't' || i, 'r' || i, now(), 'failed', 'unknown', (@e::text[])[i % array_length(@e::text[], 1) + 1], '{"cause_from": "log", "os": "Debian", "seconds": 12.5}'
		 from generate_series(1, @n) i`,
		`analyze`,
	} {
		if _, err := conn.Exec(b.Context(), q, pgx.NamedArgs{"n": n, "e": excerpts}); err != nil {
			b.Fatalf("%.60s: %v", q, err)
		}
	}
	b.Logf("%d failed jobs, %s", n, time.Now().Format(time.TimeOnly))
}
