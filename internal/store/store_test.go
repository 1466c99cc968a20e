package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
	"pinwheel/internal/pgtest"
	"pinwheel/internal/store"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var target = farm.Target{ABI: "cp311", Platform: "linux_x86_64"}

// world is a farm's database with one target, two slaves and what a test adds.
type world struct {
	*store.Store
	t        testing.TB
	dsn      string
	targetID int64
	slaves   map[string]int64
}

func newWorld(t testing.TB) *world {
	t.Helper()
	dsn := pgtest.New(t)
	s, err := store.Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	w := &world{Store: s, t: t, dsn: dsn, slaves: map[string]int64{}}
	w.must(s.AddTarget(t.Context(), target, farm.Facts{}))
	rows, err := s.Targets(t.Context())
	w.must(err)
	w.targetID = rows[0].ID
	for _, name := range []string{"a", "b"} {
		w.must(s.EnrollSlave(t.Context(), name, farm.RoleSlave, "key-"+name))
		row, err := s.Slave(t.Context(), name)
		w.must(err)
		w.slaves[name] = row.ID
	}
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// add queues releases of a package, the first one oldest.
func (w *world) add(name string, versions ...string) {
	w.t.Helper()
	p := store.Project{Name: name, Display: name}
	var wishes []store.Wish
	for i, v := range versions {
		p.Releases = append(p.Releases, store.ReleaseFacts{Version: v, Raw: v,
			Released: time.Date(2024, 1, 1+i, 0, 0, 0, 0, time.UTC), Sdist: farm.Sdist{Filename: name + "-" + v + ".tar.gz"}})
		wishes = append(wishes, store.Wish{Version: v, Target: target, Verdict: farm.Verdict{State: farm.Queued}, Priority: farm.PriorityBacklog})
	}
	_, err := w.AddJobs(w.t.Context(), p, wishes, "test")
	w.must(err)
}

func (w *world) claim(slave, request string) (farm.Lease, bool) {
	w.t.Helper()
	l, ok, err := w.Claim(w.t.Context(), store.ClaimRequest{
		Slave: w.slaves[slave], Request: request, Token: slave + "/" + request, Targets: []int64{w.targetID}, Length: time.Minute,
	})
	w.must(err)
	return l, ok
}

func (w *world) state(name, version string) store.JobRow {
	w.t.Helper()
	jobs, err := w.Jobs(w.t.Context(), store.Selector{Package: name, Version: version})
	w.must(err)
	if len(jobs) != 1 {
		w.t.Fatalf("%s %s: %d jobs", name, version, len(jobs))
	}
	return jobs[0]
}

func (w *world) exec(sql string, args ...any) error {
	w.t.Helper()
	conn, err := pgx.Connect(w.t.Context(), w.dsn)
	w.must(err)
	defer conn.Close(context.Background())
	_, err = conn.Exec(w.t.Context(), sql, args...)
	return err
}

func (w *world) wheel(name string) store.NewWheel {
	return store.NewWheel{File: farm.File{Name: name, SHA256: strings.Repeat("a", 64), Size: 10},
		MetadataSHA256: strings.Repeat("b", 64), Metadata: []byte("Metadata-Version: 2.1\n"), Tags: []string{"cp311-cp311-linux_x86_64"}}
}

func (w *world) ending(slave string, l farm.Lease) store.Ending {
	return store.Ending{Slave: w.slaves[slave], Token: l.Token}
}

func TestClaimNewestFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("demo", "1.0", "2.0", "3.0")
	var got []string
	for i := range 4 {
		l, ok := w.claim("a", fmt.Sprint(i))
		got = append(got, fmt.Sprint(l.Version, ok))
	}
	if diff := cmp.Diff([]string{"3.0true", "2.0true", "1.0true", "false"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestRepeatedRequestGetsTheSameLease(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("demo", "1.0", "2.0")
	first, _ := w.claim("a", "r1")
	again, _ := w.claim("a", "r1")
	if diff := cmp.Diff(first, again); diff != "" {
		t.Error(diff)
	}
}

// TestClaimsAreNeverShared lets many ask at once.
func TestClaimsAreNeverShared(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var versions []string
	for i := range 40 {
		versions = append(versions, fmt.Sprintf("1.%d", i))
	}
	w.add("demo", versions...)
	got := make(chan int64, 100)
	done := make(chan error, 8)
	for g := range 8 {
		go func() {
			for i := range 5 {
				l, ok, err := w.Claim(t.Context(), store.ClaimRequest{Slave: w.slaves["a"], Request: fmt.Sprint(g, "/", i),
					Token: fmt.Sprint("t", g, "/", i), Targets: []int64{w.targetID}, Length: time.Minute})
				if err != nil || !ok {
					done <- fmt.Errorf("claim: %v %v", ok, err)
					return
				}
				got <- l.Job
			}
			done <- nil
		}()
	}
	for range 8 {
		w.must(<-done)
	}
	close(got)
	seen := map[int64]bool{}
	for job := range got {
		if seen[job] {
			t.Fatalf("job %d was leased twice", job)
		}
		seen[job] = true
	}
	if len(seen) != 40 {
		t.Errorf("%d jobs leased, want 40", len(seen))
	}
}

func TestBuiltPublishesOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("demo", "1.0")
	l, _ := w.claim("a", "r1")
	for i := range 2 {
		res, err := w.FinishBuilt(t.Context(), w.ending("a", l), w.wheel("demo-1.0-py3-none-any.whl"))
		w.must(err)
		if res.Counted != (i == 0) {
			t.Errorf("report %d: counted = %v", i, res.Counted)
		}
	}
	if got := w.state("demo", "1.0").State; got != farm.Built {
		t.Errorf("state %s", got)
	}
	page, err := w.Page(t.Context(), "demo")
	w.must(err)
	if len(page.Wheels) != 1 {
		t.Errorf("%d wheels", len(page.Wheels))
	}
	stale, err := w.StalePages(t.Context(), 10)
	w.must(err)
	if len(stale) != 2 || stale[0].Scope != "demo" || stale[1].Scope != store.RootScope {
		t.Errorf("stale pages: %v", stale)
	}
}

func TestKnownNameIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("demo", "1.0")
	w.must(w.exec(`insert into published_names values ('demo-1.0-py3-none-any.whl', repeat('c', 64), 5)`))
	l, _ := w.claim("a", "r1")
	_, err := w.FinishBuilt(t.Context(), w.ending("a", l), w.wheel("demo-1.0-py3-none-any.whl"))
	if !errors.Is(err, farm.ErrConflict) {
		t.Fatalf("error %v, want a conflict", err)
	}
	if got := w.state("demo", "1.0").State; got != farm.Leased {
		t.Errorf("state %s: a refused report must change nothing", got)
	}
}

func TestPublishedNamesAreForEver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(w.exec(`insert into published_names values ('x.whl', repeat('c', 64), 5)`))
	for _, q := range []string{`delete from published_names`, `update published_names set size = 6`, `truncate published_names cascade`} {
		if err := w.exec(q); err == nil {
			t.Errorf("%s was allowed", q)
		}
	}
}

// TestLeaseRules is design 4: which reports count.
func TestLeaseRules(t *testing.T) {
	t.Parallel()
	fail := farm.Failure{Cause: farm.CompilerError}
	cases := []struct {
		name  string
		setup func(w *world, l farm.Lease)
		built bool
		want  bool
		state farm.State
	}{
		{"success, current", nil, true, true, farm.Built},
		{"failure, current", nil, false, true, farm.Failed},
		{"success, expired", expire, true, true, farm.Built},
		{"failure, expired", expire, false, false, farm.Queued},
		{"success, another holds it", retake, true, true, farm.Built},
		{"failure, another holds it", retake, false, false, farm.Leased},
		{"success after slave-lost", lose, true, true, farm.Built},
		{"success after another's result", failElsewhere, true, false, farm.Failed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.add("demo", "1.0")
			l, _ := w.claim("a", "r1")
			if c.setup != nil {
				c.setup(w, l)
			}
			e := w.ending("a", l)
			var res store.Result
			var err error
			if c.built {
				res, err = w.FinishBuilt(t.Context(), e, w.wheel("demo-1.0-py3-none-any.whl"))
			} else {
				e.Failure = fail
				res, err = w.FinishFailed(t.Context(), e)
			}
			w.must(err)
			if res.Counted != c.want {
				t.Errorf("counted = %v (%s)", res.Counted, res.Why)
			}
			if got := w.state("demo", "1.0").State; got != c.state {
				t.Errorf("state %s, want %s", got, c.state)
			}
		})
	}
}

// expire lets the lease run out and sweeps it; the other slave was just heard.
func expire(w *world, _ farm.Lease) {
	w.t.Helper()
	_, err := w.Renew(w.t.Context(), w.slaves["b"], nil, time.Minute, "", nil)
	w.must(err)
	w.must(w.exec(`update jobs set lease_deadline = now() - interval '1 s' where state = 'leased'`))
	n, err := w.Sweep(w.t.Context(), time.Minute)
	w.must(err)
	if n != 1 {
		w.t.Fatalf("swept %d leases", n)
	}
}

func retake(w *world, l farm.Lease) {
	w.t.Helper()
	expire(w, l)
	if _, ok := w.claim("b", "rb"); !ok {
		w.t.Fatal("b got no job")
	}
}

func lose(w *world, l farm.Lease) {
	w.t.Helper()
	expire(w, l)
	for i := 1; i < store.MaxLosses; i++ {
		w.claim("a", fmt.Sprint("again", i))
		expire(w, l)
	}
	if j := w.state("demo", "1.0"); j.State != farm.Failed || j.Cause != string(farm.SlaveLost) {
		w.t.Fatalf("after %d losses: %s %s", store.MaxLosses, j.State, j.Cause)
	}
}

func failElsewhere(w *world, l farm.Lease) {
	w.t.Helper()
	expire(w, l)
	lb, _ := w.claim("b", "rb")
	e := w.ending("b", lb)
	e.Failure = farm.Failure{Cause: farm.MissingHeader, Detail: "ffi.h"}
	_, err := w.FinishFailed(w.t.Context(), e)
	w.must(err)
}

func TestAnotherHolderIsAborted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("demo", "1.0")
	l, _ := w.claim("a", "r1")
	retake(w, l)
	res, err := w.FinishBuilt(t.Context(), w.ending("a", l), w.wheel("demo-1.0-py3-none-any.whl"))
	w.must(err)
	if res.Abort != "b/rb" {
		t.Errorf("abort %q, want b's lease", res.Abort)
	}
	gone, err := w.Renew(t.Context(), w.slaves["b"], []string{"b/rb"}, time.Minute, "", nil)
	w.must(err)
	if len(gone) != 1 {
		t.Errorf("b's beat keeps a lease that is gone: %v", gone)
	}
}

// TestLossWithoutOthersDoesNotCount: when no other slave was heard it was the
// farm or the network that was away.
func TestLossWithoutOthersDoesNotCount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("demo", "1.0")
	for i := range store.MaxLosses + 1 {
		if _, ok := w.claim("a", fmt.Sprint(i)); !ok {
			t.Fatalf("round %d: no job", i)
		}
		w.must(w.exec(`update jobs set lease_deadline = now() - interval '1 s' where state = 'leased'`))
		_, err := w.Sweep(t.Context(), time.Minute)
		w.must(err)
	}
	if got := w.state("demo", "1.0").State; got != farm.Queued {
		t.Errorf("state %s", got)
	}
}

func TestFreeOthersSparesHeldAndYoung(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("demo", "1.0", "2.0")
	held, _ := w.claim("a", "r1")
	other, _ := w.claim("a", "r2")
	n, err := w.FreeOthers(t.Context(), w.slaves["a"], []string{held.Token}, time.Hour)
	w.must(err)
	if n != 0 {
		t.Errorf("%d young leases freed", n)
	}
	n, err = w.FreeOthers(t.Context(), w.slaves["a"], []string{held.Token}, 0)
	w.must(err)
	if n != 1 || w.state("demo", other.Version).State != farm.Queued || w.state("demo", held.Version).State != farm.Leased {
		t.Errorf("freed %d", n)
	}
}

// TestFaultsAreTriedElsewhere: what is not the package's fault is queued again,
// later, and is a failure only after several tries.
func TestFaultsAreTriedElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("demo", "1.0")
	for i := range store.MaxLosses {
		w.must(w.exec(`update jobs set not_before = now()`))
		l, ok := w.claim("a", fmt.Sprint(i))
		if !ok {
			t.Fatalf("try %d: no job", i)
		}
		e := w.ending("a", l)
		e.Failure = farm.Failure{Cause: farm.SlaveFault, Detail: "disk"}
		_, err := w.FinishFailed(t.Context(), e)
		w.must(err)
		if _, ok := w.claim("b", fmt.Sprint("b", i)); ok {
			t.Fatalf("try %d: leased again at once", i)
		}
	}
	if j := w.state("demo", "1.0"); j.State != farm.Failed || j.Cause != string(farm.SlaveFault) {
		t.Errorf("%s %s", j.State, j.Cause)
	}
}

func TestRequeue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("demo", "1.0", "2.0")
	good, _ := w.claim("a", "r1")
	bad, _ := w.claim("a", "r2")
	_, err := w.FinishBuilt(t.Context(), w.ending("a", good), w.wheel("demo-2.0-py3-none-any.whl"))
	w.must(err)
	e := w.ending("a", bad)
	e.Failure = farm.Failure{Cause: farm.CompilerError}
	_, err = w.FinishFailed(t.Context(), e)
	w.must(err)
	moved, err := w.Requeue(t.Context(), store.Selector{Package: "demo"}, farm.PriorityOperator, "test")
	w.must(err)
	if len(moved) != 1 || moved[0].Version != bad.Version || moved[0].State != farm.Queued {
		t.Errorf("moved %+v", moved)
	}
	if got := w.state("demo", good.Version).State; got != farm.Built {
		t.Errorf("the built job is %s", got)
	}
}

// TestPureWheelCoversTheNextTarget: two targets that build the same file name.
func TestPureWheelCoversTheNextTarget(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	next := farm.Target{ABI: "cp313", Platform: "linux_x86_64"}
	w.must(w.AddTarget(t.Context(), next, farm.Facts{}))
	w.add("demo", "1.0")
	p := store.Project{Name: "demo", Display: "demo", Releases: []store.ReleaseFacts{{Version: "1.0", Raw: "1.0"}}}
	_, err := w.AddJobs(t.Context(), p, []store.Wish{{Version: "1.0", Target: next, Verdict: farm.Verdict{State: farm.Queued}}}, "test")
	w.must(err)
	rows, err := w.Targets(t.Context())
	w.must(err)
	first, _ := w.claim("a", "r1")
	second, _, err := w.Claim(t.Context(), store.ClaimRequest{Slave: w.slaves["b"], Request: "r", Token: "second", Targets: []int64{rows[1].ID}, Length: time.Minute})
	w.must(err)
	name := "demo-1.0-py3-none-any.whl"
	_, err = w.FinishBuilt(t.Context(), w.ending("a", first), w.wheel(name))
	w.must(err)
	other := w.wheel(name)
	other.File.SHA256 = strings.Repeat("d", 64)
	res, err := w.FinishBuilt(t.Context(), w.ending("b", second), other)
	w.must(err)
	if res.State != farm.Covered {
		t.Errorf("the next target's job is %s", res.State)
	}
}

func TestStalePageChangedMeanwhileStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.MarkAllStale(t.Context())
	w.must(err)
	before, err := w.StalePages(t.Context(), 1)
	w.must(err)
	_, err = w.MarkAllStale(t.Context())
	w.must(err)
	w.must(w.PageWritten(t.Context(), before[0]))
	after, err := w.StalePages(t.Context(), 1)
	w.must(err)
	if len(after) != 1 {
		t.Fatal("a page that changed while it was written was forgotten")
	}
	w.must(w.PageWritten(t.Context(), after[0]))
	left, err := w.StalePages(t.Context(), 1)
	w.must(err)
	if len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestEnrollTwiceIsAConflict(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.EnrollSlave(t.Context(), "a", farm.RoleSlave, "other"); !errors.Is(err, farm.ErrConflict) {
		t.Errorf("error %v", err)
	}
}

func TestSecretStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, err := w.Secret(t.Context(), "k")
	w.must(err)
	two, err := w.Secret(t.Context(), "k")
	w.must(err)
	if len(one) != 32 || string(one) != string(two) {
		t.Errorf("%x, then %x", one, two)
	}
}

func TestListenHearsQueueing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	heard := make(chan string, 10)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.Listen(ctx, store.QueueChannel, func(p string) { heard <- p })
	}()
	<-heard // connected
	w.add("demo", "1.0")
	<-heard
	cancel()
	<-ended
}

func TestOpenNamesTheRemedy(t *testing.T) {
	t.Parallel()
	_, err := store.Open(t.Context(), pgtest.Empty(t))
	if !errors.Is(err, farm.ErrSchema) || !strings.Contains(err.Error(), "master migrate") {
		t.Errorf("error %v", err)
	}
	_, err = store.Open(t.Context(), "postgres://user:hunter2@[bad")
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error %v", err)
	}
}

func TestMigrateTwice(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Empty(t)
	from, to, err := store.Migrate(t.Context(), dsn)
	if err != nil || from != 0 || to < 1 {
		t.Fatalf("first: %d → %d, %v", from, to, err)
	}
	if again, _, err := store.Migrate(t.Context(), dsn); err != nil || again != to {
		t.Errorf("second: from %d, %v", again, err)
	}
}

// TestStatesAgreeWithTheSchema holds farm's states against the CHECK constraint.
func TestStatesAgreeWithTheSchema(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("demo", "1.0")
	extra := map[farm.State]string{
		farm.Waiting: ", reason = 'x'", farm.Covered: ", reason = 'x'", farm.Skipped: ", reason = 'x'", farm.Failed: ", cause = 'unknown'",
		farm.Leased: fmt.Sprintf(", lease_token = 't', lease_slave_id = %d, lease_deadline = now()", w.slaves["a"]),
	}
	for _, s := range farm.States() {
		reset := `update jobs set state = 'queued', cause = '', lease_token = null, lease_slave_id = null, lease_deadline = null`
		w.must(w.exec(reset))
		if err := w.exec(`update jobs set state = $1`+extra[s], string(s)); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	if err := w.exec(`update jobs set state = 'lost'`); err == nil {
		t.Error("the schema takes a state that farm does not know")
	}
}

// TestHeadIsForgotten: a claim starts behind the last one, but what is queued
// before that place meanwhile is found: at once when it is heard of, and in any
// case when nothing else is left.
func TestHeadIsForgotten(t *testing.T) {
	t.Parallel()
	for _, listening := range []bool{true, false} {
		w := newWorld(t)
		w.add("demo", "1.0", "2.0", "3.0")
		heard := make(chan string, 10)
		if listening {
			ended := make(chan struct{})
			ctx, cancel := context.WithCancel(t.Context())
			go func() { defer close(ended); w.Listen(ctx, store.QueueChannel, func(p string) { heard <- p }) }()
			defer func() { cancel(); <-ended }()
			<-heard
		}
		first, _ := w.claim("a", "r1") // 3.0: the head is behind it
		e := w.ending("a", first)
		e.Failure = farm.Failure{Cause: farm.CompilerError}
		_, err := w.FinishFailed(t.Context(), e)
		w.must(err)
		_, err = w.Requeue(t.Context(), store.Selector{Version: "3.0"}, farm.PriorityOperator, "test")
		w.must(err)
		want := []string{"2.0", "1.0", "3.0"}
		if listening {
			<-heard
			want = []string{"3.0", "2.0", "1.0"}
		}
		var got []string
		for i := range 3 {
			l, _ := w.claim("b", fmt.Sprint(i))
			got = append(got, l.Version)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("listening = %v:\n%s", listening, diff)
		}
	}
}
