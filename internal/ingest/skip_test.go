package ingest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// skipWorld is a followed project with two releases on two targets; the older one
// has failed on the lower.
func skipWorld(t *testing.T) *world {
	w := newWorld(t, "-- demo==1.0 --\n-- demo==2.0 --\n", v7, v13)
	w.cfg.Policy = farm.DefaultPolicy()
	w.add(Ask{Package: "demo", Priority: farm.PriorityBacklog})
	w.want("demo 2.0 "+v7+" queued", "demo 2.0 "+v13+" waiting "+v7+" builds first",
		"demo 1.0 "+v7+" queued", "demo 1.0 "+v13+" waiting "+v7+" builds first")
	w.enroll("a")
	w.ended("a", "r1", farm.Failure{}) // 2.0
	w.ended("a", "r2", farm.Failure{Cause: farm.CompilerError})
	return w
}

func (w *world) enroll(name string) {
	w.t.Helper()
	if err := w.store.EnrollSlave(w.t.Context(), name, farm.RoleSlave, "key-"+name, "test"); err != nil {
		w.t.Fatal(err)
	}
}

// ended leases the head of the lowest target, and lets it fail if there is a cause.
func (w *world) ended(slave, request string, f farm.Failure) {
	w.t.Helper()
	row, err := w.store.Slave(w.t.Context(), slave)
	if err != nil {
		w.t.Fatal(err)
	}
	targets, err := w.store.Targets(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	_, ok, err := w.store.Claim(w.t.Context(), store.ClaimRequest{Slave: row.ID, Request: request, Token: request, Targets: []int64{targets[0].ID}, Length: time.Hour})
	if err != nil || !ok {
		w.t.Fatal(ok, err)
	}
	if f.Cause == "" {
		return
	}
	if _, err := w.store.FinishFailed(w.t.Context(), store.Ending{Slave: row.ID, Token: request, Failure: f}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) say(do func(context.Context, Word) (Told, error), word Word) Told {
	w.t.Helper()
	word.Actor = "ada"
	told, err := do(w.t.Context(), word)
	if err != nil {
		w.t.Fatal(err)
	}
	return told
}

// TestSkipAndBack: a word takes effect at once on whatever the jobs are, and is
// taken back exactly, or by another word.
func TestSkipAndBack(t *testing.T) {
	t.Parallel()
	w := skipWorld(t)
	before := w.jobs()
	if diff := cmp.Diff([]string{"demo 2.0 " + v7 + " leased", "demo 2.0 " + v13 + " waiting " + v7 + " builds first",
		"demo 1.0 " + v7 + " failed", "demo 1.0 " + v13 + " queued"}, before); diff != "" {
		t.Fatal(diff)
	}
	skipped := []string{"demo 2.0 " + v7 + " skipped by hand", "demo 2.0 " + v13 + " skipped by hand",
		"demo 1.0 " + v7 + " skipped by hand", "demo 1.0 " + v13 + " skipped by hand"}
	told := w.say(w.Skip, Word{Package: "demo", Reason: "too big"})
	w.want(skipped...)
	if !told.Known || told.Moved[farm.Skipped] != 4 || told.Aborted != 1 || told.Audit == 0 {
		t.Errorf("%+v", told)
	}
	if len(told.Skips) != 1 || time.Since(told.Skips[0].At).Abs() > time.Hour {
		t.Errorf("the word does not say when: %+v", told.Skips)
	}

	// Its undo brings the failure back as it was; a lease it cannot.
	undone, err := w.store.Undo(t.Context(), told.Audit, "bob", 1)
	if err != nil {
		t.Fatal(err)
	}
	w.want("demo 2.0 "+v7+" queued", before[1], before[2], before[3])
	if undone.Jobs != 4 || len(undone.Lifted) != 1 {
		t.Errorf("%+v", undone)
	}
	if left, err := w.store.AllSkips(t.Context()); err != nil || len(left) != 0 {
		t.Errorf("%v, %v", left, err)
	}
	rows, err := w.store.Jobs(t.Context(), store.Selector{Failed: true})
	if err != nil || len(rows) != 1 || rows[0].Cause != string(farm.CompilerError) {
		t.Errorf("%+v, %v", rows, err)
	}

	// unskip decides anew: what had failed is tried again.
	w.say(w.Skip, Word{Package: "demo", Reason: "too big"})
	told = w.say(w.Unskip, Word{Package: "demo"})
	w.want("demo 2.0 "+v7+" queued", before[1], "demo 1.0 "+v7+" queued", "demo 1.0 "+v13+" waiting "+v7+" builds first")
	if len(told.Skips) != 1 || told.Skips[0].Reason != "too big" {
		t.Errorf("%+v", told)
	}
	if _, err := w.store.Undo(t.Context(), told.Audit, "bob", 1); err != nil {
		t.Fatal(err)
	}
	w.want(skipped...)
	left, err := w.store.AllSkips(t.Context())
	if err != nil || len(left) != 1 || left[0].Author != "ada" || left[0].Reason != "too big" {
		t.Errorf("%+v, %v", left, err)
	}
}

// TestSkipSome: of some versions, in any spelling, on one target; the others go on.
func TestSkipSome(t *testing.T) {
	t.Parallel()
	w := skipWorld(t)
	told := w.say(w.Skip, Word{Package: "demo", Versions: []string{"2.0.0", "3.0"}, Target: v7, Reason: "hangs"})
	w.want("demo 2.0 "+v7+" skipped by hand", "demo 2.0 "+v13+" queued", "demo 1.0 "+v7+" failed", "demo 1.0 "+v13+" queued")
	if diff := cmp.Diff([]string{"3.0"}, told.Unknown); diff != "" {
		t.Error(diff)
	}
	// Undone, the one that waited for it waits again, since it has something to wait for.
	if _, err := w.store.Undo(t.Context(), told.Audit, "ada", 1); err != nil {
		t.Fatal(err)
	}
	w.want("demo 2.0 "+v7+" queued", "demo 2.0 "+v13+" waiting "+v7+" builds first", "demo 1.0 "+v7+" failed", "demo 1.0 "+v13+" queued")
	if bad, err := w.store.Contradictions(t.Context()); err != nil || len(bad) > 0 {
		t.Errorf("%v, %v", bad, err)
	}
}

// TestSkipAnew: a word in place of another one, of which both come back in turn.
func TestSkipAnew(t *testing.T) {
	t.Parallel()
	w := skipWorld(t)
	w.say(w.Skip, Word{Package: "demo", Reason: "first"})
	second := w.say(w.Skip, Word{Package: "demo", Reason: "second"})
	reasons := func() (list []string) {
		all, err := w.store.AllSkips(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range all {
			list = append(list, s.Reason)
		}
		return list
	}
	if diff := cmp.Diff([]string{"second"}, reasons()); diff != "" {
		t.Error(diff)
	}
	if _, err := w.store.Undo(t.Context(), second.Audit, "ada", 1); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"first"}, reasons()); diff != "" {
		t.Error(diff)
	}
	// What somebody else says of it in the meantime stays.
	lifted := w.say(w.Unskip, Word{Package: "demo"})
	w.say(w.Skip, Word{Package: "demo", Reason: "third"})
	undone, err := w.store.Undo(t.Context(), lifted.Audit, "ada", 1)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"third"}, reasons()); diff != "" || len(undone.Kept) != 0 {
		t.Errorf("%+v: %s", undone, diff)
	}
	// And the project is planned again, for what came meanwhile.
	if _, ok, err := w.store.ReadingOf(t.Context(), "demo"); err != nil || !ok {
		t.Errorf("on the worklist: %v, %v", ok, err)
	}
	if _, err := w.Unskip(t.Context(), Word{Package: "demo", Versions: []string{"1.0"}, Actor: "ada"}); !errors.Is(err, ErrNotSkipped) {
		t.Errorf("%v", err)
	}
	if _, err := w.Unskip(t.Context(), Word{Package: "other", Actor: "ada"}); !errors.Is(err, ErrNotSkipped) {
		t.Errorf("%v", err)
	}
}

// TestSkipTheUnknown: what the farm does not have yet is skipped when it comes, and
// does not come by that.
func TestSkipTheUnknown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "-- demo==1.0 --\n", v7)
	told := w.say(w.Skip, Word{Package: "demo", Reason: "no"})
	if told.Known || told.Audit == 0 {
		t.Errorf("%+v", told)
	}
	if got := w.jobs(); len(got) != 0 {
		t.Errorf("it has come: %v", got)
	}
	w.add(Ask{Package: "demo"})
	w.want("demo 1.0 " + v7 + " skipped by hand")
}

// TestUnskipInAnotherSpelling: what was said of a version before the farm knew it is taken
// back in whichever spelling the upstream has (PEP 440).
func TestUnskipInAnotherSpelling(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "-- demo==1.0.0 --\n-- demo==2.0 --\n", v7)
	w.say(w.Skip, Word{Package: "demo", Versions: []string{"1.0"}, Reason: "no"})
	w.add(Ask{Package: "demo"})
	w.want("demo 2.0 "+v7+" queued", "demo 1.0.0 "+v7+" skipped by hand")
	if told := w.say(w.Unskip, Word{Package: "demo", Versions: []string{"1.0"}}); len(told.Skips) != 1 || told.Moved[farm.Queued] != 1 {
		t.Errorf("%+v", told)
	}
	w.want("demo 2.0 "+v7+" queued", "demo 1.0.0 "+v7+" queued")
}

// TestRemovedStaysRemoved: what a maintainer took down is not built when the
// upstream is read again, until somebody adds it.
func TestRemovedStaysRemoved(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	r.begun()
	r.start()
	r.upstream.MustAdd(t, "-- demo==1.0 --\n-- demo==2.0 --\n")
	r.untilJobs("demo 1.0 "+v7+" queued", "demo 2.0 "+v7+" queued")
	_, err := r.store.Remove(t.Context(), "demo", []string{"1.0"}, "ada")
	r.must(err)
	r.upstream.MustAdd(t, "-- demo==3.0 --\n")
	r.untilJobs("demo 1.0 "+v7+" skipped", "demo 2.0 "+v7+" queued", "demo 3.0 "+v7+" queued")
	_, err = r.store.Remove(t.Context(), "demo", nil, "ada")
	r.must(err)
	r.untilJobs()
	r.upstream.MustAdd(t, "-- demo==4.0 --\n")
	r.untilJobs("demo 1.0 "+v7+" skipped", "demo 2.0 "+v7+" skipped", "demo 3.0 "+v7+" skipped", "demo 4.0 "+v7+" skipped")

	in := New(Config{Store: r.store, Upstream: r.client, Policy: farm.DefaultPolicy(), Log: r.log})
	_, err = in.Add(t.Context(), Ask{Package: "demo", Versions: []string{"2.0"}, Actor: "ada"})
	r.must(err)
	left, err := r.store.Skips(t.Context(), []string{"demo"})
	r.must(err)
	if len(left) != 1 || left[0].Version != "1.0" {
		t.Errorf("%+v", left)
	}
	r.upstream.MustAdd(t, "-- demo==5.0 --\n")
	r.untilJobs("demo 1.0 "+v7+" skipped", "demo 2.0 "+v7+" queued", "demo 3.0 "+v7+" queued", "demo 4.0 "+v7+" queued", "demo 5.0 "+v7+" queued")
}
