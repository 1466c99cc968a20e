package ingest

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"pinwheel/internal/farm"
	"pinwheel/internal/pypi"
	"pinwheel/internal/store"
)

// slowIndex holds the first answer for demo back until it is let go.
type slowIndex struct {
	Index
	asked atomic.Int64
	first chan struct{} // closed when the first answer is there
	let   chan struct{}
	other chan struct{} // closed when the project other is asked for
	once  sync.Once
}

func (s *slowIndex) ProjectAt(ctx context.Context, name string, seen pypi.Seen, serial int64) (pypi.Project, error) {
	p, err := s.Index.ProjectAt(ctx, name, seen, serial)
	if name == "other" {
		s.once.Do(func() { close(s.other) })
	} else if s.asked.Add(1) == 1 {
		close(s.first)
		select {
		case <-s.let:
		case <-ctx.Done():
		}
	}
	return p, err
}

// TestOlderPageComesLater: a page that was read before a removal, and is written
// after it was announced, does not bring the project back.
func TestOlderPageComesLater(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	slow := &slowIndex{Index: r.cfg.Index, first: make(chan struct{}), let: make(chan struct{}), other: make(chan struct{})}
	r.cfg.Index, r.cfg.Large = slow, slow
	r.begun()
	r.start()
	r.upstream.MustAdd(t, "-- demo==1.0 --\n")
	<-slow.first
	r.must(r.upstream.Remove("demo"))
	_, err := r.store.Announce(t.Context(), []store.Reading{{Name: "demo", Urgency: farm.UrgencyEvent, Gone: true, Follow: true}}, 0)
	r.must(err)
	r.upstream.MustAdd(t, "-- other==1.0 --\n")
	<-slow.other // so demo, which was due before it, has been taken once more
	close(slow.let)
	r.until("all is read", func() bool {
		left, err := r.store.ReadingLeft(t.Context())
		r.must(err)
		return len(left) == 0
	})
	r.untilJobs("other 1.0 " + v7 + " queued")
	if known, err := r.store.KnownProjects(t.Context(), []string{"demo"}); err != nil || len(known) > 0 {
		t.Errorf("%v is known, %v", known, err)
	}
}

// TestLanes: of one name there is never more than one under way, and of those that
// wait the last one goes.
func TestLanes(t *testing.T) {
	t.Parallel()
	l := lanes{busy: map[string]bool{}, next: map[string]*task{}}
	it := func(name string, revision int64) *task {
		return &task{known: store.Known{ProjectFacts: store.ProjectFacts{Name: name}}, reading: store.Reading{Revision: revision}}
	}
	for i, want := range []struct{ mine, replaced bool }{{true, false}, {false, false}, {false, true}} {
		if mine, replaced := l.enter(it("a", int64(i))); mine != want.mine || replaced != want.replaced {
			t.Errorf("the task %d of a: %v %v, want %v", i, mine, replaced, want)
		}
	}
	if mine, _ := l.enter(it("b", 7)); !mine {
		t.Error("b waits for a")
	}
	l.leave("b")
	if list := l.takeFree(); len(list) > 0 {
		t.Errorf("%v is free while a is under way", list)
	}
	l.leave("a")
	if list := l.takeFree(); len(list) != 1 || list[0].reading.Revision != 2 {
		t.Errorf("free is %v, want the last one", list)
	}
	if mine, _ := l.enter(it("a", 3)); mine {
		t.Error("the one that waited is under way, and another begins")
	}
	l.leave("a")
	list := l.takeFree()
	if l.leave("a"); len(list) != 1 || len(l.busy)+len(l.next) > 0 || slices.Contains(list, nil) {
		t.Errorf("left over: %v", l.busy)
	}
}
