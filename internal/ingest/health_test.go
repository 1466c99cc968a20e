package ingest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pinwheel/internal/farmtest"
	"pinwheel/internal/pypitest"
	"pinwheel/internal/store"
)

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
