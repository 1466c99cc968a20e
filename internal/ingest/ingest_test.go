package ingest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"pinwheel/internal/farm"
	"pinwheel/internal/pgtest"
	"pinwheel/internal/pypi"
	"pinwheel/internal/pypitest"
	"pinwheel/internal/store"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// world is an ingest between a real database and an index that tells stories.
type world struct {
	*Ingest
	t        testing.TB
	store    *store.Store
	upstream *pypitest.Server
}

func newWorld(t testing.TB, stories string, targets ...string) *world {
	t.Helper()
	s, err := store.Open(t.Context(), pgtest.New(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	w := &world{t: t, store: s, upstream: pypitest.New(t, stories)}
	for _, name := range targets {
		w.addTarget(name, farm.Facts{})
	}
	client := pypi.New(pypi.Config{Simple: w.upstream.URL(), Tries: 2, Pause: time.Millisecond})
	w.Ingest = New(Config{Store: s, Upstream: client, Log: zerolog.New(zerolog.NewTestWriter(t))})
	return w
}

func (w *world) addTarget(name string, f farm.Facts) {
	w.t.Helper()
	target, err := farm.ParseTarget(name)
	if err == nil {
		err = w.store.AddTarget(w.t.Context(), target, f, "test")
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) add(ask Ask) []Job {
	w.t.Helper()
	if ask.Priority == 0 {
		ask.Priority = farm.PriorityOperator
	}
	ask.Actor = "test"
	jobs, err := w.Add(w.t.Context(), ask)
	if err != nil {
		w.t.Fatal(err)
	}
	return jobs
}

// jobs is the whole queue: "demo 1.0 cp311-linux_armv7l queued".
func (w *world) jobs() []string {
	w.t.Helper()
	rows, err := w.store.Jobs(w.t.Context(), store.Selector{})
	if err != nil {
		w.t.Fatal(err)
	}
	out := []string{}
	for _, r := range rows {
		reason, _, _ := strings.Cut(r.Reason, ":")
		out = append(out, strings.TrimSpace(fmt.Sprintln(r.Package, r.Version, r.Target, r.State, reason)))
	}
	return out
}

func (w *world) want(jobs ...string) {
	w.t.Helper()
	if diff := cmp.Diff(jobs, w.jobs()); diff != "" {
		w.t.Errorf("jobs (-want +got)\n%s", diff)
	}
}

const (
	v7  = "cp311-linux_armv7l"
	v13 = "cp313-linux_armv7l"
)

const stories = `
-- Demo_Pkg==1.0 --
-- Demo_Pkg==1.1 --
sdist: none
wheel: py3-none-any
-- Demo_Pkg==2.0 --
requires-python: >=3.12
-- Demo_Pkg==2.1rc1 --
-- Demo_Pkg==0.9 --
yanked: broken on Tuesdays
`

func TestAddAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t, stories, v7)
	got := w.add(Ask{Package: "demo.PKG"})
	if len(got) != 5 {
		t.Errorf("%d jobs came back: %v", len(got), got)
	}
	w.want( // newest first
		"demo-pkg 0.9 "+v7+" queued",
		"demo-pkg 2.1rc1 "+v7+" queued",
		"demo-pkg 2.0 "+v7+" skipped requires-python",
		"demo-pkg 1.1 "+v7+" skipped no sdist",
		"demo-pkg 1.0 "+v7+" queued",
	)
}

func TestAddNewestForEachTarget(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "-- demo==1.0 --\n-- demo==2.0 --\nrequires-python: >=3.12\n", v7, v13)
	w.add(Ask{Package: "demo", Newest: true})
	w.want("demo 2.0 "+v13+" queued", "demo 1.0 "+v7+" queued")
}

// TestAddAgain: asking twice changes nothing that was done meanwhile, on any
// state that a job can be in.
func TestAddAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, stories, v7)
	w.add(Ask{Package: "demo-pkg"})
	lease, token := w.claim()
	before := w.jobs()
	for range 2 {
		w.add(Ask{Package: "Demo-Pkg", Versions: []string{lease.Version}})
		w.add(Ask{Package: "demo_pkg"})
	}
	w.want(before...)
	w.fail(token)
	before = w.jobs()
	w.add(Ask{Package: "demo-pkg"})
	w.want(before...)
}

// claim leases the next job to a slave.
func (w *world) claim() (farm.Lease, store.Ending) {
	w.t.Helper()
	ctx := w.t.Context()
	targets, err := w.store.Targets(ctx)
	if err == nil {
		err = w.store.EnrollSlave(ctx, "pi", farm.RoleSlave, "key", "test")
	}
	if err != nil {
		w.t.Fatal(err)
	}
	slave, err := w.store.Slave(ctx, "pi")
	if err != nil {
		w.t.Fatal(err)
	}
	l, ok, err := w.store.Claim(ctx, store.ClaimRequest{
		Slave: slave.ID, Request: "r", Token: "t", Targets: []int64{targets[0].ID}, Length: time.Hour,
	})
	if err != nil || !ok {
		w.t.Fatalf("no job: %v", err)
	}
	return l, store.Ending{Slave: slave.ID, Token: "t"}
}

func (w *world) fail(e store.Ending) {
	w.t.Helper()
	e.Failure.Cause = farm.CompilerError
	if _, err := w.store.FinishFailed(w.t.Context(), e); err != nil {
		w.t.Fatal(err)
	}
}

// TestReasonsFall: what was skipped is queued when its reason is gone, and what
// is queued is not skipped again behind a slave's back.
func TestReasonsFall(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "-- demo==1.0 --\nsdist: none\nwheel: py3-none-any\n", v7)
	w.add(Ask{Package: "demo"})
	w.want("demo 1.0 " + v7 + " skipped no sdist")
	w.replace("-- demo==1.0 --\nrequires-python: >=3.12\n")
	w.add(Ask{Package: "demo"})
	w.want("demo 1.0 " + v7 + " skipped requires-python")
	w.replace("-- demo==1.0 --\n")
	w.add(Ask{Package: "demo"})
	w.want("demo 1.0 " + v7 + " queued")
	if lease, _ := w.claim(); lease.Sdist.Filename != "demo-1.0.tar.gz" || lease.Sdist.SHA256 == "" {
		t.Errorf("the job's sdist is %+v", lease.Sdist)
	}
}

// replace lets the upstream change its mind about version 1.0 of demo.
func (w *world) replace(story string) {
	w.t.Helper()
	if err := w.upstream.Remove("demo", "1.0"); err != nil {
		w.t.Fatal(err)
	}
	w.upstream.MustAdd(w.t, story)
}

// TestFactsDecide: a target whose Python is known is held to all of its numbers.
func TestFactsDecide(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "-- demo==1.0 --\nrequires-python: >=3.11.9\n", v7)
	w.add(Ask{Package: "demo"})
	w.want("demo 1.0 " + v7 + " queued")
	w.addTarget("cp311-linux_x86_64", farm.Facts{Python: "3.11.2"})
	w.add(Ask{Package: "demo"})
	w.want("demo 1.0 "+v7+" queued", "demo 1.0 cp311-linux_x86_64 skipped requires-python")
}

func TestAddRefuses(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name    string
		targets []string
		setup   func(*pypitest.Server)
		ask     Ask
		want    string
		is      error
	}{
		{"no package name", []string{v7}, nil, Ask{Package: "../etc"}, `"../etc" is not a package name`, nil},
		{"no name at all", []string{v7}, nil, Ask{}, "is not a package name", nil},
		{"no target", nil, nil, Ask{Package: "demo-pkg"}, "master target add", nil},
		{"no such package", []string{v7}, nil, Ask{Package: "absent"}, "absent: the upstream has no package of this name", nil},
		{"no such version", []string{v7}, nil, Ask{Package: "demo-pkg", Versions: []string{"1.0", "7"}}, "no version 7", nil},
		{"broken upstream", []string{v7}, func(s *pypitest.Server) {
			s.Break("/", pypitest.Fault{Trouble: pypitest.Status, Status: http.StatusBadGateway})
		}, Ask{Package: "demo-pkg"}, "502", pypi.ErrUnavailable},
		{"lying upstream", []string{v7}, func(s *pypitest.Server) {
			s.Break("/", pypitest.Fault{Trouble: pypitest.Lying})
		}, Ask{Package: "demo-pkg"}, "demo-pkg", nil},
		{"half a page", []string{v7}, func(s *pypitest.Server) {
			s.Break("/", pypitest.Fault{Trouble: pypitest.Truncated})
		}, Ask{Package: "demo-pkg"}, "demo-pkg", pypi.ErrUnavailable},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, stories, c.targets...)
			if c.setup != nil {
				c.setup(w.upstream)
			}
			jobs, err := w.Add(t.Context(), c.ask)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v, error %v, want %q", jobs, err, c.want)
			}
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%v is no %v", err, c.is)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("several lines: %q", err)
			}
			w.want([]string{}...)
		})
	}
}

// TestAddAtOnce: several who add to one project at the same time decide on what the
// others have just changed, and each gets what he asked for.
func TestAddAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, stories, v7, v13)
	asked := []string{"1.0", "1.1", "2.0", "2.1rc1", "0.9"}
	var wg sync.WaitGroup
	for _, v := range asked {
		wg.Go(func() {
			jobs, err := w.Add(t.Context(), Ask{Package: "demo-pkg", Versions: []string{v}, Actor: "test"})
			if err != nil || len(jobs) != 2 || jobs[0].Version != v {
				t.Errorf("%s: %v, %v", v, jobs, err)
			}
		})
	}
	wg.Wait()
	if got := w.jobs(); len(got) != 2*len(asked) {
		t.Errorf("%d jobs: %v", len(got), got)
	}
}

// TestAddRaisesPriorities of jobs that are queued already, and lets none wait.
func TestAddRaisesPriorities(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "-- demo==1.0 --\n-- demo==1.1 --\n", v7, v13)
	w.add(Ask{Package: "demo", Priority: farm.PriorityBacklog})
	newer := []string{"demo 1.1 " + v7 + " queued", "demo 1.1 " + v13 + " waiting cp311-linux_armv7l builds first"}
	w.want(append(newer, "demo 1.0 "+v7+" queued", "demo 1.0 "+v13+" waiting cp311-linux_armv7l builds first")...)
	got := w.add(Ask{Package: "demo", Versions: []string{"1.0"}})
	w.want(append(newer, "demo 1.0 "+v7+" queued", "demo 1.0 "+v13+" queued")...)
	if want := []Job{{"1.0", v7, farm.Queued, ""}, {"1.0", v13, farm.Queued, ""}}; !cmp.Equal(want, got) {
		t.Error(cmp.Diff(want, got))
	}
	if lease, _ := w.claim(); lease.Version != "1.0" {
		t.Errorf("%s is built first", lease.Version)
	}
}

// TestAddAfterTheSdistWent: what was queued of it is skipped, and says why.
func TestAddAfterTheSdistWent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "-- demo==1.0 --\n", v7)
	w.add(Ask{Package: "demo"})
	w.replace("-- demo==1.0 --\nsdist: none\nwheel: py3-none-any\n")
	got := w.add(Ask{Package: "demo"})
	w.want("demo 1.0 " + v7 + " skipped no sdist")
	if len(got) != 1 || got[0].State != farm.Skipped {
		t.Errorf("%+v", got)
	}
}

// TestDatabaseGone: an ingest that cannot write has done nothing, and can be
// asked again.
func TestDatabaseGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, stories, v7)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Add(gone, Ask{Package: "demo-pkg"}); err == nil {
		t.Error("no error")
	}
	w.want([]string{}...)
	w.add(Ask{Package: "demo-pkg"})
}

// TestHostileWords: what strangers write into an index comes out of the database
// as it went in, or not at all.
func TestHostileWords(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", v7)
	evil := pypi.Project{Name: "demo", Display: "'); drop table jobs; --", Releases: []pypi.Release{
		release("1.0", needs("<>'\"\\ %s $1"), func(r *pypi.Release) { r.Uploaded = time.Now().Add(-time.Hour) }),
		{Raw: "'; --", Legacy: true, Uploaded: time.Now().Add(time.Hour), Yanked: true, YankReason: strings.Repeat("long ", 10_000)},
	}}
	in := New(Config{Store: w.store, Upstream: fixed{evil}, Log: zerolog.Nop()})
	if _, err := in.Add(t.Context(), Ask{Package: "demo", Actor: "test"}); err != nil {
		t.Fatal(err)
	}
	w.want("demo '; -- "+v7+" skipped legacy version", "demo 1.0 "+v7+" queued")
}

// fixed is an upstream that always answers the same.
type fixed struct{ p pypi.Project }

func (f fixed) Project(context.Context, string) (pypi.Project, error) { return f.p, nil }
