package store_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// BenchmarkChangeRecipes queues 108,000 failed jobs again, of 12,000 packages, by
// one recipe for all of them, and holds that against the plain update of the rows.
func BenchmarkChangeRecipes(b *testing.B) {
	dsn := durable(b)
	s, err := store.Open(b.Context(), dsn)
	must := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	must(err)
	defer s.Close()
	must(s.AddTarget(b.Context(), target, farm.Facts{}, "test"))
	targets, err := s.Targets(b.Context())
	must(err)
	for batch := range 12 {
		projects, done := benchProjects(batch, targets)
		_, err := s.Agree(b.Context(), projects, done)
		must(err)
	}
	conn, err := pgx.Connect(b.Context(), dsn)
	must(err)
	defer conn.Close(b.Context())
	fail := func() {
		for _, q := range []string{`update jobs set state = 'failed', cause = 'missing-header', needs_packages = null`, `vacuum analyze jobs`} {
			_, err := conn.Exec(b.Context(), q)
			must(err)
		}
	}
	var plain, changed time.Duration
	var requeued int64
	for b.Loop() {
		fail()
		began := time.Now()
		_, err := conn.Exec(b.Context(), `update jobs set state = 'queued', cause = '', changed_at = now() where state = 'failed'`)
		must(err)
		plain += time.Since(began)
		fail()
		began = time.Now()
		done, err := s.ChangeRecipes(b.Context(), "test", false, func(have []farm.ScopedRecipe) ([]farm.RecipeEdit, error) {
			return farm.ReplaceRecipes(have, []farm.ScopedRecipe{{Scope: farm.Scope{Package: "project-*", Versions: ">=1"}, Recipe: gcc, Reason: "r"},
				{Scope: farm.Scope{Package: "*"}, Recipe: farm.Recipe{Env: map[string]string{"A": time.Now().String()}}, Reason: "r"}})
		})
		must(err)
		changed, requeued = changed+time.Since(began), done.Requeued
	}
	b.ReportMetric(float64(requeued), "jobs")
	b.ReportMetric(changed.Seconds()/float64(b.N), "s/change")
	b.ReportMetric(changed.Seconds()/plain.Seconds(), "x-plain")
	b.ReportMetric(0, "ns/op")
}
