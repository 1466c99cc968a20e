package ingest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"pinwheel/internal/farm"
	"pinwheel/internal/pypi"
	"pinwheel/internal/pypitest"
	"pinwheel/internal/store"
	"pinwheel/internal/storetest"
)

// rig is a follower between a real database and an index that tells stories. Its
// pauses are short, so that what takes hours in life is seen at once.
type rig struct {
	*Follower
	t        testing.TB
	db       *storetest.DB
	store    *store.Store
	upstream *pypitest.Server
	client   *pypi.Client
	idled    chan struct{}
}

func newRigWithin(t testing.TB, timeout time.Duration, targets ...string) *rig {
	t.Helper()
	r := &rig{t: t, db: storetest.New(t), upstream: pypitest.New(t), idled: make(chan struct{}, 1)}
	r.store = r.db.Store
	for _, name := range targets {
		r.addTarget(name)
	}
	r.client = pypi.New(pypi.Config{
		Simple: r.upstream.URL(), Tries: 1, Pause: time.Millisecond, Timeout: timeout, MaxBytes: 20 << 20,
	})
	r.Follower = NewFollower(FollowConfig{
		Store: r.store, Index: r.client, Stats: []func() pypi.Stats{r.client.Stats}, Log: zerolog.New(zerolog.NewTestWriter(t)),
		Poll: 20 * time.Millisecond, WalkEvery: 50 * time.Millisecond, Nightly: noNight(),
		Policy: farm.Policy{UpstreamWheels: "last", Yanked: "last", NewDays: 14, ProjectLeases: 4},
	})
	short := 20 * time.Millisecond
	r.times = times{
		firstPause: short, longPause: 2 * short, absent: 10 * short, behindSaid: short, twice: short,
		stale:  slices.Repeat([]time.Duration{short}, 7),
		unread: short, unreadMost: 2 * short, badMost: 2 * short, lease: time.Minute, rescan: short,
		away: short, awayMost: short, aged: short, plan: short, watch: short, list: short, listMost: short,
	}
	r.idle = func() { wake(r.idled) }
	return r
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) addTarget(name string) {
	r.t.Helper()
	target, err := farm.ParseTarget(name)
	r.must(err)
	r.must(r.store.AddTarget(r.t.Context(), target, farm.Facts{}, "test"))
}

// begun makes the farm follow from the upstream's present serial on.
func (r *rig) begun() {
	r.t.Helper()
	serial := r.upstream.Serial("")
	r.must(r.beginAt(r.t.Context(), serial, serial))
}

// start runs the follower until the function that it returns is called.
func (r *rig) start() (stop func()) {
	r.t.Helper()
	ctx, end := context.WithCancel(r.t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stop = func() {
		end()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			r.t.Errorf("the follower ended: %v", err)
		}
		done <- nil
	}
	r.t.Cleanup(stop)
	return stop
}

// until waits for something to be true; it looks whenever the reader has nothing
// to do.
func (r *rig) until(what string, true func() bool) {
	r.t.Helper()
	late := time.After(2 * time.Minute)
	for !true() {
		select {
		case <-r.idled:
		case <-late:
			r.t.Fatalf("it does not come about that %s; jobs: %v; to be read: %v", what, r.jobs(), r.troubled())
		}
	}
}

// jobs is the whole queue: "demo 1.0 cp311-linux_armv7l queued".
func (r *rig) jobs() []string {
	r.t.Helper()
	rows, err := r.store.Jobs(r.t.Context(), store.Selector{})
	r.must(err)
	out := []string{}
	for _, j := range rows {
		out = append(out, fmt.Sprint(j.Package, " ", j.Version, " ", j.Target, " ", j.State))
	}
	slices.Sort(out)
	return out
}

func (r *rig) untilJobs(want ...string) {
	r.t.Helper()
	want = append([]string{}, want...)
	slices.Sort(want)
	r.until(fmt.Sprintf("the jobs are %v", want), func() bool { return cmp.Equal(want, r.jobs()) })
}

// troubled are the projects that wait for another try.
func (r *rig) troubled() map[string]store.Reading {
	r.t.Helper()
	list, err := r.store.Troubled(r.t.Context(), 1000)
	r.must(err)
	out := map[string]store.Reading{}
	for _, one := range list {
		out[one.Name] = one
	}
	return out
}

func (r *rig) following() store.Following {
	r.t.Helper()
	at, err := r.store.Following(r.t.Context())
	r.must(err)
	return at
}

// faulty counts the upstream's faults of a kind, or all, as `status` shows them.
func (r *rig) faulty(kind string) int64 {
	r.t.Helper()
	r.must(r.faults.flush(r.t.Context()))
	list, err := r.store.Faults(r.t.Context())
	r.must(err)
	var n int64
	for _, f := range list {
		if kind == "" || f.Kind == kind {
			n += f.Count
		}
	}
	return n
}

// TestEventBecomesJob: what is released after the farm began to follow is queued,
// what was before is left to a backfill.
func TestEventBecomesJob(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	r.upstream.MustAdd(t, "-- old==1.0 --\n-- changed==1.0 --\n")
	r.start()
	r.until("the farm follows", func() bool { return r.following().Source == sourceChangelog })
	r.upstream.MustAdd(t, "-- Demo_Pkg==1.0 --\n-- changed==2.0 --\n")
	r.untilJobs("demo-pkg 1.0 "+v7+" queued", "changed 1.0 "+v7+" queued", "changed 2.0 "+v7+" queued")
	r.must(r.upstream.Remove("Demo_Pkg"))
	r.untilJobs("changed 1.0 "+v7+" queued", "changed 2.0 "+v7+" queued")
	if at := r.following(); at.Serial != r.upstream.Serial("") || at.Trouble != "" || at.Asked == nil {
		t.Errorf("following %+v, the upstream is at %d", at, r.upstream.Serial(""))
	}
}

// TestFirstEventOfAll: an index whose serial is 0 is followed from there.
func TestFirstEventOfAll(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	r.start()
	r.until("the farm follows", func() bool { return r.following().Source == sourceChangelog })
	r.upstream.MustAdd(t, "-- demo==1.0 --\n")
	r.untilJobs("demo 1.0 " + v7 + " queued")
}

// TestKilledAtItsBeginning: a farm that was killed between the two things that it
// keeps when it begins to follow goes on from there, and not with the whole upstream.
func TestKilledAtItsBeginning(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	r.upstream.MustAdd(t, "-- old==1.0 --\n")
	serial := r.upstream.Serial("")
	r.must(r.store.SetSerial(t.Context(), serial))
	r.upstream.MustAdd(t, "-- demo==1.0 --\n")
	r.start()
	r.untilJobs(queued("demo 1.0"))
	if since, begun, err := r.since(t.Context()); err != nil || !begun || since != serial {
		t.Errorf("follows since %d, %v, %v; want %d", since, begun, err, serial)
	}
}

// TestLeftAlone: a changelog that names a pause is not asked before it is over.
func TestLeftAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.times.absent = time.Hour
	r.begun()
	r.upstream.Break("/pypi", pypitest.Fault{Trouble: pypitest.Status, Status: http.StatusTooManyRequests, RetryAfter: "600"})
	p := &poller{Follower: r.Follower, pause: growing{first: time.Millisecond, most: time.Millisecond}, good: r.now()}
	p.round(t.Context())
	if left := p.retry.Sub(r.now()); left < 9*time.Minute || left > 10*time.Minute {
		t.Errorf("asked again in %v", left)
	}
}

// TestManyEventsOneRequest: however often a page of the changelog names a project,
// it is asked for once.
func TestManyEventsOneRequest(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	r.begun()
	var want []string
	for i := range 100 {
		r.upstream.MustAdd(t, fmt.Sprintf("-- demo==1.%d --\n", i))
		want = append(want, fmt.Sprintf("demo 1.%d %s queued", i, v7))
	}
	r.start()
	r.untilJobs(want...)
	if n := r.upstream.Requests("/simple/demo/"); n != 1 {
		t.Errorf("%d requests for 100 releases", n)
	}
}

// TestReplay: a page that is told again, in disorder and twice over, changes
// nothing.
func TestReplay(t *testing.T) {
	t.Parallel()
	for _, trouble := range []pypitest.Trouble{pypitest.Repeated, pypitest.Shuffled} {
		t.Run(string(trouble), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, v7)
			r.begun()
			r.upstream.MustAdd(t, "-- a==1.0 --\n-- b==1.0 --\n-- a==2.0 --\n")
			r.upstream.Break("/pypi#", pypitest.Fault{Trouble: trouble, Times: 5})
			r.start()
			r.untilJobs("a 1.0 "+v7+" queued", "a 2.0 "+v7+" queued", "b 1.0 "+v7+" queued")
			r.until("the serial has come", func() bool { return r.following().Serial == r.upstream.Serial("") })
		})
	}
}

// TestChangelogGoesAndComes: without a changelog the list of names says what
// changed, and the changelog is taken again when it is back.
func TestChangelogGoesAndComes(t *testing.T) {
	t.Parallel()
	for name, gone := range map[string]func(*pypitest.Server, bool){
		"405": func(s *pypitest.Server, on bool) { s.NoChangelog(on) },
		"fault": func(s *pypitest.Server, on bool) {
			if s.Mend("/pypi#"); on {
				s.ChangelogFault(pypitest.FaultRefused, 0)
			}
		},
		"status 503": func(s *pypitest.Server, on bool) {
			if s.Mend("/pypi#"); on {
				s.Break("/pypi#", pypitest.Fault{Trouble: pypitest.Status, Status: http.StatusServiceUnavailable})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, v7)
			r.upstream.MustAdd(t, "-- old==1.0 --\n-- gone==1.0 --\n")
			r.begun()
			r.upstream.MustAdd(t, "-- gone==2.0 --\n")
			r.start()
			r.until("the first job", func() bool { return len(r.jobs()) == 2 })
			gone(r.upstream, true)
			r.upstream.MustAdd(t, "-- demo==1.0 --\n")
			r.must(r.upstream.Remove("gone"))
			r.untilJobs("demo 1.0 " + v7 + " queued")
			r.until("people are told", func() bool { return r.following().Source == sourceSerials })
			gone(r.upstream, false)
			r.until("the changelog is back", func() bool { return r.following().Source == sourceChangelog })
			r.upstream.MustAdd(t, "-- demo==2.0 --\n")
			r.untilJobs("demo 1.0 "+v7+" queued", "demo 2.0 "+v7+" queued")
			if at := r.following(); at.Trouble != "" {
				t.Errorf("still in trouble: %s", at.Trouble)
			}
		})
	}
}

// TestNoSource: a plain mirror says nothing of what changed; what people named is
// read again all the same.
func TestNoSource(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	r.upstream.NoChangelog(true)
	r.upstream.NoSerials(true)
	r.upstream.MustAdd(t, "-- named==1.0 --\n-- other==1.0 --\n")
	in := New(Config{Store: r.store, Upstream: r.client, Policy: r.cfg.Policy, Log: zerolog.Nop()})
	_, err := in.Add(t.Context(), Ask{Package: "named", Actor: "test"})
	r.must(err)
	r.db.Exec(`update packages set read_at = now() - interval '2 hours'`)
	r.must(r.upstream.Remove("named", "1.0"))
	r.upstream.MustAdd(t, "-- named==1.1 --\n")
	r.start()
	r.until("people are told", func() bool { return r.following().Source == sourceNone && r.following().Trouble == noSource })
	r.untilJobs()
}

// TestStaleCache: an answer of before the event is not believed.
func TestStaleCache(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	r.upstream.MustAdd(t, "-- demo==1.0 --\n")
	r.begun()
	r.upstream.Stale("demo", 3)
	r.upstream.Stale("fresh", 3)
	r.upstream.MustAdd(t, "-- demo==2.0 --\n-- fresh==1.0 --\n")
	r.start()
	r.untilJobs("demo 1.0 "+v7+" queued", "demo 2.0 "+v7+" queued", "fresh 1.0 "+v7+" queued")
}

// TestSerialNeverShown: an announced serial that no page ever has does not keep
// what the page has from the farm.
func TestSerialNeverShown(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	r.begun()
	r.upstream.MustAdd(t, "-- demo==1.0 --\n")
	r.upstream.Announce(pypitest.Event{Name: "demo", Action: "docupdate", Serial: r.upstream.Serial("") + 100})
	r.start()
	r.untilJobs("demo 1.0 " + v7 + " queued")
}

// TestSerialGoesBack: an index that lost its last serials is not followed back,
// people hear of it, and it goes on when the index has caught up.
func TestSerialGoesBack(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	r.upstream.StartAt(1000)
	r.begun()
	r.start()
	r.upstream.MustAdd(t, "-- demo==1.0 --\n")
	r.untilJobs("demo 1.0 " + v7 + " queued")
	before := r.following().Serial
	r.upstream.JumpBack(50)
	r.until("people hear of it", func() bool { return strings.Contains(r.following().Trouble, "went back") })
	if r.faulty("serial-back") == 0 {
		t.Error("the fault is not counted")
	}
	if at := r.following(); at.Serial != before {
		t.Errorf("the serial is %d, was %d", at.Serial, before)
	}
	r.upstream.StartAt(before + 10)
	r.upstream.MustAdd(t, "-- demo==2.0 --\n")
	r.untilJobs("demo 1.0 "+v7+" queued", "demo 2.0 "+v7+" queued")
	r.until("all is well", func() bool { return r.following().Trouble == "" })
}

// TestAnnounced: one row for each project, with its newest word.
func TestAnnounced(t *testing.T) {
	t.Parallel()
	got := announced([]pypi.Event{
		{Name: "a", Serial: 3, Action: "remove project"},
		{Name: "b", Serial: 11, Action: "new release"},
		{Name: "a", Serial: 12, Action: "create"},
		{Name: "c", Serial: 13, Action: "create"},
		{Name: "b", Serial: 14, Action: "remove project"},
		{Name: "d", Serial: 15, Action: "remove"},
		{Name: "c", Serial: 16, Action: "remove release"},
	}, 10)
	event := func(name string, serial int64, gone bool) store.Reading {
		return store.Reading{Name: name, Serial: serial, Gone: gone, Urgency: farm.UrgencyEvent, Follow: true}
	}
	want := []store.Reading{event("b", 14, true), event("a", 12, false), event("c", 16, false), event("d", 15, true)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// noNight is a time of night that is half a day from now, whenever that is: no test is
// about a nightly walk that it did not begin.
func noNight() time.Duration {
	now := time.Now()
	y, m, d := now.Date()
	return (now.Sub(time.Date(y, m, d, 0, 0, 0, 0, now.Location())) + 12*time.Hour) % (24 * time.Hour)
}
