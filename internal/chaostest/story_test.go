package chaostest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
	"pinwheel/internal/pypitest"
)

// backlog is how many releases may be without an outcome. The index tells no more
// while there are so many: so a slow machine has less to do, not longer.
const backlog = 8

// projects of the index.
const projects = 25

// teller makes the index release, yank, withhold and remove, by a seed.
type teller struct {
	w   *world
	rng *rand.Rand

	mu       sync.Mutex
	releases []release // those that the index has
	withheld map[release]bool
	number   int // of the release that was told last
	counts   map[string]int
}

type release struct {
	project, version string
	kind             pypitest.Kind
}

func newTeller(w *world, seed uint64) *teller {
	return &teller{w: w, rng: rand.New(rand.NewPCG(seed, 2)), withheld: map[release]bool{}, counts: map[string]int{}}
}

// run tells until ctx ends.
func (s *teller) run(ctx context.Context) {
	tick := time.NewTicker(150 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if ended, err := endedJobs(ctx, s.w.local); err == nil && s.open(ended) < backlog {
			s.tell()
		}
	}
}

// open counts the releases without an outcome. What is withheld may have none.
func (s *teller) open(ended map[release]farm.State) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.releases {
		if _, ok := ended[release{r.project, r.version, ""}]; !ok && !s.withheld[r] {
			n++
		}
	}
	return n
}

func (s *teller) tell() {
	s.mu.Lock()
	defer s.mu.Unlock()
	word, do := s.next()
	if err := do(); err != nil {
		s.w.t.Errorf("the index: %s: %v", word, err)
	}
	s.counts[word]++
}

// next draws what is told. Most of it is releases: it is they that are built.
func (s *teller) next() (word string, do func() error) {
	n := s.rng.IntN(100)
	if n < 70 || len(s.releases) == 0 {
		return "release", s.release
	}
	i := s.rng.IntN(len(s.releases))
	r := s.releases[i]
	switch {
	case n < 78:
		return "yank", func() error { return s.w.index.Yank(r.project, r.version, "a bad one") }
	case n < 82:
		return "unyank", func() error { return s.w.index.Unyank(r.project, r.version) }
	case n < 90:
		return "remove", func() error {
			s.releases = slices.Delete(s.releases, i, i+1)
			return s.w.index.Remove(r.project, r.version)
		}
	case n < 92:
		return "remove project", func() error {
			s.releases = slices.DeleteFunc(s.releases, func(o release) bool { return o.project == r.project })
			return s.w.index.Remove(r.project)
		}
	case n < 96:
		return "quarantine", func() error {
			s.withheld[r] = true
			return s.w.index.Quarantine(r.project, "looks bad", r.version)
		}
	}
	return "clear", func() error {
		delete(s.withheld, r)
		return s.w.index.ClearQuarantine(r.project, r.version)
	}
}

func (s *teller) release() error {
	s.number++
	kind := pypitest.Pure
	switch n := s.rng.IntN(10); {
	case n < 2:
		kind = pypitest.Extension
	case n < 3:
		kind = pypitest.Fails
	}
	r := release{fmt.Sprintf("chaos-%d", s.rng.IntN(projects)), fmt.Sprintf("1.%d", s.number), kind}
	s.releases = append(s.releases, r)
	return s.w.index.Add(pypitest.Release{Name: r.project, Version: r.version, Kind: r.kind})
}

// endedJobs reads the outcomes, by releases without a kind.
func endedJobs(ctx context.Context, dsn string) (map[release]farm.State, error) {
	ended := map[release]farm.State{}
	err := atOnce(ctx, dsn, func(ctx context.Context, db *pgx.Conn) error {
		rows, err := db.Query(ctx, `select package, version, state from job_facts where state not in ('waiting', 'queued', 'leased')`)
		if err != nil {
			return err
		}
		var r release
		var state farm.State
		_, err = pgx.ForEachRow(rows, []any{&r.project, &r.version, &state}, func() error { ended[r] = state; return nil })
		return err
	})
	return ended, err
}
