package ingest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"pinwheel/internal/farmtest"
	"pinwheel/internal/pypitest"
	"pinwheel/internal/store"
)

// TestNamedPauses: a rate limit that names a pause is one for all, and so is what an upstream
// that is away names; but one project that always answers so does not stop the farm.
func TestNamedPauses(t *testing.T) {
	t.Parallel()
	const most = time.Hour
	for _, c := range []struct {
		name   string
		status int
		after  string
		tries  int // of the projects before
		asked  int // projects
		free   int
		wait   time.Duration
	}{
		{"a rate limit", http.StatusTooManyRequests, "1800", 0, 1, 0, 30 * time.Minute},
		{"of a day", http.StatusTooManyRequests, "86400", 0, 1, 0, most},
		{"without a pause", http.StatusTooManyRequests, "", 0, 1, 8, 0},
		{"of one project, again", http.StatusTooManyRequests, "1800", 1, 1, 8, 0},
		{"one that is busy", http.StatusServiceUnavailable, "1800", 0, 1, 8, 0},
		{"all are busy", http.StatusServiceUnavailable, "1800", 0, awayAfter, 0, 30 * time.Minute},
		{"all are limited, again", http.StatusTooManyRequests, "1800", 1, awayAfter, 0, 30 * time.Minute},
		{"all are broken", http.StatusInternalServerError, "1800", 0, awayAfter, 0, 10 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			now := time.Unix(0, 0)
			r.now = func() time.Time { return now }
			r.times.unreadMost, r.times.away, r.times.awayMost = most, 10*time.Second, 10*time.Minute
			r.upstream.Break("/simple/", pypitest.Fault{Trouble: pypitest.Status, Status: c.status, RetryAfter: c.after})
			reader := r.newReader()
			for range c.asked {
				reader.fetch(t.Context(), &task{
					reading: store.Reading{Name: "demo", Tries: c.tries}, known: store.Known{ProjectFacts: store.ProjectFacts{Name: "demo"}},
				})
			}
			free, wait := reader.health.allow(8, 0)
			if free != c.free || wait < c.wait-c.wait/4 || wait > c.wait+c.wait/4 {
				t.Errorf("%d may be asked for, or one in %v; want %d, %v", free, wait, c.free, c.wait)
			}
			now = now.Add(wait)
			if free, wait := reader.health.allow(8, 0); free == 0 || wait != 0 {
				t.Errorf("later %d may be asked for, or one in %v", free, wait)
			}
		})
	}
}

// TestLimitOutlastsAnswers: what was under way when a rate limit was told, and is answered,
// does not end it.
func TestLimitOutlastsAnswers(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	h := &health{now: func() time.Time { return now }, pause: growing{first: time.Second, most: time.Minute}}
	if !h.close(time.Hour) || h.close(time.Minute) {
		t.Error("it closes once")
	}
	h.heard(true, 0)
	for _, busy := range []int{0, 3} {
		if n, wait := h.allow(8, busy); n != 0 || wait != time.Hour {
			t.Errorf("%d busy: %d, then %v", busy, n, wait)
		}
	}
}

// TestNoticeForAll: an index that answers every page with a notice is away, though
// each answer has status 200; when it is back, all is read, however long the pauses
// have grown.
func TestNoticeForAll(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	r.begun()
	r.times.unread, r.times.badMost, r.times.away, r.times.awayMost = time.Hour, 24*time.Hour, 50*time.Millisecond, 50*time.Millisecond
	var fixtures strings.Builder
	var want []string
	const projects = 3 * awayAfter
	for i := range projects {
		fmt.Fprintf(&fixtures, "-- p%02d==1.0 --\n", i)
		want = append(want, queued(fmt.Sprintf("p%02d 1.0", i)))
	}
	r.upstream.Break("/simple/", pypitest.Fault{Trouble: pypitest.Lying})
	r.upstream.MustAdd(t, fixtures.String())
	r.start()
	farmtest.Eventually(t, "many are put off for hours", func() bool { return len(r.troubled()) >= awayAfter })
	for name, x := range r.troubled() {
		if x.Due < time.Hour {
			t.Errorf("%s is due in %v", name, x.Due)
		}
	}
	r.upstream.Mend("/simple/")
	// The rest is tried one by one, and the first answer tells.
	_, err := r.db.Store.Announce(t.Context(), []store.Reading{{Name: "p00", Urgency: 10, Follow: true, Serial: 1}}, r.upstream.Serial(""))
	r.must(err)
	r.until("those that are left are due", func() bool { return len(r.jobs()) >= projects-2*awayAfter-r.cfg.Requests })
	r.db.Exec(`update reading set not_before = now() where trouble <> '' and not_before < now() + interval '1 minute'`) // not to wait half a minute
	r.untilJobs(want...)
}
