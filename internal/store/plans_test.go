package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/store"
)

// planned is a statement, and how often what is named comes in its plan.
type planned struct {
	name, q string
	args    []any
	want    map[string]int
}

// holdPlans explains statements as they are planned for all arguments.
func (w *world) holdPlans(list []planned) {
	w.t.Helper()
	conn, err := pgx.Connect(w.t.Context(), w.dsn)
	w.must(err)
	defer conn.Close(context.Background())
	_, err = conn.Exec(w.t.Context(), `set plan_cache_mode = force_generic_plan; set enable_seqscan = off; set enable_mergejoin = off; set enable_hashjoin = off`)
	w.must(err)
	for _, c := range list {
		rows, err := conn.Query(w.t.Context(), "explain "+c.q, c.args...)
		w.must(err)
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		w.must(err)
		plan, wrong := strings.Join(lines, "\n"), false
		for index, want := range c.want {
			if got := strings.Count(plan, index); got != want {
				w.t.Errorf("%s: %q comes %d times in the plan, want %d", c.name, index, got, want)
				wrong = true
			}
		}
		if wrong {
			w.t.Log(plan)
		}
	}
}

// brief are the plans of what is sent for every build, which are kept.
func (w *world) brief() []planned {
	head := []any{int16(0), int64(0), int64(0), []int16{1, 2, 3, 4}, []int64{}}
	one := slices.Concat([]any{w.targetID, "token", w.slaves["a"], time.Hour, "request"}, head, []any{false})
	rest := []any{int16(32767)}
	kind := []any{int64(1), []string{"libffi-dev"}, int16(0), int64(0), int64(0)}
	several := slices.Concat([]any{w.targetID, []string{"token"}, []int64{w.slaves["a"]}, time.Hour, []string{"request"}}, head, rest)
	list := []planned{
		{"claim", store.ClaimSQL, slices.Concat(one, rest), map[string]int{
			"using jobs_slots": 3, "using jobs_queue": 1, "jobs_needy": 0, "jobs_held": 0, "jobs_leases": 0, "Seq Scan on jobs": 0}},
		{"claim of a kind", store.ClaimNeedySQL, slices.Concat(one, kind), map[string]int{
			"using jobs_slots": 3, "using jobs_queue": 1, "using jobs_needy": 1, "jobs_held": 0, "jobs_leases": 0, "Seq Scan on jobs": 0}},
		{"whose leases", store.IssuedSQL + "where b.token = any($1)", []any{[]string{"token"}}, map[string]int{"Seq Scan on jobs": 0, "Seq Scan on builds": 0}},
	}
	for _, n := range []int{2, 4, 8, 16, 24} {
		list = append(list, planned{fmt.Sprintf("claim for %d", n), store.ClaimGroupSQL(n), several, map[string]int{
			"using jobs_slots": 3, "using jobs_queue": 1, "jobs_needy": 0, "jobs_held": 0, "jobs_leases": 0, "Seq Scan on jobs": 0}})
	}
	return list
}

// TestClaimPlan: when the statistics know of no lease, as on the morning of a busy
// day, the slots are looked for where only they are, and the queue in its order.
func TestClaimPlan(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.agree(w.many("large", 5000, 1))
	w.must(w.exec(`analyze jobs`))
	for i := range most {
		w.ask(w.Store, fmt.Sprint(i))
	}
	w.holdPlans(append(w.brief(), []planned{
		{"who waits", store.IssuedSQL + "where b.token = $1 and b.slave_id = $2", []any{"token", int64(1)}, map[string]int{"using jobs_waits": 1, "Seq Scan on jobs": 0}},
		{"whether one waits", store.AwaitedSQL, []any{"demo"}, map[string]int{"jobs_waits": 1, "Seq Scan on jobs": 0}},
		{"kinds", store.QueuedKindsSQL, nil, map[string]int{"using jobs_needy": 3, "Seq Scan on jobs": 0}},
	}...))
}

// TestPlansOfAnEmptyFarm: what is kept was planned when there was nothing, and is used
// while the first million jobs come, until somebody counts them.
func TestPlansOfAnEmptyFarm(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.holdPlans(w.brief())
}

// TestPlansAreKept: of what is sent for every build nothing is planned twice.
func TestPlansAreKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.agree(w.many("large", 50, 1))
	for i := range 12 {
		l, ok := w.claim("a", fmt.Sprint("alone ", i))
		if !ok {
			t.Fatal("the queue is empty")
		}
		_, err := w.IssuedTo(t.Context(), "a", l.Token)
		w.must(err)
		var together []store.ClaimRequest
		for _, c := range w.asks("a b a b a") {
			c.Request, c.Token = fmt.Sprint(i, c.Request), fmt.Sprint(i, c.Token)
			together = append(together, c)
		}
		_, errs := w.ClaimTogether(t.Context(), together[:2+i%4]...)
		w.must(errors.Join(errs...))
	}
	replanned, sent, err := w.Replanned(t.Context())
	w.must(err)
	if len(replanned) > 0 || sent < 36 {
		t.Errorf("of %d sent, these were planned for their arguments: %q", sent, replanned)
	}
}

// TestUndoPlan: what an undo has put back is forgotten by a hash of it, whatever the
// statistics say. They are of the words before, and of a new one believe that it moved
// one job; a join of what moved with itself takes the square of its time.
func TestUndoPlan(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.agree(w.many("large", 200, 1))
	w.must(w.exec(`update jobs set state = 'failed', cause = 'unknown'`))
	done, err := w.Requeue(t.Context(), store.Requeue{Selector: store.Selector{Failed: true}, Actor: "ada"})
	w.must(err)
	w.must(w.exec(`analyze moved_jobs`))
	w.holdPlans([]planned{{"put back", store.PutBackSQL, []any{done.Audit + 1, false}, map[string]int{
		"hashed SubPlan": 1, "Join Filter": 0}}})
}
