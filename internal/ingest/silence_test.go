package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"pinwheel/internal/farm"
	"pinwheel/internal/farmtest"
	"pinwheel/internal/pypi"
	"pinwheel/internal/pypitest"
)

// newRig waits for an answer for as long as a busy machine may take, since tests count the
// requests.
func newRig(t testing.TB, targets ...string) *rig {
	t.Helper()
	return newRigWithin(t, 20*time.Second, targets...)
}

// impatient is for an upstream that says nothing.
const impatient = 500 * time.Millisecond

// oldFront is an index behind a front that keeps the answer of a day without events.
type oldFront struct{ Index }

func (o oldFront) Changes(_ context.Context, since int64) (pypi.Changes, error) {
	return pypi.Changes{Last: since}, nil
}

// TestSilentChangelog: a changelog that has more than it tells is as good as none.
func TestSilentChangelog(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	r.cfg.Index = oldFront{r.cfg.Index}
	r.begun()
	r.upstream.MustAdd(t, "-- demo==1.0 --\n")
	r.start()
	r.untilJobs(queued("demo 1.0"))
	if r.faulty("silent-changelog") == 0 {
		t.Error("nobody hears of it")
	}
}

// TestSilence: only what is so at two looks is a silence, and it lasts until the
// serial moves.
func TestSilence(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.upstream.Announce(pypitest.Event{Name: "demo", Action: "create"})
	p := &poller{Follower: r.Follower}
	last := r.upstream.Serial("")
	look := func(since int64, want bool) {
		t.Helper()
		err := p.compare(t.Context(), since, pypi.Changes{Last: since})
		if got := err != nil && strings.Contains(err.Error(), fmt.Sprintf("nothing after serial %d", since)); got != want {
			t.Errorf("after %d of %d: %v", since, last, err)
		}
	}
	look(last, false)
	look(last-1, false)
	look(last-1, true)
	r.times.behindCheck = time.Hour
	look(last-1, true)
	look(last, false)
	r.times.behindCheck = 0
	look(last-1, false)
	r.must(p.compare(t.Context(), last-1, pypi.Changes{Last: last}))
	look(last-1, false)
}

// TestAnswersAgain: the log tells once that a changelog is back, as it tells that it is away.
func TestAnswersAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.begun()
	var out bytes.Buffer
	r.log = zerolog.New(&out)
	p := &poller{Follower: r.Follower, good: r.now()}
	round := func() {
		p.retry = time.Time{}
		p.round(t.Context())
	}
	round()
	r.upstream.Break("/pypi#", pypitest.Fault{Trouble: pypitest.Status, Status: http.StatusServiceUnavailable})
	round()
	round()
	r.upstream.Mend("/pypi#")
	round()
	round()
	for text, n := range map[string]int{"the changelog does not answer": 2, "the changelog answers again": 1} {
		if got := strings.Count(out.String(), text); got != n {
			t.Errorf("%q is told %d times, want %d:\n%s", text, got, n, out.String())
		}
	}
}

// TestGapWaits: while neither changelog nor list answers, people are told what the walk
// in place of the changelog waits for; when either does, that is no trouble any more.
func TestGapWaits(t *testing.T) {
	t.Parallel()
	for _, back := range []string{"/pypi#", "/simple/"} {
		r := newRig(t)
		r.times.list, r.times.listMost = time.Nanosecond, time.Nanosecond // the list may be asked for again at once
		r.begun()
		p := &poller{Follower: r.Follower}
		round := func() {
			p.retry, p.good = time.Time{}, time.Time{}
			p.round(t.Context())
		}
		away := pypitest.Fault{Trouble: pypitest.Status, Status: http.StatusServiceUnavailable}
		r.upstream.Break("/pypi#", away)
		r.upstream.Break("/simple/", away)
		round()
		if w := r.walk(walkGap); w.ID == 0 || w.Ended != nil || !strings.Contains(w.Trouble, "/simple/: ") || !strings.Contains(w.Trouble, "503") {
			t.Errorf("all away: %+v", w)
		}
		r.upstream.Mend(back)
		round()
		if w := r.walk(walkGap); w.Trouble != "" || (w.Ended == nil) == (w.Listed == nil) {
			t.Errorf("%s is back: %+v", back, w)
		}
	}
}

// leaping is an index whose changelog has one serial that cannot be.
type leaping struct{ Index }

func (l leaping) Changes(ctx context.Context, since int64) (pypi.Changes, error) {
	c, err := l.Index.Changes(ctx, since)
	c.Last = max(c.Last, 1<<60)
	return c, err
}

// TestSerialLeaps: a serial beyond the last one is not followed, for there is no way
// back; the names are compared meanwhile.
func TestSerialLeaps(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	r.begun()
	usual := r.cfg.Index
	r.cfg.Index = leaping{usual}
	r.upstream.MustAdd(t, "-- demo==1.0 --\n")
	stop := r.start()
	r.untilJobs(queued("demo 1.0"))
	stop()
	if at := r.following(); at.Serial > r.upstream.Serial("") || r.faulty("serial-leap") == 0 {
		t.Errorf("%+v", at)
	}
	r.cfg.Index = usual
	r.upstream.MustAdd(t, "-- demo==2.0 --\n")
	r.start()
	r.untilJobs(queued("demo 1.0"), queued("demo 2.0"))
}

// TestNewForSomeTime: a release that has become old loses its place among the new
// ones: by the clock its project is read again, though its page is what it was.
func TestNewForSomeTime(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	var later atomic.Int64
	r.now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	r.begun()
	r.upstream.MustAdd(t, "-- demo==1.0 --\nuploaded: "+time.Now().UTC().Format(time.RFC3339)+"\n")
	r.start()
	r.untilJobs(queued("demo 1.0"))
	priority := func() farm.Priority {
		known, err := r.store.KnownProjects(t.Context(), []string{"demo"})
		r.must(err)
		return known["demo"].Releases[0].Jobs[0].Priority
	}
	if got := priority(); got != farm.PriorityNew {
		t.Fatalf("priority %d", got)
	}
	later.Store(int64(15 * 24 * time.Hour))
	r.until("it is one of many", func() bool { return priority() == farm.PriorityBacklog })
}

// TestProjectLeftAlone: a project whose page names a pause waits for so long.
func TestProjectLeftAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	r.times.unreadMost = time.Hour
	r.begun()
	r.upstream.Break("/simple/demo/", pypitest.Fault{Trouble: pypitest.Status, Status: http.StatusTooManyRequests, RetryAfter: "600"})
	r.upstream.MustAdd(t, "-- demo==1.0 --\n")
	r.start()
	farmtest.Eventually(t, "it waits", func() bool { return len(r.troubled()) == 1 }) // and so would any other
	if due := r.troubled()["demo"].Due; due < 8*time.Minute || due > 12*time.Minute {
		t.Errorf("asked for again in %v", due)
	}
}

// TestAnotherUpstream: an index whose serials are lower is followed like the first
// one, from the time on when the operator names it; what it has and the other had not
// is found out, and the other way round.
func TestAnotherUpstream(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	r.upstream.StartAt(1000)
	r.cfg.Upstream = "first"
	r.begun()
	r.upstream.MustAdd(t, "-- demo==1.0 --\n-- demo==1.1 --\n")
	stop := r.start()
	r.untilJobs(queued("demo 1.0"), queued("demo 1.1"))
	stop()
	second := pypitest.New(t)
	second.MustAdd(t, "-- demo==1.0 --\n-- demo==2.0 --\n")
	cfg, times, idle := r.cfg, r.times, r.idle
	cfg.Upstream, cfg.Leaves = "second", "first"
	cfg.Index, cfg.Large = pypi.New(pypi.Config{Simple: second.URL(), Tries: 1, Pause: time.Millisecond}), nil
	mistaken := cfg
	mistaken.Leaves = ""
	if err := NewFollower(mistaken).Run(t.Context()); !errors.Is(err, farm.ErrConflict) {
		t.Errorf("a follower of an index that nobody meant ends with %v", err)
	}
	r.Follower = NewFollower(cfg)
	r.times, r.idle, r.upstream = times, idle, second
	r.start()
	r.untilJobs(queued("demo 1.0"), queued("demo 2.0"))
	second.MustAdd(t, "-- demo==3.0 --\n")
	r.untilJobs(queued("demo 1.0"), queued("demo 2.0"), queued("demo 3.0"))
}
