package ingest

import (
	"testing"
)

// TestGoneFromList: a project that only the list of names tells to be gone is, though
// a cache still has its page.
func TestGoneFromList(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	r.begun()
	r.upstream.MustAdd(t, "-- demo==1.0 --\n-- other==1.0 --\n")
	r.start()
	r.untilJobs("demo 1.0 "+v7+" queued", "other 1.0 "+v7+" queued")
	r.upstream.NoChangelog(true)
	r.until("names are compared", func() bool { return r.following().Source == sourceSerials })
	r.upstream.Stale("demo", 3)
	r.must(r.upstream.Remove("demo"))
	r.untilJobs("other 1.0 " + v7 + " queued")
}
