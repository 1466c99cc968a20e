package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"pinwheel/internal/farm"
	"pinwheel/internal/pypitest"
	"pinwheel/internal/store"
)

// walk is the newest walk of a kind.
func (r *rig) walk(kind string) store.Walk {
	r.t.Helper()
	all, err := r.store.Walks(r.t.Context(), 100)
	r.must(err)
	for _, w := range all {
		if w.Kind == kind {
			return w
		}
	}
	return store.Walk{}
}

// world makes 30 projects before the farm begins to follow.
func (r *rig) world() (want []string) {
	r.t.Helper()
	for i := range 30 {
		r.upstream.MustAdd(r.t, fmt.Sprintf("-- p%d==1.0 --\n-- p%d==2.0 --\n", i, i))
		want = append(want, queued(fmt.Sprintf("p%d 1.0", i)), queued(fmt.Sprintf("p%d 2.0", i)))
	}
	return want
}

// TestBackfill: everything that the upstream has becomes jobs, beside the events.
func TestBackfill(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	want := r.world()
	r.start()
	r.until("the farm follows", func() bool { return r.following().Source == sourceChangelog })
	r.untilJobs()
	_, err := r.store.BeginWalk(t.Context(), WalkBackfill)
	r.must(err)
	wake(r.look)
	r.upstream.MustAdd(t, "-- new==1.0 --\n")
	r.untilJobs(append(slices.Clone(want), queued("new 1.0"))...)
	r.until("the walk has ended", func() bool { return r.walk(WalkBackfill).Ended != nil })
	if w := r.walk(WalkBackfill); w.Total < 30 || w.Total > 31 || w.Chosen < 30 || w.Trouble != "" {
		t.Errorf("the walk is %+v", w)
	}
	if at, begun, err := r.since(t.Context()); at != 0 || !begun || err != nil {
		t.Errorf("followed since %d, %v, %v", at, begun, err)
	}
	for i := range 30 {
		if n := r.upstream.Requests(fmt.Sprintf("/simple/p%d/", i)); n != 1 {
			t.Errorf("p%d was asked for %d times", i, n)
		}
	}
}

// TestMassWorkIsCalm: the log tells a walk's and a plan's begin and end, and in between
// what events brought.
func TestMassWorkIsCalm(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	var out bytes.Buffer
	r.log = zerolog.New(zerolog.SyncWriter(&out)).Level(zerolog.InfoLevel)
	want := r.world()
	stop := r.start()
	r.until("the farm follows", func() bool { return r.following().Source == sourceChangelog })
	_, err := r.store.BeginWalk(t.Context(), WalkBackfill)
	r.must(err)
	wake(r.look)
	r.untilJobs(want...)
	r.until("the walk has ended", func() bool { return r.walk(WalkBackfill).Ended != nil })
	r.upstream.MustAdd(t, "-- new==1.0 --\n")
	r.untilJobs(append(want, queued("new 1.0"))...)
	stop()
	for text, n := range map[string]int{"agreed with the upstream": 1, "names listed": 1, "walk ended": 1} {
		if got := strings.Count(out.String(), text); got != n {
			t.Errorf("%q is told %d times, want %d:\n%s", text, got, n, out.String())
		}
	}
}

// TestBackfillGoesOn: one that was stopped goes on where it was, and one whose list
// was cut off lists again.
func TestBackfillGoesOn(t *testing.T) {
	t.Parallel()
	r := newRigWithin(t, impatient, v7)
	want := r.world()
	r.upstream.Break("/simple/p7/", pypitest.Fault{Trouble: pypitest.Stalled})
	r.upstream.Break("/simple/", pypitest.Fault{Trouble: pypitest.Cut, Times: 2})
	_, err := r.store.BeginWalk(t.Context(), WalkBackfill)
	r.must(err)
	stop := r.start()
	r.until("some are read", func() bool { return len(r.jobs()) > 10 })
	stop()
	r.upstream.Mend("/simple/p7/")
	r.start()
	r.untilJobs(want...)
	r.until("the walk has ended", func() bool { return r.walk(WalkBackfill).Ended != nil })
}

// TestBackfillAlone: a command does the work where no daemon does.
func TestBackfillAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	want := r.world()
	told := 0
	r.must(r.Backfill(t.Context(), func(store.Walk, []store.ReadingCount) { told++ }))
	if w := r.walk(WalkBackfill); w.Ended == nil || w.Chosen != 30 {
		t.Errorf("the walk is %+v", w)
	}
	r.untilJobs(want...)
	r.upstream.MustAdd(t, "-- new==1.0 --\n")
	r.start() // follows from where the list was made
	r.untilJobs(append(want, queued("new 1.0"))...)
	if n := r.upstream.Requests("/simple/p1/"); n != 1 {
		t.Errorf("p1 was asked for %d times", n)
	}
	if told == 0 {
		t.Error("nobody was told how it goes")
	}
}

// TestNightlyMends: what no event told is found by comparing all names: a change, a
// new project, a removal; and what was before the farm began stays a backfill's.
func TestNightlyMends(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	r.upstream.MustAdd(t, "-- old==1.0 --\n")
	r.begun()
	r.upstream.MustAdd(t, "-- a==1.0 --\n-- gone==1.0 --\n")
	r.start()
	r.untilJobs(queued("a 1.0"), queued("gone 1.0"))
	// The events of these never come: the farm believes to have seen them.
	r.upstream.Break("/pypi#", pypitest.Fault{Trouble: pypitest.Repeated})
	r.upstream.MustAdd(t, "-- a==2.0 --\n-- b==1.0 --\n")
	r.must(r.upstream.Remove("gone"))
	r.until("the serial has passed them", func() bool {
		err := r.store.SetSerial(t.Context(), r.upstream.Serial(""))
		return err == nil || errors.Is(err, farm.ErrConflict)
	})
	r.upstream.Mend("/pypi#")
	_, err := r.store.BeginWalk(t.Context(), walkNightly)
	r.must(err)
	wake(r.look)
	r.untilJobs(queued("a 1.0"), queued("a 2.0"), queued("b 1.0"))
	r.until("the walk has ended", func() bool { return r.walk(walkNightly).Ended != nil })
}

// TestWalkBesideOneThatCannotBegin: a walk ends when all of it is read, whatever another
// one's list does; and a list that is not asked for again yet is no new failure.
func TestWalkBesideOneThatCannotBegin(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	r.times.list, r.times.listMost = time.Hour, time.Hour
	for range 2 {
		w, err := r.store.BeginWalk(t.Context(), WalkBackfill)
		r.must(err)
		r.must(r.store.WalkListed(t.Context(), w.ID, store.ListedNames{Total: 30, Chosen: 30}))
		_, err = r.store.BeginWalk(t.Context(), walkNightly)
		r.must(err)
		r.upstream.Break("/simple/", pypitest.Fault{Trouble: pypitest.Status, Status: http.StatusServiceUnavailable})
		resting := r.upstream.Requests("/simple/") > 0
		if err := r.walkRound(t.Context()); (err == nil) != resting {
			t.Errorf("resting %v: %v", resting, err)
		}
		if w := r.walk(WalkBackfill); w.Ended == nil || w.Trouble != "" {
			t.Errorf("the backfill is %+v", w)
		}
		if w := r.walk(walkNightly); w.Ended != nil || !strings.Contains(w.Trouble, "503") || strings.Contains(w.Trouble, "again in") {
			t.Errorf("the nightly walk is %+v", w)
		}
	}
	if n := r.upstream.Requests("/simple/"); n != 1 {
		t.Errorf("asked for %d times", n)
	}
}

// TestPagesWithoutSerials: where only the list of names has serials, a project counts as
// read up to the one for which it was read.
func TestPagesWithoutSerials(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	r.upstream.NoPageSerials(true)
	r.upstream.MustAdd(t, "-- a==1.0 --\n-- b==1.0 --\n")
	night := func(chosen int64) {
		t.Helper()
		_, err := r.store.BeginWalk(t.Context(), walkNightly)
		r.must(err)
		wake(r.look)
		r.until("the walk has ended", func() bool { return r.walk(walkNightly).Ended != nil })
		if w := r.walk(walkNightly); w.Chosen != chosen {
			t.Errorf("the walk is %+v, want %d chosen", w, chosen)
		}
	}
	stop := r.start()
	r.until("the farm follows", func() bool { return r.following().Source == sourceChangelog })
	_, err := r.store.BeginWalk(t.Context(), WalkBackfill)
	r.must(err)
	wake(r.look)
	r.untilJobs(queued("a 1.0"), queued("b 1.0"))
	night(0)
	stop()
	r.upstream.MustAdd(t, "-- a==2.0 --\n")
	r.must(r.store.SetSerial(t.Context(), r.upstream.Serial(""))) // the event is missed
	r.start()
	night(1)
	r.untilJobs(queued("a 1.0"), queued("a 2.0"), queued("b 1.0"))
	night(0)
}

// TestListThatLacksTooMuch: a list without most of what the farm knows takes
// nothing away.
func TestListThatLacksTooMuch(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	r.db.Exec(`insert into packages (name, display, followed, serial, read_at) select 'p' || n, 'p' || n, true, 1, now() from generate_series(1, 300) n`)
	r.begun()
	r.upstream.MustAdd(t, "-- a==1.0 --\n")
	begun, err := r.store.BeginWalk(t.Context(), walkNightly)
	r.must(err)
	r.start()
	r.until("people are told", func() bool { return r.faulty("names-missing") > 0 })
	// That one: the follower's own night may begin as this one ends.
	walk := func() store.Walk {
		all, err := r.store.Walks(t.Context(), 100)
		r.must(err)
		return all[slices.IndexFunc(all, func(w store.Walk) bool { return w.ID == begun.ID })]
	}
	r.until("the walk has ended", func() bool { return walk().Ended != nil })
	r.untilJobs(queued("a 1.0"))
	st, err := r.store.Status(t.Context())
	r.must(err)
	if st.Packages != 301 {
		t.Errorf("%d packages are left", st.Packages)
	}
	if w := walk(); !strings.Contains(w.Trouble, "300") {
		t.Errorf("the walk's trouble is %q", w.Trouble)
	}
}

// TestAged: what was not read for long is read again, and only that.
func TestAged(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	r.begun()
	r.upstream.MustAdd(t, "-- a==1.0 --\n-- b==1.0 --\n")
	stop := r.start()
	r.untilJobs(queued("a 1.0"), queued("b 1.0"))
	r.until("all is read", func() bool { left, err := r.store.ReadingLeft(t.Context()); return err == nil && len(left) == 0 })
	stop()
	// Archived: no event tells it.
	r.must(r.upstream.SetStatus("a", pypitest.StatusArchived, "it is finished"))
	r.db.Exec(`update packages set read_at = now() - interval '31 days' where name = 'a'`)
	before := r.upstream.Requests("/simple/b/")
	r.start()
	r.until("its status is known", func() bool {
		known, err := r.store.KnownProjects(t.Context(), []string{"a"})
		return err == nil && known["a"].Status == "archived" && time.Since(known["a"].Read) < time.Hour
	})
	if n := r.upstream.Requests("/simple/b/"); n != before {
		t.Error("the other was asked for too")
	}
}

func TestNightDue(t *testing.T) {
	t.Parallel()
	at := func(text string) time.Time {
		tm, err := time.Parse("2006-01-02 15:04", text)
		if err != nil {
			t.Fatal(err)
		}
		return tm
	}
	for _, c := range []struct {
		now, last string
		want      bool
	}{
		{"2026-03-02 03:29", "2026-03-01 03:31", false},
		{"2026-03-02 03:31", "2026-03-01 03:31", true},
		{"2026-03-02 03:31", "2026-03-02 03:30", false},
		{"2026-03-02 23:00", "2026-03-02 03:40", false},
		{"2026-03-02 23:00", "2026-02-20 03:40", true}, // it was off that night
		{"2026-03-02 00:10", "2026-03-01 03:40", false},
		{"2026-03-02 03:40", "", true}, // the first night of all
		{"2026-03-02 12:00", "", false},
		{"2026-03-02 03:00", "", false},
	} {
		walks := []store.Walk{{Kind: WalkBackfill, Began: at(c.now)}}
		if c.last != "" {
			walks = append(walks, store.Walk{Kind: walkNightly, Began: at(c.last)}, store.Walk{Kind: walkNightly, Began: at("2020-01-01 00:00")})
		}
		if got := nightDue(at(c.now), 3*time.Hour+30*time.Minute, walks); got != c.want {
			t.Errorf("at %s, the last at %q: %v", c.now, c.last, got)
		}
	}
}
