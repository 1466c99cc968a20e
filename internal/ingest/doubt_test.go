package ingest

import (
	"net/http"
	"testing"

	"pinwheel/internal/pypi"
	"pinwheel/internal/pypitest"
	"pinwheel/internal/store"
)

// TestCreatedAnew: a project that is removed and at once created anew is there, though
// a cache remembers for a while that it was not, and the farm still has the former one.
func TestCreatedAnew(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	r.begun()
	r.upstream.MustAdd(t, "-- demo==1.0 --\n")
	stop := r.start()
	r.untilJobs(queued("demo 1.0"))
	stop()
	r.must(r.upstream.Remove("demo"))
	r.upstream.Stale("demo", 3)
	r.upstream.MustAdd(t, "-- demo==2.0 --\n")
	r.start()
	r.untilJobs(queued("demo 2.0"))
}

// TestGoneAfterAll: that a project is not there is believed in the end, whatever was
// announced of it.
func TestGoneAfterAll(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	r.begun()
	r.upstream.MustAdd(t, "-- demo==1.0 --\n-- other==1.0 --\n")
	r.start()
	r.untilJobs(queued("demo 1.0"), queued("other 1.0"))
	asked := r.upstream.Requests("/simple/demo/")
	r.upstream.Break("/simple/demo/", pypitest.Fault{Trouble: pypitest.Status, Status: http.StatusNotFound})
	r.upstream.Announce(pypitest.Event{Name: "demo", Action: "docupdate"})
	r.untilJobs(queued("other 1.0"))
	if n := r.upstream.Requests("/simple/demo/") - asked; n != 7 { // as often as of one that nobody knows, and twice
		t.Errorf("asked for %d times", n)
	}
}

// TestOutageBeforeOldPages: an upstream that was away for long makes a cache's page no
// truer than it is at other times.
func TestOutageBeforeOldPages(t *testing.T) {
	t.Parallel()
	const away = 9
	for name, before := range map[string]string{"no page": "", "an old page": "-- demo==1.0 --\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, v7)
			r.begun()
			r.upstream.MustAdd(t, before+"-- other==1.0 --\n")
			r.start()
			want := []string{queued("other 1.0")}
			if before != "" {
				want = append(want, queued("demo 1.0"))
			}
			r.untilJobs(want...)
			r.upstream.Stale("demo", away+2)
			r.upstream.Break("/simple/demo/", pypitest.Fault{Trouble: pypitest.Status, Status: http.StatusInternalServerError, Times: away})
			r.upstream.MustAdd(t, "-- demo==2.0 --\n")
			r.untilJobs(append(want, queued("demo 2.0"))...)
		})
	}
}

// TestOldPageIsNotNew: a page that stays old for so long that it is taken as it is
// does not count as what was announced: the next walk sees that it is not, also if all
// that was heard of it is that it is unchanged.
func TestOldPageIsNotNew(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	r.begun()
	r.upstream.MustAdd(t, "-- demo==1.0 --\n")
	r.start()
	r.untilJobs(queued("demo 1.0"))
	r.upstream.Stale("demo", len(r.times.stale)+1)
	r.upstream.MustAdd(t, "-- demo==2.0 --\n")
	r.until("it is given up", func() bool {
		if r.following().Serial != r.upstream.Serial("") { // first: what comes after the list was looked at is not on it
			return false
		}
		left, err := r.store.ReadingLeft(t.Context())
		return err == nil && len(left) == 0
	})
	r.untilJobs(queued("demo 1.0"))
	_, err := r.store.BeginWalk(t.Context(), walkNightly)
	r.must(err)
	wake(r.look)
	r.untilJobs(queued("demo 1.0"), queued("demo 2.0"))
}

// TestRestored: of an upstream that was restored from a backup the projects' own serials
// went down too. What the list of names and the page agree on is believed, but not
// sooner than an old page is: what was lost goes, and what is new since then is found.
func TestRestored(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	r.upstream.StartAt(1000)
	r.begun()
	r.upstream.MustAdd(t, "-- demo==1.0 --\n-- same==1.0 --\n")
	r.must(r.upstream.Create("bare"))
	r.upstream.Backup()
	r.upstream.MustAdd(t, "-- demo==2.0 --\n-- demo==3.0 --\n-- bare==1.0 --\n-- born==1.0 --\n")
	r.upstream.Announce(pypitest.Event{Name: "same", Action: "docupdate"})
	r.start()
	r.untilJobs(queued("demo 1.0"), queued("demo 2.0"), queued("demo 3.0"), queued("same 1.0"), queued("bare 1.0"), queued("born 1.0"))
	r.must(r.upstream.Restore())
	r.upstream.MustAdd(t, "-- demo==1.1 --\n")
	asked := r.upstream.Requests("/simple/demo/")
	night := func() {
		_, err := r.store.BeginWalk(t.Context(), walkNightly)
		r.must(err)
		wake(r.look)
		r.until("the walk has ended", func() bool { return r.walk(walkNightly).Ended != nil })
	}
	night()
	r.untilJobs(queued("demo 1.0"), queued("demo 1.1"), queued("same 1.0"))
	if n := r.upstream.Requests("/simple/demo/") - asked; n != len(r.times.stale)+1 {
		t.Errorf("asked for %d times", n)
	}
	r.until("nothing is left", func() bool { return len(r.troubled()) == 0 })
	names := []string{"demo", "same", "bare"}
	known, err := r.store.KnownProjects(t.Context(), names)
	r.must(err)
	for _, name := range names {
		if got, want := known[name].Serial, r.upstream.Serial(name); got != want {
			t.Errorf("%s: the serial is %d, want %d", name, got, want)
		}
	}
	if night(); r.walk(walkNightly).Chosen != 0 {
		t.Errorf("the next walk is %+v", r.walk(walkNightly))
	}
}

// TestBackAndForth: a page that was believed in spite of its serial is written also if
// others change the project's jobs meanwhile, but not over what is newer than all that
// was known.
func TestBackAndForth(t *testing.T) {
	t.Parallel()
	at := func(known, page int64) *task {
		return &task{known: store.Known{ProjectFacts: store.ProjectFacts{Serial: known}}, project: &pypi.Project{Serial: page}}
	}
	for _, c := range []struct {
		was, page, is int64
		want          bool
	}{{9, 9, 9, false}, {9, 9, 10, true}, {9, 10, 10, false}, {9, 5, 9, false}, {9, 5, 10, true}, {0, 5, 9, true}} {
		if got := outdated(at(c.is, c.page), at(c.was, c.page).known); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// TestGoneBeforeWritten: that a project is gone does not undo what another master has
// read of it since.
func TestGoneBeforeWritten(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	r.begun()
	r.upstream.MustAdd(t, "-- demo==1.0 --\n")
	stop := r.start()
	r.untilJobs(queued("demo 1.0"))
	stop()
	known, err := r.store.KnownProjects(t.Context(), []string{"demo"})
	r.must(err)
	gone := &task{reading: store.Reading{Name: "demo", Gone: true}, known: knownAs(known, "demo"), gone: true}
	r.upstream.MustAdd(t, "-- demo==2.0 --\n")
	stop = r.start()
	r.untilJobs(queued("demo 1.0"), queued("demo 2.0"))
	stop()
	left, err := r.settle(t.Context(), []*task{gone})
	r.must(err)
	if len(left) > 0 {
		t.Error("not settled")
	}
	r.untilJobs(queued("demo 1.0"), queued("demo 2.0"))
}

func TestInARow(t *testing.T) {
	t.Parallel()
	for trouble, want := range map[string]int{
		"": 0, oldAnswer: 3, oldAnswer + ": GET …: 404": 3, "GET …: 500, not " + oldAnswer: 0, notThere: 0,
	} {
		if got := inARow(store.Reading{Trouble: trouble, Tries: 3}, oldAnswer); got != want {
			t.Errorf("%q: %d, want %d", trouble, got, want)
		}
	}
}
