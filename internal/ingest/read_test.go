package ingest

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"pinwheel/internal/farmtest"
	"pinwheel/internal/pypi"
	"pinwheel/internal/pypitest"
	"pinwheel/internal/store"
)

// queued is a job in the words of rig.jobs.
func queued(release string) string { return release + " " + v7 + " queued" }

// TestTroubles: whatever the upstream does over one project, over its changelog or
// over everything, the loops go on, the fault is counted, nothing wrong is
// written, and all is well when the upstream is.
func TestTroubles(t *testing.T) {
	t.Parallel()
	before := []string{queued("bad 1.0"), queued("going 1.0"), queued("good 1.0")}
	after := []string{queued("bad 1.0"), queued("bad 2.0"), queued("good 1.0"), queued("good 2.0")}
	faults := []pypitest.Fault{
		{Trouble: pypitest.Status, Status: http.StatusTooManyRequests, RetryAfter: "1"},
		{Trouble: pypitest.Status, Status: http.StatusInternalServerError},
		{Trouble: pypitest.Status, Status: http.StatusForbidden},
		{Trouble: pypitest.Truncated}, {Trouble: pypitest.Cut}, {Trouble: pypitest.Stalled}, {Trouble: pypitest.Silent},
		{Trouble: pypitest.Lying}, {Trouble: pypitest.Dropped}, {Trouble: pypitest.Circle}, {Trouble: pypitest.Bomb},
	}
	for _, c := range []struct {
		place, prefix string
		meanwhile     []string
	}{
		{"project", "/simple/bad/", []string{queued("bad 1.0"), queued("good 1.0"), queued("good 2.0")}},
		{"changelog", "/pypi#", after}, // the list of names tells the same
		{"everything", "/", before},
	} {
		for _, fault := range faults {
			t.Run(fmt.Sprint(c.place, "/", fault.Trouble, fault.Status), func(t *testing.T) {
				t.Parallel()
				timeout := 20 * time.Second
				if fault.Trouble == pypitest.Stalled || fault.Trouble == pypitest.Silent {
					timeout = impatient
				}
				r := newRigWithin(t, timeout, v7)
				r.begun()
				r.upstream.MustAdd(t, "-- bad==1.0 --\n-- good==1.0 --\n-- going==1.0 --\n")
				r.start()
				r.untilJobs(before...)
				r.upstream.Break(c.prefix, fault)
				r.upstream.MustAdd(t, "-- bad==2.0 --\n-- good==2.0 --\n")
				r.must(r.upstream.Remove("going"))
				r.untilJobs(c.meanwhile...)
				r.until("the fault is counted, and again", func() bool { return r.faulty("") > 1 })
				r.until("people can read what it was", func() bool {
					r.must(r.faults.flush(t.Context()))
					list, err := r.store.Faults(t.Context())
					return err == nil && slices.ContainsFunc(list, func(f store.UpstreamFault) bool { return f.Detail != "" })
				})
				r.untilJobs(c.meanwhile...)
				r.upstream.Mend(c.prefix)
				r.untilJobs(after...)
				r.until("nothing is left", func() bool { return len(r.troubled()) == 0 && r.following().Trouble == "" })
			})
		}
	}
}

// TestHarmlessTroubles: what looks bad and is not.
func TestHarmlessTroubles(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	r.begun()
	r.upstream.Break("/simple/big/", pypitest.Fault{Trouble: pypitest.Swollen})
	r.upstream.MustAdd(t, "-- big==1.0 --\n")
	r.upstream.Announce(pypitest.Event{Name: "a\x01b", Action: "new release"}, pypitest.Event{Name: "nobody", Action: "new release"})
	r.start()
	r.untilJobs(queued("big 1.0"))
	r.until("nothing is left", func() bool { return len(r.troubled()) == 0 })
	if r.faulty(string(pypi.BadName)) == 0 {
		t.Error("the bad name is not counted")
	}
}

// TestLargePage: a page that is too big to be read beside others is read by
// itself.
func TestLargePage(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	small := pypi.New(pypi.Config{Simple: r.upstream.URL(), Tries: 1, MaxBytes: 10_000})
	r.cfg.Large, r.cfg.Index = r.cfg.Index, small
	r.begun()
	r.upstream.Break("/simple/big/", pypitest.Fault{Trouble: pypitest.Swollen, Bytes: 20_000})
	r.upstream.MustAdd(t, "-- big==1.0 --\n-- small==1.0 --\n")
	r.start()
	r.untilJobs(queued("big 1.0"), queued("small 1.0"))
}

// TestNotFound: a project that is gone without a word is believed to be when it was
// not there twice; one 404 is a cache's.
func TestNotFound(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	r.begun()
	r.upstream.MustAdd(t, "-- gone==1.0 --\n-- stays==1.0 --\n")
	r.start()
	r.untilJobs(queued("gone 1.0"), queued("stays 1.0"))
	notFound := pypitest.Fault{Trouble: pypitest.Status, Status: http.StatusNotFound}
	r.upstream.Break("/simple/gone/", notFound)
	notFound.Times = 1
	r.upstream.Break("/simple/stays/", notFound)
	asked := r.upstream.Requests("/simple/stays/")
	r.db.Exec(`insert into reading (name, urgency) values ('gone', 40), ('stays', 40)`)
	r.untilJobs(queued("stays 1.0"))
	r.until("the other was asked for twice", func() bool { return r.upstream.Requests("/simple/stays/") >= asked+2 && len(r.troubled()) == 0 })
	r.untilJobs(queued("stays 1.0"))
}

// TestFaultOrAnswer: that what was removed is not there is no fault of the upstream, nor
// that it has no details; that something is missing without a word is one.
func TestFaultOrAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	r.upstream.HTMLOnly(true)
	r.upstream.NoDetails(true)
	r.begun()
	r.upstream.MustAdd(t, "-- gone==1.0 --\n-- lost==1.0 --\n-- stays==1.0 --\n")
	r.start()
	r.untilJobs(queued("gone 1.0"), queued("lost 1.0"), queued("stays 1.0"))
	r.must(r.upstream.Remove("gone"))
	r.untilJobs(queued("lost 1.0"), queued("stays 1.0"))
	if n := r.faulty(""); n > 0 {
		t.Errorf("%d faults of an upstream without one", n)
	}
	r.upstream.Break("/simple/lost/", pypitest.Fault{Trouble: pypitest.Status, Status: http.StatusNotFound})
	r.db.Exec(`insert into reading (name, urgency) values ('lost', 40)`)
	r.untilJobs(queued("stays 1.0"))
	if n := r.faulty(string(pypi.NotFound)); n != 2 {
		t.Errorf("%d faults of an upstream that lost something, at two looks", n)
	}
}

// TestPageForDetails: an index that shows a page for people where its JSON API should be
// is followed all the same, and people read where that is.
func TestPageForDetails(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	r.upstream.HTMLOnly(true)
	r.upstream.Break("/pypi/", pypitest.Fault{Trouble: pypitest.Lying})
	r.begun()
	r.upstream.MustAdd(t, "-- demo==1.0 --\n")
	r.start()
	r.untilJobs(queued("demo 1.0"))
	if r.faulty(string(pypi.NotJSON)) == 0 {
		t.Error("it is not counted")
	}
	list, err := r.store.Faults(t.Context())
	r.must(err)
	if len(list) != 1 || !strings.Contains(list[0].Detail, "/pypi/demo/json: ") {
		t.Errorf("%+v", list)
	}
}

// TestAllNotFound: an upstream that has lost its projects does not take ours.
func TestAllNotFound(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	r.mass = newAllowance(2, time.Hour)
	r.begun()
	var want []string
	for i := range 6 {
		r.upstream.MustAdd(t, fmt.Sprintf("-- p%d==1.0 --\n", i))
		want = append(want, queued(fmt.Sprintf("p%d 1.0", i)))
	}
	r.start()
	r.untilJobs(want...)
	r.upstream.Break("/simple/", pypitest.Fault{Trouble: pypitest.Status, Status: http.StatusNotFound})
	r.db.Exec(`insert into reading (name, urgency) select name, 40 from packages`)
	r.until("two are gone, and the others stay", func() bool { return len(r.jobs()) == 4 && r.faulty("names-missing") >= 4 })
}

// TestNobodyKnowsIt: what a name leads to that the upstream does not have is
// forgotten after some tries.
func TestNobodyKnowsIt(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	r.begun()
	_, err := r.store.Announce(t.Context(), []store.Reading{{Name: "nobody", Serial: 1, Urgency: 10}}, 0)
	r.must(err)
	r.start()
	r.until("it is asked for again and again, then forgotten", func() bool {
		left, err := r.store.ReadingLeft(t.Context())
		return err == nil && len(left) == 0
	})
	if n := r.upstream.Requests("/simple/nobody/"); n != 6 {
		t.Errorf("asked for %d times", n)
	}
}

// odd is an index that breaks its reader over one project.
type odd struct {
	Index
	heal chan struct{}
}

func (o odd) ProjectAt(ctx context.Context, name string, seen pypi.Seen, serial int64) (pypi.Project, error) {
	select {
	case <-o.heal:
	default:
		if name == "bad" {
			panic("a parser's index is out of range")
		}
	}
	return o.Index.ProjectAt(ctx, name, seen, serial)
}

// TestPanic: a project over which a parser breaks costs nobody else anything.
func TestPanic(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	heal := make(chan struct{})
	r.cfg.Index = odd{r.cfg.Index, heal}
	r.begun()
	r.upstream.MustAdd(t, "-- bad==1.0 --\n-- good==1.0 --\n")
	r.start()
	r.untilJobs(queued("good 1.0"))
	r.until("it is counted", func() bool { return r.faulty("panic") > 1 })
	if text := r.troubled()["bad"].Trouble; !strings.Contains(text, "breaks the parser") {
		t.Errorf("the trouble is %q", text)
	}
	close(heal)
	r.untilJobs(queued("bad 1.0"), queued("good 1.0"))
}

// TestRefusedRow: a project whose rows the database refuses does not keep the
// others of its batch from being written.
func TestRefusedRow(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	r.db.Exec(`alter table packages add constraint refused check (name <> 'bad')`)
	r.begun()
	var want []string
	for i := range 20 {
		r.upstream.MustAdd(t, fmt.Sprintf("-- p%d==1.0 --\n", i))
		want = append(want, queued(fmt.Sprintf("p%d 1.0", i)))
	}
	r.upstream.MustAdd(t, "-- bad==1.0 --\n")
	r.start()
	r.untilJobs(want...)
	r.until("it is counted", func() bool { return r.faulty("not-written") > 1 })
	r.db.Exec(`alter table packages drop constraint refused`)
	r.untilJobs(append(slices.Clone(want), queued("bad 1.0"))...)
}

// TestDatabaseAway: what happened upstream meanwhile is in the database when that
// is back.
func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	r.begun()
	r.upstream.MustAdd(t, "-- a==1.0 --\n")
	r.start()
	r.untilJobs(queued("a 1.0"))
	back := r.db.Absent()
	r.upstream.MustAdd(t, "-- b==1.0 --\n")
	if _, err := r.store.Following(t.Context()); err == nil {
		t.Error("the database is there")
	}
	back()
	r.until("both are queued", func() bool {
		jobs, err := r.store.Jobs(t.Context(), store.Selector{})
		return err == nil && len(jobs) == 2 // the first may still meet a dead connection
	})
}

// TestFollowedAfterwards: what somebody had asked for by hand is followed as a whole
// once a walk finds it, though its page has not changed.
func TestFollowedAfterwards(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	r.upstream.MustAdd(t, "-- demo==1.0 --\n-- demo==2.0 --\n")
	in := New(Config{Store: r.store, Upstream: r.client, Policy: r.cfg.Policy, Log: zerolog.Nop()})
	_, err := in.Add(t.Context(), Ask{Package: "demo", Versions: []string{"1.0"}, Actor: "test"})
	r.must(err)
	r.start()
	r.until("the farm follows", func() bool { return r.following().Source == sourceChangelog })
	r.untilJobs(queued("demo 1.0"))
	_, err = r.store.BeginWalk(t.Context(), WalkBackfill)
	r.must(err)
	wake(r.look)
	r.untilJobs(queued("demo 1.0"), queued("demo 2.0"))
}

// TestStopAndGo: what was under way at an end is read by the next start at once,
// long before its lease ends.
func TestStopAndGo(t *testing.T) {
	t.Parallel()
	r := newRigWithin(t, impatient, v7)
	r.begun()
	r.upstream.Break("/simple/", pypitest.Fault{Trouble: pypitest.Silent})
	r.upstream.MustAdd(t, "-- a==1.0 --\n-- b==1.0 --\n")
	stop := r.start()
	farmtest.Eventually(t, "both are asked for", func() bool {
		return r.upstream.Requests("/simple/a/") > 0 && r.upstream.Requests("/simple/b/") > 0
	})
	stop()
	r.upstream.Mend("/simple/")
	r.times.lease = time.Hour
	r.start()
	r.untilJobs(queued("a 1.0"), queued("b 1.0"))
}

func TestHealth(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	h := &health{now: func() time.Time { return now }, pause: growing{first: 10 * time.Second, most: time.Minute}}
	for i := range awayAfter - 1 {
		if away, _ := h.heard(false, 0); away {
			t.Fatalf("away after %d", i+1)
		}
	}
	if n, _ := h.allow(5, 3); n != 5 {
		t.Errorf("%d may be asked for while it is not away", n)
	}
	if away, _ := h.heard(false, 0); !away {
		t.Error("not away")
	}
	n, wait := h.allow(8, 0)
	if n != 0 || wait < 5*time.Second || wait > 15*time.Second {
		t.Errorf("away: %d, then %v", n, wait)
	}
	h.heard(false, 0) // one that was under way
	if _, again := h.allow(8, 0); again != wait {
		t.Errorf("the pause is %v now, was %v", again, wait)
	}
	now = now.Add(wait)
	if n, _ := h.allow(8, 0); n != 1 {
		t.Errorf("%d probes", n)
	}
	if n, wait := h.allow(7, 1); n != 0 || wait != 0 {
		t.Errorf("while one is under way: %d, %v", n, wait)
	}
	if away, _ := h.heard(false, 0); away {
		t.Error("told to be away twice")
	}
	if n, wait := h.allow(8, 0); n != 0 || wait < 15*time.Second {
		t.Errorf("after a failed probe: %d, %v", n, wait)
	}
	h.heard(true, 0)
	if n, _ := h.allow(8, 0); n != 8 {
		t.Errorf("back, and %d may be asked for", n)
	}
}

func TestAllowance(t *testing.T) {
	t.Parallel()
	a := newAllowance(2, time.Hour)
	now := time.Unix(0, 0)
	for i, want := range []bool{true, true, false} {
		if a.take(now.Add(time.Duration(i)*time.Minute)) != want {
			t.Errorf("the %d. is not %v", i+1, want)
		}
	}
	// Who was refused comes again, and is refused for as long as there are as many.
	for i := range 10 {
		if a.take(now.Add(time.Duration(i+1) * 29 * time.Minute)) {
			t.Errorf("open while it is asked as often: %d", i)
		}
	}
	late := now.Add(10 * time.Hour)
	if !a.take(late) || !a.take(late.Add(time.Hour)) || !a.take(late.Add(90*time.Minute)) || a.take(late.Add(90*time.Minute)) {
		t.Error("after some rest there are two in each hour")
	}
}

func TestPauses(t *testing.T) {
	t.Parallel()
	for tries, want := range []time.Duration{5, 10, 20, 40, 60, 60} {
		if got := doubled(5, 60, tries); got != want {
			t.Errorf("after %d tries %d, want %d", tries, got, want)
		}
	}
	if got := doubled(5*time.Second, time.Hour, 1000); got != time.Hour {
		t.Error(got)
	}
	if got := short("a\x00b\nc\xff" + strings.Repeat("ü", 1000)); !strings.HasPrefix(got, "a b c?ü") || len(got) > 500 {
		t.Errorf("%q", got)
	}
}
