package simulate

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"pinwheel/internal/embedpg"
	"pinwheel/internal/pgtest"
	"pinwheel/internal/proc"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// TestEveryVersionEndsOnce is a run small enough for every day: slaves that die
// often, and more projects with many versions than slots for them.
func TestEveryVersionEndsOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(7, 300)
	w.lives = 3 * time.Minute
	s := newSimulation(t, pgtest.Empty(t), w, 5)
	r, err := s.whole(t.Context(), func(int, time.Duration) {})
	must(t, err)
	if r.lost == 0 {
		t.Error("no slave died: the run says nothing of lost builds")
	}
	if r.idle > 0.1 {
		t.Errorf("slaves were idle for %.1f %% of the time while work was queued", 100*r.idle)
	}
	t.Log("\n" + table([]result{r}))
}

// TestWhatHangsIsTriedLast: with more time, and by no build more than that.
func TestWhatHangsIsTriedLast(t *testing.T) {
	t.Parallel()
	w := newWorld(3, 60)
	w.hanging = 0.05
	s := newSimulation(t, pgtest.Empty(t), w, 4)
	r, err := s.whole(t.Context(), func(int, time.Duration) {})
	must(t, err)
	if n := w.needed(); n.again == 0 || r.builds != n.builds+r.lost {
		t.Errorf("%d builds, %d of them lost; necessary are %d, with %s of second tries", r.builds, r.lost, n.builds, n.again)
	}
	t.Log("\n" + table([]result{r}))
}

// whole runs a simulation to its end, and holds its rows to what was drawn.
func (s *simulation) whole(ctx context.Context, progress func(builds int, at time.Duration)) (result, error) {
	before, err := s.databaseTime(ctx)
	if err != nil {
		return result{}, err
	}
	began := time.Now()
	if err := s.run(ctx, progress); err != nil {
		return result{}, err
	}
	real := time.Since(began)
	after, err := s.databaseTime(ctx)
	if err != nil {
		return result{}, err
	}
	n := s.world.needed()
	r := s.result(n, real, after-before)
	return r, s.check(ctx, n, r)
}

// check looks whether every job has ended once and as it had to.
func (s *simulation) check(ctx context.Context, n needed, r result) error {
	const q = `
select (select count(*) from jobs where state = 'built'), (select count(*) from jobs where state = 'failed'),
       (select count(*) from jobs where state = 'covered'), (select count(*) from wheels),
       (select count(*) from jobs where state = 'failed' and cause = 'slave-lost'),
       (select count(*) from builds), (select count(*) from builds where outcome = 'lost'),
       (select count(*) from builds where outcome is null or outcome = 'superseded')`
	var built, failed, covered, wheels, given, builds, lost, open int
	if err := s.conn.QueryRow(ctx, q).Scan(&built, &failed, &covered, &wheels, &given, &builds, &lost, &open); err != nil {
		return err
	}
	all := s.world.versions * len(targets())
	// A job that was given up because three slaves died over it is legal, and not what was drawn.
	if built+given < n.wheels || wheels != built || failed-given > n.jobs-n.wheels || built+failed+covered != all ||
		builds != r.builds || lost != r.lost || open != 0 {
		return fmt.Errorf("%d jobs: %d built, %d wheels, %d failed (%d as slave-lost), %d covered, %d builds (%d lost, %d without an end); "+
			"drawn were %d wheels of %d jobs, slaves made %d and lost %d",
			all, built, wheels, failed, given, covered, builds, lost, open, n.wheels, n.jobs, r.builds, r.lost)
	}
	return nil
}

// parts says how much of all versions each number of slaves builds: one slave alone
// is served one request after the other, for a hundred days. A hundred versions for
// each slave are the least that says something of them. The longest comes last.
func parts() []struct{ slaves, part int } {
	return []struct{ slaves, part int }{{1, 100}, {4, 50}, {50, 20}, {200, 5}, {20, 1}}
}

// BenchmarkFirstRun is `make simulate`: PINWHEEL_SIMULATE versions, else 750,000,
// drawn from the seed PINWHEEL_SIMULATE_SEED, each run on a database of its own.
// PINWHEEL_SIMULATE_PLOT is the file of the plot; none is written without.
func BenchmarkFirstRun(b *testing.B) {
	versions, seed := number(b, "PINWHEEL_SIMULATE", firstRun), number(b, "PINWHEEL_SIMULATE_SEED", 1)
	var all []result
	whole := newWorld(uint64(seed), versions).needed()
	fmt.Fprintf(os.Stderr, "%d versions need %d builds of %.1f days, %.1f of them the second try of what hangs\n",
		versions, whole.builds, whole.time.Hours()/24, whole.again.Hours()/24)
	for _, p := range parts() {
		b.Run(fmt.Sprintf("slaves=%d", p.slaves), func(b *testing.B) {
			w := newWorld(uint64(seed), min(versions, max(versions/p.part, 100*p.slaves)))
			s := newSimulation(b, durable(b), w, p.slaves)
			tell := &teller{slaves: p.slaves, all: w.needed().builds, began: time.Now()}
			r, err := s.whole(b.Context(), tell.progress)
			must(b, err)
			all = append(all, r)
			slices.SortFunc(all, func(a, b result) int { return a.slaves - b.slaves })
			b.ReportMetric(100*r.idle, "idle-%")
			b.ReportMetric(r.overBuilt(), "x-needed")
			b.ReportMetric(r.overTime(), "x-ideal")
			b.ReportMetric(r.rate, "builds/s")
			b.ReportMetric(0, "ns/op")
		})
	}
	fmt.Println()
	fmt.Print(table(all))
	if path := os.Getenv("PINWHEEL_SIMULATE_PLOT"); path != "" {
		must(b, os.WriteFile(path, []byte(plot(all, time.Duration(float64(whole.time)*firstRun/float64(versions)))), 0o644))
		fmt.Println("plot:", path)
	}
}

func number(b *testing.B, variable string, otherwise int) int {
	b.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		b.Fatalf("%s is %q: want a number above 0", variable, text)
	}
	return n
}

// durable is an empty database as a farm's is.
func durable(b *testing.B) (dsn string) {
	b.Helper()
	user, err := proc.PostgresUser()
	must(b, err)
	dir, err := proc.SharedTempDir("pinwheel-simulate-", user)
	must(b, err)
	b.Cleanup(func() { os.RemoveAll(dir) })
	pg, err := embedpg.Start(b.Context(), embedpg.Config{Dir: dir, CacheDir: proc.DefaultCacheDir(), Log: zerolog.Nop(),
		Settings: map[string]string{"max_wal_size": "4GB"}})
	must(b, err)
	b.Cleanup(func() { pg.Close() })
	return pg.URL()
}

// teller says every ten seconds how far a run has come.
type teller struct {
	slaves, all int
	began, said time.Time
}

func (t *teller) progress(builds int, at time.Duration) {
	now := time.Now()
	if now.Sub(t.said) < 10*time.Second || builds == 0 {
		return
	}
	t.said = now
	took := now.Sub(t.began)
	left := time.Duration(float64(took) * float64(t.all-builds) / float64(builds))
	fmt.Fprintf(os.Stderr, "%3d slaves: %8d of %d builds, day %.1f, %s, %s left\n",
		t.slaves, builds, t.all, at.Hours()/24, took.Round(time.Second), max(left, 0).Round(time.Second))
}
