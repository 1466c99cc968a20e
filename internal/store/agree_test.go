package store_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// day is the time of a test's releases.
func day(n int) time.Time { return time.Date(2024, 1, n, 12, 0, 0, 0, time.UTC) }

func queued(p farm.Priority) store.Planned {
	return store.Planned{State: farm.Queued, Priority: p}
}

// fresh is the agreement on a project that the farm does not know, each version
// queued on the world's target.
func (w *world) fresh(name string, versions ...string) store.Agreement {
	a := store.Agreement{
		Known: store.Known{ProjectFacts: store.ProjectFacts{Name: name}},
		Facts: store.ProjectFacts{Name: name, Display: name, Serial: 7, ETag: `"e"`, Followed: true},
	}
	for i, v := range versions {
		a.Add = append(a.Add, w.release(v, 1+i, queued(farm.PriorityBacklog)))
	}
	return a
}

func (w *world) release(version string, released int, p store.Planned) store.NewRelease {
	return store.NewRelease{
		ReleaseFacts: store.ReleaseFacts{Version: version, Raw: version, Released: day(released),
			Sdist: farm.Sdist{Filename: version + ".tar.gz", URL: "u", SHA256: "s", Size: 9}, Wheels: "py3-none-any"},
		Jobs: []store.NewJob{{Target: w.targetID, Planned: p}},
	}
}

// change is an agreement that changes nothing yet.
func change(k store.Known) store.Agreement { return store.Agreement{Known: k, Facts: k.ProjectFacts} }

func (w *world) known(name string) store.Known {
	w.t.Helper()
	all, err := w.KnownProjects(w.t.Context(), []string{name})
	w.must(err)
	return all[name]
}

func (w *world) agree(batch ...store.Agreement) store.Agreed {
	w.t.Helper()
	out, err := w.Agree(w.t.Context(), batch, nil)
	w.must(err)
	return out
}

// ignoreIDs leaves out what the database chooses.
func ignoreIDs() cmp.Options {
	return cmp.Options{cmpopts.IgnoreFields(store.Known{}, "ID", "Read"), cmpopts.IgnoreFields(store.KnownRelease{}, "ID"),
		cmpopts.IgnoreFields(store.KnownJob{}, "ID")}
}

func TestAgreeOnWhatIsNew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.fresh("demo", "1.0", "2.0")
	a.Facts.Display, a.Facts.Status = "Demo", "archived"
	got := w.agree(a)
	if diff := cmp.Diff(store.Agreed{Queued: 2, Releases: 2}, got); diff != "" {
		t.Error(diff)
	}
	job := func() []store.KnownJob {
		return []store.KnownJob{{Target: w.targetID, State: farm.Queued, Priority: farm.PriorityBacklog}}
	}
	want := store.Known{
		ProjectFacts: store.ProjectFacts{Name: "demo", Display: "Demo", Status: "archived", Serial: 7, ETag: `"e"`, Followed: true},
		Revision:     1, Spellings: []string{"Demo"},
		Releases: []store.KnownRelease{
			{ReleaseFacts: a.Add[0].ReleaseFacts, Jobs: job()}, {ReleaseFacts: a.Add[1].ReleaseFacts, Jobs: job()}},
	}
	k := w.known("demo")
	if diff := cmp.Diff(want, k, ignoreIDs()); diff != "" {
		t.Error(diff)
	}
	if k.Read.IsZero() {
		t.Error("no time of reading")
	}
	if l, ok := w.claim("a", "r1"); !ok || l.Version != "2.0" {
		t.Errorf("claimed %+v, want the newest release", l)
	}
	w.agrees()
}

// TestAgreeMoves is what becomes of a job, a row each.
func TestAgreeMoves(t *testing.T) {
	t.Parallel()
	cases := []struct {
		what string
		from farm.State
		to   store.Planned
		want store.Agreed
	}{
		{"more urgent", farm.Queued, queued(farm.PriorityOperator), store.Agreed{}},
		{"no longer wanted", farm.Queued, store.Planned{State: farm.Skipped, Why: farm.WhyYanked, Reason: "yanked"}, store.Agreed{}},
		{"covered", farm.Queued, store.Planned{State: farm.Covered, Why: farm.WhyUpstream, Reason: "the upstream has it"}, store.Agreed{}},
		{"the reason fell", farm.Skipped, queued(farm.PriorityNew), store.Agreed{Queued: 1}},
		{"another reason", farm.Skipped, store.Planned{State: farm.Skipped, Why: farm.WhyYanked, Reason: "yanked"}, store.Agreed{}},
		{"other bytes of what failed", farm.Failed, queued(farm.PriorityNew), store.Agreed{Queued: 1}},
		{"under way, and quarantined", farm.Leased, store.Planned{State: farm.Skipped, Why: farm.WhyQuarantined, Reason: "held back"}, store.Agreed{Aborted: 1}},
	}
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.inState("demo", c.from)
			k := w.known("demo")
			a := change(k)
			a.Move = []store.JobMove{{Job: k.Releases[0].Jobs[0].ID, From: c.from, Planned: c.to}}
			if diff := cmp.Diff(c.want, w.agree(a)); diff != "" {
				t.Error(diff)
			}
			want := store.KnownJob{Target: w.targetID, State: c.to.State, Why: c.to.Why, Reason: c.to.Reason, Priority: c.to.Priority}
			if diff := cmp.Diff(want, w.known("demo").Releases[0].Jobs[0], ignoreIDs()); diff != "" {
				t.Error(diff)
			}
			w.agrees()
		})
	}
}

// inState makes a project of one release whose job is in that state.
func (w *world) inState(name string, state farm.State) {
	w.t.Helper()
	plan := queued(farm.PriorityBacklog)
	if state == farm.Skipped {
		plan = store.Planned{State: state, Why: farm.WhyNoSdist, Reason: "no sdist", Priority: farm.PriorityBacklog}
	}
	a := w.fresh(name)
	a.Add = []store.NewRelease{w.release("1.0", 1, plan)}
	w.agree(a)
	if state != farm.Leased && state != farm.Failed {
		return
	}
	l, ok := w.claim("a", "r1")
	if !ok {
		w.t.Fatal("nothing to build")
	}
	if state == farm.Failed {
		e := w.ending("a", l)
		e.Failure = farm.Failure{Cause: farm.CompilerError, Detail: "d"}
		_, err := w.FinishFailed(w.t.Context(), e)
		w.must(err)
	}
}

// TestAgreeAborts: the builder is told to stop, and what it brings does not count.
func TestAgreeAborts(t *testing.T) {
	t.Parallel()
	for what, ask := range map[string]func(*store.Agreement, store.KnownRelease){
		"its job is skipped": func(a *store.Agreement, r store.KnownRelease) {
			a.Move = []store.JobMove{{Job: r.Jobs[0].ID, From: farm.Leased,
				Planned: store.Planned{State: farm.Skipped, Why: farm.WhyQuarantined, Reason: "held back"}}}
		},
		"its job goes":     func(a *store.Agreement, r store.KnownRelease) { a.RemoveJobs = []int64{r.Jobs[0].ID} },
		"its release goes": func(a *store.Agreement, r store.KnownRelease) { a.Remove = []int64{r.ID} },
		"its project goes": func(a *store.Agreement, _ store.KnownRelease) { a.Gone = true },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.agree(w.fresh("demo", "1.0"))
			l, _ := w.claim("a", "r1")
			k := w.known("demo")
			a := change(k)
			ask(&a, k.Releases[0])
			orders := w.orders()
			if got := w.agree(a); got.Aborted != 1 || len(got.Changed) > 0 {
				t.Errorf("%+v, want one abort", got)
			}
			if diff := cmp.Diff(store.Order{Slave: "a", Do: store.OrderAbort, Token: l.Token}, next(t, orders)); diff != "" {
				t.Error(diff)
			}
			res, err := w.FinishBuilt(t.Context(), w.ending("a", l), w.wheel("demo-1.0-py3-none-any.whl"))
			if err == nil && res.Counted || err != nil && !errors.Is(err, farm.ErrNotFound) {
				t.Errorf("what it brings: %+v, %v", res, err)
			}
			w.agrees()
		})
	}
}

// TestAgreeRemovesWheels: with what is removed its wheels go, and the pages are
// told of it; file names stay taken.
func TestAgreeRemovesWheels(t *testing.T) {
	t.Parallel()
	for what, ask := range map[string]func(*store.Agreement, store.KnownRelease){
		"of a job":     func(a *store.Agreement, r store.KnownRelease) { a.RemoveJobs = []int64{r.Jobs[0].ID} },
		"of a release": func(a *store.Agreement, r store.KnownRelease) { a.Remove = []int64{r.ID} },
		"of a project": func(a *store.Agreement, _ store.KnownRelease) { a.Gone = true },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.agree(w.fresh("demo", "1.0", "2.0"), w.fresh("other", "1.0"))
			for range 3 {
				l, _ := w.claim("a", rand.Text())
				wheel := w.wheel(l.Package + "-" + l.Version + "-py3-none-any.whl")
				wheel.RequiresPython = ">=3.8, <4"
				_, err := w.FinishBuilt(t.Context(), w.ending("a", l), wheel)
				w.must(err)
			}
			w.forgetStale()
			k := w.known("demo")
			if j := k.Releases[1].Jobs[0]; j.Wheel != "demo-2.0-py3-none-any.whl" || j.WheelPython != ">=3.8, <4" {
				t.Errorf("known of a built job: %+v", j)
			}
			a := change(k)
			ask(&a, k.Releases[1])
			w.agree(a, change(w.known("other")))
			if diff := cmp.Diff([]string{"demo", store.RootScope}, w.staleNames()); diff != "" {
				t.Errorf("stale pages:\n%s", diff)
			}
			if p, err := w.Page(t.Context(), "demo"); err == nil && (len(p.Wheels) != 1 || p.Wheels[0].Version != "1.0") {
				t.Errorf("left: %+v", p.Wheels)
			}
			if a.Gone != (w.known("demo").ID == 0) {
				t.Errorf("the project: %+v", w.known("demo"))
			}
			names, err := w.PublishedNames(t.Context())
			w.must(err)
			if len(names) != 3 {
				t.Errorf("%d published names, they are for ever", len(names))
			}
			w.agrees()
		})
	}
}

// TestAgreeMarksPages: a page is written again if what it shows changed, and only
// if there is one.
func TestAgreeMarksPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.agree(w.fresh("demo", "1.0"), w.fresh("bare", "1.0"))
	l, _ := w.claim("a", "r1")
	_, err := w.FinishBuilt(t.Context(), w.ending("a", l), w.wheel(l.Package+"-1.0-py3-none-any.whl"))
	w.must(err)
	for what, c := range map[string]struct {
		ask  func(*store.Agreement)
		want []string
	}{
		"nothing new": {func(*store.Agreement) {}, []string{}},
		"a yank":      {func(a *store.Agreement) { a.Page = true }, []string{l.Package}},
		"a spelling":  {func(a *store.Agreement) { a.Facts.Display += "X" }, []string{l.Package}},
	} {
		w.forgetStale()
		one, two := change(w.known("demo")), change(w.known("bare"))
		c.ask(&one)
		c.ask(&two)
		w.agree(one, two)
		if diff := cmp.Diff(c.want, w.staleNames()); diff != "" {
			t.Errorf("%s:\n%s", what, diff)
		}
	}
}

// TestSpellings: all that were seen are kept, as many as there is room for, each
// once, and the newest is shown. A row of before they were kept begins with its own.
func TestSpellings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.agree(w.fresh("demo", "1.0"))
	w.must(w.exec(`update packages set spellings = '{}'`))
	for _, s := range []string{"Demo", "demo", "DEMO", "Demo"} {
		a := change(w.known("demo"))
		a.Facts.Display = s
		w.agree(a)
	}
	k := w.known("demo")
	if diff := cmp.Diff([]string{"demo", "Demo", "DEMO"}, k.Spellings); diff != "" || k.Display != "Demo" {
		t.Errorf("shown as %s:\n%s", k.Display, diff)
	}
	for i := range 150 {
		a := change(w.known("demo"))
		a.Facts.Display = fmt.Sprintf("demo%d", i)
		w.agree(a)
	}
	k = w.known("demo")
	if len(k.Spellings) != 100 || k.Spellings[99] != "demo149" || k.Spellings[0] != "demo50" {
		t.Errorf("%d spellings, from %s", len(k.Spellings), k.Spellings[0])
	}
}

// TestAgreeUpdatesReleases: their facts are the upstream's, and their jobs follow
// their time.
func TestAgreeUpdatesReleases(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.agree(w.fresh("demo", "1.0", "2.0"))
	k := w.known("demo")
	r := k.Releases[0]
	r.ReleaseFacts = store.ReleaseFacts{Version: "1.0", Raw: "v1.0", Released: day(9), Yanked: true, YankReason: "broken",
		RequiresPython: ">=3.9", Sdist: farm.Sdist{Filename: "f", URL: "u2", SHA256: "s2", Size: 3}, Wheels: "cp39-abi3-linux_armv7l"}
	a := change(k)
	a.Update = []store.KnownRelease{r}
	a.Facts.Status, a.Facts.StatusReason, a.Facts.Followed = "quarantined", "malware", false
	w.agree(a)
	got := w.known("demo")
	if diff := cmp.Diff(r, got.Releases[1]); diff != "" {
		t.Error(diff)
	}
	if got.Status != "quarantined" || got.StatusReason != "malware" || !got.Followed || got.Revision != k.Revision+1 {
		t.Errorf("the project: %+v; who is followed stays so", got)
	}
	if l, ok := w.claim("a", "r1"); !ok || l.Version != "1.0" {
		t.Errorf("claimed %+v; 1.0 is the newest now", l)
	}
	// Without a time, the one that is known stays.
	r.Released = time.Time{}
	a = change(got)
	a.Update = []store.KnownRelease{r}
	w.agree(a)
	if got := w.known("demo").Releases[1].Released; !got.Equal(day(9)) {
		t.Errorf("released %s", got)
	}
}

// TestAgreeAddsJobs of known releases, as a new target does.
func TestAgreeAddsJobs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.agree(w.fresh("demo", "1.0"))
	other := w.second()
	k := w.known("demo")
	a := change(k)
	a.Unread = true
	a.AddJobs = []store.NewJob{{Release: k.Releases[0].ID, Target: other, Planned: store.Planned{
		State: farm.Waiting, Why: farm.WhyLowerTarget, Reason: "waits", Waits: w.targetID, Priority: farm.PriorityNew}}}
	w.agree(a)
	got := w.known("demo")
	want := store.KnownJob{Target: other, State: farm.Waiting, Why: farm.WhyLowerTarget, Reason: "waits", Waits: w.targetID, Priority: farm.PriorityNew}
	if diff := cmp.Diff(want, got.Releases[0].Jobs[1], ignoreIDs()); diff != "" {
		t.Error(diff)
	}
	if !got.Read.Equal(k.Read) {
		t.Error("it was not read, and says so")
	}
	w.agrees()
}

// second adds another target, of a higher Python.
func (w *world) second() int64 {
	w.t.Helper()
	other := farm.Target{ABI: "cp313", Platform: target.Platform}
	w.must(w.AddTarget(w.t.Context(), other, farm.Facts{}, "test"))
	rows, err := w.Targets(w.t.Context())
	w.must(err)
	return rows[1].ID
}
