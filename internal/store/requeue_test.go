package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// failAt takes the queue's head to a failure on a slave.
func (w *world) failAt(slave, request string, f farm.Failure, excerpt string) farm.Lease {
	w.t.Helper()
	l, ok := w.claim(slave, request)
	if !ok {
		w.t.Fatal("nothing to build")
	}
	e := w.ending(slave, l)
	e.Failure, e.Excerpt = f, excerpt
	_, err := w.FinishFailed(w.t.Context(), e)
	w.must(err)
	return l
}

// failures is a world in which all of these have failed, the first one longest ago,
// but "slow", which waits for another try.
func failures(t *testing.T) *world {
	w := newWorld(t)
	header := farm.Failure{Cause: farm.MissingHeader, Detail: "ffi.h", Hint: "apt: libffi-dev"}
	for i, f := range []struct {
		name, slave string
		failure     farm.Failure
		excerpt     string
	}{
		{"cffi", "a", header, "fatal error: ffi.h: No such file"},
		{"lxml", "a", farm.Failure{Cause: farm.MissingHeader, Detail: "libxml/parser.h"}, "fatal error: libxml/parser.h: No such file"},
		{"old", "b", farm.Failure{Cause: farm.PythonSyntax}, "print 'hello'"},
		{"ffi", "b", header, "fatal error: ffi.h: No such file"},
		{"slow", "b", farm.Failure{Cause: farm.SlaveFault}, "disk"},
	} {
		w.add(f.name, "1.0")
		w.failAt(f.slave, f.name, f.failure, f.excerpt)
		w.must(w.exec(`update jobs set changed_at = now() - $2 * interval '1 hour' where release_id = (
            select r.id from releases r join packages p on p.id = r.package_id where p.name = $1)`, f.name, 100-i*10))
	}
	return w
}

// jobRows are all jobs as they stand in the table.
func (w *world) jobRows() map[string]string {
	w.t.Helper()
	conn, err := pgx.Connect(w.t.Context(), w.dsn)
	w.must(err)
	defer conn.Close(context.Background())
	rows, err := conn.Query(w.t.Context(), `
select p.name || ' ' || r.version || ' ' || t.name, to_jsonb(j)::text
from jobs j join releases r on r.id = j.release_id join packages p on p.id = r.package_id join targets t on t.id = j.target_id`)
	w.must(err)
	out := map[string]string{}
	var name, row string
	_, err = pgx.ForEachRow(rows, []any{&name, &row}, func() error { out[name] = row; return nil })
	w.must(err)
	return out
}

// firstNames are the packages that a requeue names.
func firstNames(r store.Requeued) string {
	var names []string
	for _, j := range r.First {
		names = append(names, j.Package)
	}
	return strings.Join(names, " ")
}

// TestRequeueSelects: what each selector picks, that a dry run tells the same as the
// real one, and that it and an undo leave every row as it was.
func TestRequeueSelects(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		sel  store.Selector
		want string
	}{
		"nothing asked for":  {store.Selector{}, "cffi ffi lxml old"},
		"a package":          {store.Selector{Package: "lxml"}, "lxml"},
		"one told to wait":   {store.Selector{Package: "slow"}, "slow"},
		"a version":          {store.Selector{Version: "1.0"}, "cffi ffi lxml old"},
		"another version":    {store.Selector{Version: "2.0"}, ""},
		"a target":           {store.Selector{Target: target.String()}, "cffi ffi lxml old"},
		"another target":     {store.Selector{Target: "cp39-linux_armv7l"}, ""},
		"what has failed":    {store.Selector{Failed: true}, "cffi ffi lxml old"},
		"a cause":            {store.Selector{Cause: farm.MissingHeader}, "cffi ffi lxml"},
		"a slave":            {store.Selector{Slave: "b"}, "ffi old"},
		"a slave's failures": {store.Selector{Slave: "b", Failed: true}, "ffi old"},
		"a time":             {store.Selector{Since: time.Now().Add(-85 * time.Hour)}, "ffi old"},
		"all of them": {store.Selector{Package: "ffi", Version: "1.0", Target: target.String(), Failed: true, Cause: farm.MissingHeader,
			Slave: "b", Since: time.Now().Add(-85 * time.Hour)}, "ffi"},
		"some that part": {store.Selector{Cause: farm.MissingHeader, Slave: "b", Package: "old"}, ""},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := failures(t)
			before := w.jobRows()
			wish := store.Requeue{Selector: c.sel, Priority: farm.PriorityBacklog, Actor: "ada", Few: 10, DryRun: true}
			dry, err := w.Requeue(t.Context(), wish)
			w.must(err)
			if diff := cmp.Diff(before, w.jobRows()); diff != "" {
				t.Errorf("a dry run changed something:\n%s", diff)
			}
			if got := firstNames(dry); got != c.want || dry.Audit != 0 {
				t.Errorf("picked %q, want %q", got, c.want)
			}
			wish.DryRun = false
			moved, err := w.Requeue(t.Context(), wish)
			w.must(err)
			same := cmp.Options{cmpopts.IgnoreFields(store.Requeued{}, "Audit"), cmpopts.EquateEmpty(),
				cmp.Transformer("name", func(j store.JobRow) string { return j.Package })}
			if diff := cmp.Diff(dry, moved, same); diff != "" {
				t.Errorf("the dry run told otherwise (-dry +real):\n%s", diff)
			}
			for _, j := range moved.First {
				if j.State != farm.Queued || j.Priority != farm.PriorityBacklog || j.Cause != "" || j.Losses != 0 {
					t.Errorf("%+v", j)
				}
			}
			if moved.Jobs == 0 {
				if moved.Audit != 0 {
					t.Error("nothing was done, and is in the audit trail")
				}
				return
			}
			undone, err := w.Undo(t.Context(), moved.Audit, "bob", 10)
			w.must(err)
			if diff := cmp.Diff(before, w.jobRows()); diff != "" || undone.Jobs != moved.Jobs {
				t.Errorf("%d of %d taken back, which are (-before +after)\n%s", undone.Jobs, moved.Jobs, diff)
			}
		})
	}
}

// TestRequeueTheNamed: of the selected ones only those that somebody has looked at.
func TestRequeueTheNamed(t *testing.T) {
	t.Parallel()
	w := failures(t)
	sel := store.Selector{Cause: farm.MissingHeader}
	ids, err := w.FailedJobs(t.Context(), sel)
	w.must(err)
	builds, err := w.FailedBuilds(t.Context(), ids)
	w.must(err)
	var matched []int64
	var read []string
	for _, b := range builds {
		read = append(read, fmt.Sprint(b.Package, " ", b.Version, " ", b.Target, ": ", b.Excerpt))
		if strings.Contains(b.Excerpt, "ffi.h") {
			matched = append(matched, b.Job)
		}
	}
	slices.Sort(read)
	want := []string{"cffi 1.0 " + target.String() + ": fatal error: ffi.h: No such file", "ffi 1.0 " + target.String() + ": fatal error: ffi.h: No such file",
		"lxml 1.0 " + target.String() + ": fatal error: libxml/parser.h: No such file"}
	if diff := cmp.Diff(want, read); diff != "" {
		t.Error(diff)
	}
	got, err := w.Requeue(t.Context(), store.Requeue{Selector: sel, Jobs: matched, Actor: "ada", Few: 10})
	w.must(err)
	if names := firstNames(got); names != "cffi ffi" {
		t.Errorf("moved %s", names)
	}
	got, err = w.Requeue(t.Context(), store.Requeue{Selector: sel, Jobs: []int64{}, Actor: "ada", Few: 10})
	w.must(err)
	if got.Jobs != 0 {
		t.Errorf("of no jobs, %d were moved", got.Jobs)
	}
}

// TestRequeueLeaves what could not be built, and says why.
func TestRequeueLeaves(t *testing.T) {
	t.Parallel()
	w := failures(t)
	w.must(w.exec(`update packages set status = 'quarantined' where name = 'lxml'`))
	w.must(w.exec(`update releases set quarantined = true where package_id = (select id from packages where name = 'old')`))
	w.must(w.exec(`insert into skips (package, version, target, reason, author) values ('cffi', '1.0', $1, 'no', 'ada'), ('ffi', '2.0', '', 'no', 'ada')`, target.String()))
	for _, dry := range []bool{true, false} {
		got, err := w.Requeue(t.Context(), store.Requeue{Selector: store.Selector{Failed: true}, Actor: "ada", Few: 10, DryRun: dry})
		w.must(err)
		left := map[farm.Why]int64{}
		for _, g := range got.Left {
			left[g.Why] = g.Jobs
		}
		if diff := cmp.Diff(map[farm.Why]int64{farm.WhyQuarantined: 2, farm.WhyByHand: 1}, left); diff != "" || firstNames(got) != "ffi" {
			t.Errorf("moved %s, left:\n%s", firstNames(got), diff)
		}
	}
	_, err := w.RetireTarget(t.Context(), target, "ada")
	w.must(err)
	got, err := w.Requeue(t.Context(), store.Requeue{Selector: store.Selector{Failed: true}, Actor: "ada", Few: 10})
	w.must(err)
	if got.Jobs != 0 || len(got.Left) != 1 || got.Left[0].Why != farm.WhyRetired || got.Left[0].Jobs != 3 {
		t.Errorf("%+v", got)
	}
}

// TestUndoLeavesWhatMoved: a job that was built, failed again or was removed since
// stays as it is now, and is counted.
func TestUndoLeavesWhatMoved(t *testing.T) {
	t.Parallel()
	w := failures(t)
	before := w.jobRows()
	moved, err := w.Requeue(t.Context(), store.Requeue{Actor: "ada", Words: "--failed", Few: 10})
	w.must(err)
	one := w.failAt("a", "again", farm.Failure{Cause: farm.CompilerError}, "")
	two, _ := w.claim("a", "leased")
	after := w.jobRows()
	var gone string
	for _, name := range []string{"old", "lxml", "ffi", "cffi"} {
		if name != one.Package && name != two.Package {
			gone = name
			break
		}
	}
	w.removed(gone)

	undone, err := w.Undo(t.Context(), moved.Audit, "bob", 10)
	w.must(err)
	var named []string
	for _, j := range undone.First {
		named = append(named, j.Package)
	}
	want := []string{one.Package, two.Package}
	slices.Sort(want)
	if diff := cmp.Diff(want, named); diff != "" || undone.Jobs != 1 || undone.Gone != 1 || undone.Moved["failed"] != 1 || undone.Moved["leased"] != 1 {
		t.Errorf("%+v\n%s", undone, diff)
	}
	for name, row := range w.jobRows() {
		pkg, _, _ := strings.Cut(name, " ")
		want := before[name]
		if pkg == one.Package || pkg == two.Package {
			want = after[name]
		}
		if row != want {
			t.Errorf("%s is\n%s, want\n%s", name, row, want)
		}
	}
	if bad, err := w.Contradictions(t.Context()); err != nil || len(bad) > 0 {
		t.Errorf("%v, %v", bad, err)
	}

	// Once is enough, and what cannot be taken back is said.
	if _, err = w.Undo(t.Context(), moved.Audit, "bob", 1); !errors.Is(err, farm.ErrConflict) || !strings.Contains(err.Error(), "bob took it back") {
		t.Errorf("twice: %v", err)
	}
	if _, err = w.Undo(t.Context(), undone.Audit, "bob", 1); err == nil || !strings.Contains(err.Error(), "only requeue, priority, skip, unskip and changes of recipes") {
		t.Errorf("an undo: %v", err)
	}
	if _, err = w.Undo(t.Context(), 4711, "bob", 1); !errors.Is(err, farm.ErrNotFound) {
		t.Errorf("nothing: %v", err)
	}
	notes, err := w.History(t.Context(), 3, true)
	w.must(err)
	if len(notes) != 3 || notes[0].Action != store.ActionUndo || notes[0].Actor != "bob" || notes[0].Subject != fmt.Sprint("requeue ", moved.Audit) ||
		notes[2].Action != store.ActionRequeue || notes[2].Undone != undone.Audit || notes[2].Subject != "--failed" || notes[2].Detail["jobs"] != 4.0 {
		t.Errorf("the audit trail: %+v", notes)
	}
}

// TestUndoOfLongAgo: what jobs were is not kept for ever.
func TestUndoOfLongAgo(t *testing.T) {
	t.Parallel()
	w := failures(t)
	moved, err := w.Requeue(t.Context(), store.Requeue{Selector: store.Selector{Package: "old"}, Actor: "ada"})
	w.must(err)
	risen, err := w.Requeue(t.Context(), store.Requeue{Selector: store.Selector{Package: "old"}, Queued: true, Priority: farm.PriorityNew, Actor: "ada"})
	w.must(err)
	if risen.Jobs == 0 {
		t.Fatal("nothing was queued")
	}
	w.must(w.exec(`update audit_trail set at = now() - interval '31 days' where id = any($1)`, []int64{moved.Audit, risen.Audit}))
	if _, err = w.Undo(t.Context(), moved.Audit, "bob", 1); err == nil || !strings.Contains(err.Error(), "older than 30 days") {
		t.Errorf("%v", err)
	}
	_, err = w.Requeue(t.Context(), store.Requeue{Selector: store.Selector{Package: "lxml"}, Actor: "ada"})
	w.must(err)
	w.must(w.exec(`do $$ begin if (select count(*) from moved_jobs) <> 1 then raise 'what is old is kept'; end if; end $$`))
}

// TestUndoTellsWhoWaits: what has failed again keeps nobody waiting for it.
func TestUndoTellsWhoWaits(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	l, _ := c.claim("a", "r")
	c.failed(l, farm.CompilerError)
	moved, err := c.Requeue(t.Context(), store.Requeue{Selector: store.Selector{Failed: true}, Actor: "ada"})
	c.must(err)
	// As an agreement has it: the lowest is to be built again, and the others wait.
	a := change(c.known("demo"))
	for _, j := range a.Known.Releases[0].Jobs[1:] {
		a.Move = append(a.Move, store.JobMove{Job: j.ID, From: farm.Queued, Planned: store.Planned{
			State: farm.Waiting, Why: farm.WhyLowerTarget, Reason: "cp39 builds first", Waits: c.ids[0], Priority: farm.PriorityBacklog}})
	}
	c.agree(a)
	if got := c.states(); got != "queued, waiting lower-target, waiting lower-target" {
		t.Fatal(got)
	}
	_, err = c.Undo(t.Context(), moved.Audit, "ada", 1)
	c.must(err)
	if got := c.states(); got != "failed, queued, queued" {
		t.Error(got)
	}
}

// TestPriorityIsNoOtherTry: a place in the queue makes nothing of a job's tries undone, nor
// of what it needs, and can be taken back.
func TestPriorityIsNoOtherTry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("demo", "1.0")
	w.must(w.exec(`update jobs set faults = 1, timeouts = 1, memory_outs = 1, needs_memory = 2::bigint << 30, learnt_memory = 2::bigint << 30,
		not_before = now() + interval '1 hour', avoids_slave_id = (select id from slaves where name = 'a')`))
	before := w.jobRows()
	got, err := w.Requeue(t.Context(), store.Requeue{Selector: store.Selector{Package: "demo"}, Queued: true, Priority: farm.PriorityNew,
		Actor: "test", Words: "demo, new"})
	w.must(err)
	if got.Jobs != 1 || got.Forgot != 0 {
		t.Errorf("moved %+v", got)
	}
	want := "queued priority 20 faults 1 timeouts 1 memory_outs 1 needs 2048 later avoids a"
	if tries := w.tries("demo"); tries != want {
		t.Errorf("%s, want %s", tries, want)
	}
	if actions := w.trail("demo, new"); actions != "priority" {
		t.Errorf("the audit trail says %q", actions)
	}
	undone, err := w.Undo(t.Context(), got.Audit, "bob", 1)
	w.must(err)
	if undone.Jobs != 1 {
		t.Errorf("undone: %+v", undone)
	}
	if diff := cmp.Diff(before, w.jobRows()); diff != "" {
		t.Errorf("after undo (-want +got):\n%s", diff)
	}
}
