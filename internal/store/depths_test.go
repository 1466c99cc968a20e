package store_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

func TestDepths(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	empty, err := w.QueueDepths(t.Context())
	w.must(err)
	if len(empty) != 1 || empty[0].Target != target.String() || empty[0].Jobs != 0 {
		t.Errorf("an empty queue: %+v", empty)
	}
	w.add("a", "1.0", "2.0", "3.0", "4.0")
	w.must(w.exec(`update jobs set priority = 20, changed_at = now() - interval '1 hour' where id % 4 = 1`))
	if _, ok := w.claim("a", "1"); !ok {
		t.Fatal("nothing to claim")
	}
	w.must(w.exec(`delete from stale_pages; insert into stale_pages (scope, marked_at) values ('a', now() - interval '1 minute'), ('b', now())`))
	list, err := w.QueueDepths(t.Context())
	w.must(err)
	got := map[farm.Priority]int64{}
	for _, d := range list {
		got[d.Priority] = d.Jobs
		if age := time.Since(d.Oldest); d.Priority == farm.PriorityNew && age < 50*time.Minute || d.Priority == farm.PriorityBacklog && age > time.Minute {
			t.Errorf("%s is %v old", d.Priority.Word(), age)
		}
	}
	if diff := cmp.Diff(map[farm.Priority]int64{farm.PriorityBacklog: 3}, got); diff != "" { // the hour-old one was leased first
		t.Errorf("(-want +got)\n%s", diff)
	}
	u, err := w.UnderWay(t.Context())
	w.must(err)
	if u.Leases[target.String()] != 1 || u.StalePages != 2 || u.OldestStale < time.Minute || u.OldestStale > 10*time.Minute {
		t.Errorf("under way: %+v", u)
	}
	w.must(w.exec(`delete from stale_pages`))
	if u, err = w.UnderWay(t.Context()); err != nil || u.StalePages != 0 || u.OldestStale != 0 {
		t.Errorf("nothing to write: %+v, %v", u, err)
	}
	w.must(w.Schema(t.Context()))
}

// TestTracer: each statement is heard of once, with what it is and whether it failed.
func TestTracer(t *testing.T) {
	t.Parallel()
	type heard struct {
		kind   string
		failed bool
	}
	var mu sync.Mutex
	all := map[heard]int{}
	s, err := store.Open(t.Context(), newWorld(t).dsn, func(kind string, took time.Duration, failed bool) {
		mu.Lock()
		defer mu.Unlock()
		all[heard{kind, failed}]++
		if took < 0 {
			t.Errorf("%s took %v", kind, took)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	clear(all)
	if _, err := s.Following(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.HeardUpstream(t.Context(), "nonsense", ""); err == nil {
		t.Error("a CHECK lets nonsense through")
	}
	if _, err := s.Tally(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, _ = s.Following(ended) // no statement is begun
	mu.Lock()
	defer mu.Unlock()
	for h, least := range map[heard]int{{"select", false}: 2, {"update", true}: 1, {"begin", false}: 1, {"insert", false}: 1, {"commit", false}: 1} {
		if all[h] < least {
			t.Errorf("heard of %+v %d times, want %d or more: %v", h, all[h], least, all)
		}
	}
}
