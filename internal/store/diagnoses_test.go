package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// failsBy takes the next job of the queue through a build that fails.
func (w *world) failsBy(request string, f farm.Failure, from farm.Source, excerpt string) farm.Lease {
	w.t.Helper()
	l, ok := w.claim("a", request)
	if !ok {
		w.t.Fatal("there is no job")
	}
	e := w.ending("a", l)
	e.Failure, e.Excerpt, e.Record.CauseFrom = f, excerpt, from
	_, err := w.FinishFailed(w.t.Context(), e)
	w.must(err)
	return l
}

func (w *world) diagnoses(after int64, limit int) []store.Diagnosis {
	w.t.Helper()
	list, err := w.Diagnoses(w.t.Context(), after, limit)
	w.must(err)
	return list
}

func TestDiagnosesInPieces(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("demo", "1.0", "2.0", "3.0", "4.0")
	crash := farm.Failure{Cause: farm.Crashed, Detail: "boom", Hint: "h"}
	var want []int64
	for i := range 3 {
		want = append(want, w.failsBy(fmt.Sprint("r", i), crash, farm.FromLog, "excerpt "+fmt.Sprint(i)).Build)
	}
	lost, _ := w.claim("a", "lost")
	w.must(w.exec(`update builds set outcome = 'lost', ended_at = now() where id = $1`, lost.Build))
	w.must(w.exec(`update jobs set state = 'failed', cause = 'slave-lost', lease_token = null, lease_slave_id = null, lease_deadline = null where id = $1`, lost.Job))
	var got []int64
	for after, n := int64(0), 0; ; n++ {
		piece := w.diagnoses(after, 2)
		if len(piece) == 0 {
			if n != 2 {
				t.Errorf("%d pieces of 2", n)
			}
			break
		}
		for _, d := range piece {
			if d.Failure != crash || d.From != farm.FromLog || len(d.Excerpt) != len("excerpt 0") {
				t.Errorf("read %+v", d)
			}
			if after >= d.Job {
				t.Errorf("job %d comes after %d", d.Job, after)
			}
			after = d.Job
			got = append(got, d.Build)
		}
	}
	if len(got) != len(want) {
		t.Errorf("builds %v, want those of %v in the order of their jobs", got, want)
	}
	first, last, err := w.JobSpan(t.Context())
	w.must(err)
	if all := w.diagnoses(0, 10); first > all[0].Job || last < lost.Job || last < all[2].Job {
		t.Errorf("jobs from %d to %d", first, last)
	}
}

// TestRediagnose changes words and nothing else, and only of what is as it was read.
func TestRediagnose(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("demo", "1.0", "2.0", "3.0")
	old := farm.Failure{Cause: farm.Unknown}
	for i := range 3 {
		w.failsBy(fmt.Sprint("r", i), old, farm.FromLog, "ffi")
	}
	read := w.diagnoses(0, 10)
	ffi := farm.Failure{Cause: farm.MissingHeader, Detail: "ffi.h", Hint: "apt: libffi-dev"}
	list := make([]store.Rediagnosis, 3)
	for i, d := range read {
		list[i] = store.Rediagnosis{Diagnosis: d, Now: ffi}
	}
	// One is queued again meanwhile, and one has failed anew.
	for _, version := range []string{"2.0", "3.0"} {
		_, err := w.Requeue(t.Context(), store.Requeue{Selector: store.Selector{Version: version}, Actor: "test"})
		w.must(err)
	}
	w.must(w.exec(`update jobs set not_before = now() + interval '1 hour' where id in (select id from job_facts where version = '2.0')`))
	w.failsBy("again", farm.Failure{Cause: farm.Prompt, Detail: "why"}, farm.FromLog, "why")
	before := w.state("demo", "1.0")

	run := store.Reclassification{Actor: "ann", Rules: "the rules", Read: 3}
	w.must(w.Rediagnose(t.Context(), &run, list[:1]))
	first := run.Audit
	w.must(w.Rediagnose(t.Context(), &run, list[1:]))
	w.must(w.Rediagnose(t.Context(), &run, nil))
	if run.Audit != first || first == 0 || run.Changed() != 1 {
		t.Errorf("run %+v", run)
	}
	after := w.state("demo", "1.0")
	if after.Cause != "missing-header" || after.Detail != "ffi.h" || after.Hint != "apt: libffi-dev" {
		t.Errorf("the job is %+v", after)
	}
	before.Cause, before.Detail, before.Hint = after.Cause, after.Detail, after.Hint
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("more has changed than words (-before +after):\n%s", diff)
	}
	builds, err := w.BuildsOf(t.Context(), after.ID)
	w.must(err)
	if builds[0].Cause != "missing-header" || builds[0].Detail != "ffi.h" || builds[0].Outcome != "failed" {
		t.Errorf("its build is %+v", builds[0])
	}
	if j := w.state("demo", "2.0"); j.State != farm.Queued || j.Cause != "" {
		t.Errorf("the one that is queued again is %+v", j)
	}
	if j := w.state("demo", "3.0"); j.Cause != "prompt" {
		t.Errorf("the one that failed anew is %+v", j)
	}
	w.must(w.EndReclassification(t.Context(), &run))
	w.wantTrail("reclassify", `{"ended": true, "jobs": 1, "moves": {"unknown to missing-header": 1}, "read": 3}`)
	w.agrees()
}

// TestNothingToRediagnose leaves nothing in the audit trail.
func TestNothingToRediagnose(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := store.Reclassification{Actor: "ann"}
	w.must(w.Rediagnose(t.Context(), &run, nil))
	w.must(w.EndReclassification(t.Context(), &run))
	if run.Audit != 0 || run.Changed() != 0 {
		t.Errorf("run %+v", run)
	}
}

// wantTrail holds the rows of the audit trail for an action against JSON.
func (w *world) wantTrail(action string, want ...string) {
	w.t.Helper()
	conn, err := pgx.Connect(w.t.Context(), w.dsn)
	w.must(err)
	defer conn.Close(context.Background())
	rows, err := conn.Query(w.t.Context(), `select detail from audit_trail where action = $1 order by id`, action)
	w.must(err)
	got, err := pgx.CollectRows(rows, pgx.RowTo[any])
	w.must(err)
	var wanted []any
	for _, s := range want {
		var v any
		w.must(json.Unmarshal([]byte(s), &v))
		wanted = append(wanted, v)
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		w.t.Errorf("audit trail (-want +got):\n%s", diff)
	}
}
