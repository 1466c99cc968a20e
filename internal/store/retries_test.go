package store_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

const gb = 1 << 30

// hello tells of a slave that serves the world's target with so much memory.
func (w *world) hello(slave string, memory int64) {
	w.t.Helper()
	_, err := w.Heard(w.t.Context(), store.Word{Slave: w.slaves[slave], Length: time.Minute, Grace: time.Hour, Machine: &farm.Machine{
		Memory: memory, Targets: []farm.Served{{Target: target}}}})
	w.must(err)
}

// fails ends a lease of a slave with a failure.
func (w *world) fails(slave string, l farm.Lease, cause farm.Cause, detail string) store.Result {
	w.t.Helper()
	row, err := w.Slave(w.t.Context(), slave)
	w.must(err)
	e := w.ending(slave, l)
	e.Failure, e.Faults = farm.Failure{Cause: cause, Detail: detail}, row.Faults
	res, err := w.FinishFailed(w.t.Context(), e)
	w.must(err)
	return res
}

// tries are what the rows say of a job's tries.
func (w *world) tries(name string) string {
	w.t.Helper()
	conn, err := pgx.Connect(w.t.Context(), w.dsn)
	w.must(err)
	defer conn.Close(context.Background())
	var s string
	w.must(conn.QueryRow(w.t.Context(), `
select concat_ws(' ', j.state, nullif(j.cause, ''), 'priority', j.priority, 'faults', j.faults, 'timeouts', timeouts, 'memory_outs', memory_outs,
    case when time_limit > '0' then 'limit ' || time_limit end, case when needs_memory > 0 then 'needs ' || (needs_memory >> 20) end,
    case when not_before > now() then 'later' end, 'avoids ' || s.name)
from jobs j left join slaves s on s.id = j.avoids_slave_id
where package_id = (select id from packages where name = $1)`, name).Scan(&s))
	return s
}

// spoiled makes builds of the one job that failed with a cause.
func spoiled(cause string, n int) string {
	return fmt.Sprintf(`; insert into builds (job_id, slave_id, token, request, outcome, ended_at, cause)
		select j.id, s.id, '%[1]s' || g, '%[1]s' || g, 'failed', now(), '%[1]s'
		from jobs j, slaves s, generate_series(1, %[2]d) g where s.name = 'b'`, cause, n)
}

// TestRetriesInRows is what each decision of the policy comes to.
func TestRetriesInRows(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name  string
		cause farm.Cause
		setup string
		want  string
	}{
		{"the package's", farm.CompilerError, ``, "failed compiler-error priority 40 faults 0 timeouts 0 memory_outs 0"},
		{"the slave's", farm.SlaveFault, ``, "queued priority 40 faults 1 timeouts 0 memory_outs 0 later avoids a"},
		{"its disk", farm.Disk, ``, "queued priority 40 faults 1 timeouts 0 memory_outs 0 later avoids a"},
		{"the network's", farm.Network, ``, "queued priority 40 faults 1 timeouts 0 memory_outs 0 later avoids a"},
		{"the upstream's", farm.UpstreamFault, ``, "queued priority 40 faults 1 timeouts 0 memory_outs 0 later"},
		{"the upstream's, for hours", farm.UpstreamFault, `faults = 7` + spoiled("upstream-fault", 7), "failed upstream-fault priority 40 faults 8 timeouts 0 memory_outs 0"},
		{"the upstream's, after a slave's", farm.UpstreamFault, `faults = 7` + spoiled("slave-fault", 7), "queued priority 40 faults 8 timeouts 0 memory_outs 0 later"},
		{"a slave's, after the upstream's", farm.Disk, `faults = 7` + spoiled("upstream-fault", 4) + spoiled("slave-fault", 3),
			"queued priority 40 faults 8 timeouts 0 memory_outs 0 later avoids a"},
		{"a slave's, after slaves'", farm.Disk, `faults = 4` + spoiled("slave-fault", 4), "failed disk priority 40 faults 5 timeouts 0 memory_outs 0"},
		{"a slave's, after slaves' of before it began anew", farm.Disk, `faults = 2` + spoiled("slave-fault", 4),
			"queued priority 40 faults 3 timeouts 0 memory_outs 0 later avoids a"},
		{"time", farm.Timeout, ``, "queued priority 70 faults 0 timeouts 1 memory_outs 0 limit 03:00:00"},
		{"time again", farm.Timeout, `timeouts = 1, time_limit = '3h'`, "failed timeout priority 40 faults 0 timeouts 2 memory_outs 0 limit 03:00:00"},
		{"memory", farm.OutOfMemory, ``, "queued priority 40 faults 0 timeouts 0 memory_outs 1 needs 1280"},
		{"memory again", farm.OutOfMemory, `memory_outs = 1`, "failed out-of-memory priority 40 faults 0 timeouts 0 memory_outs 2"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.hello("a", gb)
			w.hello("b", 4*gb)
			w.add("demo", "1.0")
			l, _ := w.claim("a", "1")
			if c.setup != "" {
				w.must(w.exec(`update jobs set ` + c.setup))
			}
			w.fails("a", l, c.cause, "d")
			if diff := cmp.Diff(c.want, w.tries("demo")); diff != "" {
				t.Error(diff)
			}
			w.agrees()
		})
	}
}

// TestFaultsEndSomeDay: a job that every slave fails by a fault of its own goes
// round a bounded number of times, later each time; queued anew it begins anew.
func TestFaultsEndSomeDay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("demo", "1.0")
	most := farm.DefaultRetryPolicy().SlaveTries
	for i := range most {
		w.must(w.exec(`update jobs set not_before = now(); update slaves set paused = false, faults = 0`))
		l, ok := w.claim("a", fmt.Sprint(i))
		if !ok {
			t.Fatalf("try %d: no job", i)
		}
		w.fails("a", l, farm.SlaveFault, "disk")
		if _, ok := w.claim("b", fmt.Sprint("b", i)); ok {
			t.Fatalf("try %d: leased again at once", i)
		}
	}
	if j := w.state("demo", "1.0"); j.State != farm.Failed || j.Cause != string(farm.SlaveFault) {
		t.Errorf("after %d tries %s %s", most, j.State, j.Cause)
	}
	_, err := w.Requeue(t.Context(), store.Requeue{Selector: store.Selector{Package: "demo"}, Actor: "test"})
	w.must(err)
	if got, want := w.tries("demo"), "queued priority 10 faults 0 timeouts 0 memory_outs 0"; got != want {
		t.Errorf("requeued: %s, want %s", got, want)
	}
}

// TestTimeoutGoesLast: with its longer limit, after all others.
func TestTimeoutGoesLast(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("slow", "1.0")
	l, _ := w.claim("a", "1")
	w.fails("a", l, farm.Timeout, "")
	w.add("other", "1.0")
	w.must(w.exec(`update jobs set priority = 60 where priority <> 70`))
	first, _ := w.claim("a", "2")
	second, _ := w.claim("a", "3")
	if first.Package != "other" || second.Package != "slow" || second.Limits.Timeout != 3*time.Hour || first.Limits.Timeout != 0 {
		t.Errorf("first %s with %s, then %s with %s", first.Package, first.Limits.Timeout, second.Package, second.Limits.Timeout)
	}
	again, _ := w.claim("a", "3")
	if diff := cmp.Diff(second, again); diff != "" {
		t.Errorf("asked again:\n%s", diff)
	}
}

// TestMemoryGoesToTheBigger: what ran out on a small slave is for a bigger one only.
func TestMemoryGoesToTheBigger(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hello("a", gb)
	w.hello("b", 2*gb)
	w.add("large", "1.0")
	l, _ := w.claim("a", "1")
	w.fails("a", l, farm.OutOfMemory, "cc1plus")
	if got := w.claimWith("small", gb); got != "nothing" {
		t.Errorf("the small one gets %s", got)
	}
	if got := w.claimWith("big", 2*gb); got != "large" {
		t.Errorf("the big one gets %s", got)
	}
	// Nobody has more than that: it is final, and the hint says what it would take.
	w.add("huge", "1.0")
	l, _ = w.claim("b", "2")
	w.fails("b", l, farm.OutOfMemory, "cc1plus")
	if j := w.state("huge", "1.0"); j.State != farm.Failed || !strings.Contains(j.Hint, "at least 2.2 GB") {
		t.Errorf("%s, hint %q", j.State, j.Hint)
	}
}

// ends claims a job for a with 8 GB, and fails it as change says; it returns the lease.
func (w *world) ends(request string, change func(*store.Ending)) farm.Lease {
	w.t.Helper()
	l, ok, err := w.Claim(w.t.Context(), store.ClaimRequest{
		Slave: w.slaves["a"], Request: request, Token: request, Targets: []int64{w.targetID}, Length: time.Minute, Memory: 8 * gb,
	})
	w.must(err)
	if !ok {
		w.t.Fatal("there is no job")
	}
	e := w.ending("a", l)
	e.Record.Recipe, e.Record.CauseFrom = l.Recipe, farm.FromBuilder
	change(&e)
	_, err = w.FinishFailed(w.t.Context(), e)
	w.must(err)
	return l
}

// TestLimitsOfMemory: a recipe's limit that ended a build is widened for its second try, on
// the same slave if there is no other; the farm's is not, and there is no second try.
func TestLimitsOfMemory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hello("a", 8*gb)
	over := func(e *store.Ending) {
		e.Failure = farm.Failure{Cause: farm.OutOfMemory, Detail: farm.OverLimit + "of 1.0 GB"}
		e.Retry.BuildMemory = gb
	}
	w.add("demo", "1.0")
	w.set("demo", farm.Recipe{Memory: gb})
	for i, limit := range []int64{gb, 2 * gb} {
		if l := w.ends(fmt.Sprint("demo", i), over); l.Recipe.Memory != limit {
			t.Errorf("try %d with a limit of %d MB, want %d", i, l.Recipe.Memory>>20, limit>>20)
		}
	}
	if j := w.state("demo", "1.0"); j.State != farm.Failed || j.Hint != "a recipe with more memory than 2 GB; the largest slave that is live has 8 GB" {
		t.Errorf("%s, hint %q", j.State, j.Hint)
	}
	w.add("plain", "1.0")
	w.hello("b", 64*gb)
	w.ends("plain", over)
	if j := w.state("plain", "1.0"); j.State != farm.Failed || j.Hint != "a recipe with at least 1.2 GB of memory; without one a build may have 1 GB" {
		t.Errorf("%s, hint %q", j.State, j.Hint)
	}
}

// TestRecipesAreTheFarms: what a slave says that its recipe gave the build, or that the
// build took, parks no job where no other slave can do it, and makes no failure final.
func TestRecipesAreTheFarms(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hello("a", 1<<50)
	w.hello("b", 4*gb)
	lie := func(cause farm.Cause) func(*store.Ending) {
		return func(e *store.Ending) {
			e.Failure = farm.Failure{Cause: cause, Detail: "d"}
			e.Record.Recipe, e.Record.PeakRSS = farm.Recipe{Memory: 1 << 40, Timeout: 24 * time.Hour}, 1<<50
		}
	}
	w.set("large", farm.Recipe{Memory: gb})
	for _, c := range []struct {
		name  string
		cause farm.Cause
		want  string
	}{
		{"late", farm.Timeout, "queued priority 70 faults 0 timeouts 1 memory_outs 0 limit 03:00:00"},
		{"plain", farm.OutOfMemory, "failed out-of-memory priority 40 faults 0 timeouts 0 memory_outs 1"},
		{"large", farm.OutOfMemory, "queued priority 40 faults 0 timeouts 0 memory_outs 1 needs 4096"},
	} {
		w.add(c.name, "1.0")
		w.ends(c.name, lie(c.cause))
		if diff := cmp.Diff(c.want, w.tries(c.name)); diff != "" {
			t.Errorf("%s:\n%s", c.name, diff)
		}
		w.must(w.exec(`update jobs set not_before = now() + interval '1 hour' where priority = 70`))
	}
	if got := w.claimWith("big", 4*gb); got != "large" {
		t.Errorf("the largest other slave gets %s", got)
	}
}

// TestRecipesThatChangedMeanwhile: a build is judged by the time that it had.
func TestRecipesThatChangedMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hello("a", 8*gb)
	w.add("late", "1.0")
	w.ends("1", func(e *store.Ending) {
		e.Failure = farm.Failure{Cause: farm.Timeout}
		w.set("late", farm.Recipe{Timeout: 5 * time.Hour})
	})
	if got, want := w.tries("late"), "queued priority 70 faults 0 timeouts 1 memory_outs 0 limit 03:00:00"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestRefusedByAFence: what a slave refused a build is not tried on others, also if the
// slave is of before such words; a host that it could not reach is.
func TestRefusedByAFence(t *testing.T) {
	t.Parallel()
	refused := farm.Contact{Host: "a.example:443", Refused: true, Why: "builds may not reach it"}
	down := farm.Contact{Host: "down.example:443", Why: "connection refused"}
	for what, c := range map[string]struct {
		detail string
		want   farm.State
	}{
		"now":                              {refused.Refusal(), farm.Failed},
		"by a slave of before":             {"a.example:443: builds may not reach it", farm.Failed},
		"a host that does not answer":      {"down.example:443: connection refused", farm.Queued},
		"a host that is named alike":       {"a.example: connection refused", farm.Queued},
		"read in the log, as a slave says": {"Connection refused", farm.Queued},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.hello("a", 8*gb)
			w.add("demo", "1.0")
			w.ends("1", func(e *store.Ending) {
				e.Failure = farm.Failure{Cause: farm.Network, Detail: c.detail}
				e.Record.Contacts = []farm.Contact{down, refused}
			})
			if j := w.state("demo", "1.0"); j.State != c.want {
				t.Errorf("it is %s, want %s", j.State, c.want)
			}
		})
	}
}

// TestFaultyIsPaused: so many faults of its own in a row, and a slave gets no job
// until somebody resumes it; a build that ends by itself ends the row.
func TestFaultyIsPaused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := 0
	tell := func(cause farm.Cause, detail string) store.Result {
		n++
		name := fmt.Sprint("p", n)
		w.add(name, "1.0")
		l, ok := w.claim("a", name)
		if !ok || l.Package != name {
			t.Fatalf("%s: a got %+v", name, l)
		}
		return w.fails("a", l, cause, detail)
	}
	fault := func(cause farm.Cause) store.Result { return tell(cause, "full") }
	for range farm.DefaultSlaveFaults - 1 {
		fault(farm.Disk)
	}
	fault(farm.UpstreamFault) // says nothing of the slave
	fault(farm.Timeout)
	tell(farm.Disk, farm.OverLimit+"of 10 GB") // that is the package's
	w.must(w.exec(`update jobs set state = 'skipped', reason = 'r' where state = 'queued'`))
	if row, _ := w.Slave(t.Context(), "a"); row.Faults != farm.DefaultSlaveFaults-1 || row.Paused {
		t.Errorf("%+v", row)
	}
	fault(farm.CompilerError) // ends the row
	for i := range farm.DefaultSlaveFaults {
		res := fault(farm.Disk)
		if want := i == farm.DefaultSlaveFaults-1; (res.Paused != "") != want {
			t.Errorf("fault %d: paused %q", i+1, res.Paused)
		}
	}
	row, err := w.Slave(t.Context(), "a")
	w.must(err)
	if want := "5 faults in a row, the last: disk: full"; !row.Paused || row.PausedWhy != want {
		t.Errorf("%+v, want paused: %s", row, want)
	}
	w.add("next", "1.0")
	if l, ok := w.claim("a", "next"); ok {
		t.Errorf("a paused slave gets %s", l.Package)
	}
	w.must(w.ResumeSlave(t.Context(), "a", "test"))
	if row, _ := w.Slave(t.Context(), "a"); row.Paused || row.PausedWhy != "" || row.Faults != 0 {
		t.Errorf("resumed: %+v", row)
	}
	if _, ok := w.claim("a", "next again"); !ok {
		t.Error("resumed, and gets nothing")
	}
}

// TestOneJobIsOneFault: a job that the farm's only slave fails again and again says
// no more of the slave each time.
func TestOneJobIsOneFault(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("demo", "1.0")
	for i := range 4 {
		w.must(w.exec(`update jobs set not_before = now() - interval '1 hour'`))
		l, ok := w.claim("a", fmt.Sprint(i))
		if !ok {
			t.Fatalf("try %d: no job", i)
		}
		w.fails("a", l, farm.SlaveFault, "this recipe is not for me")
	}
	if row, _ := w.Slave(t.Context(), "a"); row.Faults != 1 || row.Paused {
		t.Errorf("%d faults, paused %v", row.Faults, row.Paused)
	}
}

// TestGoodWheelEndsTheRow, and so does it end for a report that counts only.
func TestGoodWheelEndsTheRow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(w.exec(`update slaves set faults = 4`))
	w.add("demo", "1.0")
	l, _ := w.claim("a", "1")
	e := w.ending("a", l)
	e.Faults = 4
	_, err := w.FinishBuilt(t.Context(), e, w.wheel("demo-1.0-py3-none-any.whl"))
	w.must(err)
	if row, _ := w.Slave(t.Context(), "a"); row.Faults != 0 {
		t.Errorf("%d faults", row.Faults)
	}
	w.must(w.exec(`update slaves set faults = 4`))
	_, err = w.FinishBuilt(t.Context(), e, w.wheel("demo-1.0-py3-none-any.whl"))
	w.must(err)
	if row, _ := w.Slave(t.Context(), "a"); row.Faults != 4 {
		t.Errorf("a report that was made before: %d faults", row.Faults)
	}
}
