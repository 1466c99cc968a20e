package store

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
)

// endFailedJob uses up the lease, as the policy says.
func (s *Store) endFailedJob(ctx context.Context, tx pgx.Tx, i Issued, e Ending) (farm.State, error) {
	tried, bench, err := s.failedBy(ctx, tx, i, e)
	if err != nil {
		return "", err
	}
	next := farm.DecideRetry(e.Failure, tried, bench, e.Retry, rand.Float64())
	if next.Again == farm.AgainWith {
		if next, err = await(ctx, tx, i, next); err != nil {
			return "", err
		}
	}
	return goOn(ctx, tx, i, e, next)
}

// livesFor says of the slave o whether it is live and serves the target whose name follows,
// with two brackets: it is for an hour after it was heard, unless it is paused.
const livesFor = `o.revoked_at is null and not o.paused and o.last_seen > now() - interval '1 hour'
    and o.hello -> 'targets' @> jsonb_build_array(jsonb_build_object('target', `

// failedBy reads what the policy must know of the job and of the slaves.
func (s *Store) failedBy(ctx context.Context, tx pgx.Tx, i Issued, e Ending) (t farm.Tried, b farm.Bench, err error) {
	t.Peak, t.Refused = e.Record.PeakRSS, refused(e)
	if e.Failure.Cause.EndsByItself() {
		return t, b, nil // whatever the rest is, that is the package's
	}
	const q = `
select j.timeouts, j.memory_outs, j.time_limit, coalesce((me.hello ->> 'memory')::bigint, 0),
       -- Of the others: what a slave says of itself must not be believed to ask for more.
       coalesce(bool_or(o.id <> me.id), false), coalesce(max((o.hello ->> 'memory')::bigint) filter (where o.id <> me.id), 0),
       -- The causes of the tries that count: the newest, as many as were counted since it began anew.
       array(select b.cause from builds b where b.job_id = j.id and b.id <> $4 and b.outcome = 'failed'
           and b.cause in ('slave-fault', 'disk', 'network', 'upstream-fault') order by b.id desc limit j.faults),
       j.needs_memory, (select revision from recipe_book)
from jobs j join slaves me on me.id = $2
left join slaves o on ` + livesFor + `$3::text))
where j.id = $1
group by j.id, me.id`
	var causes []string
	var hint recipeHint
	err = tx.QueryRow(ctx, q, i.Job, e.Slave, i.Target.String(), i.Build).Scan(&t.Timeouts, &t.MemoryOuts, &t.TimeLimit,
		&b.Memory, &b.Others, &b.Largest, &causes, &hint.memory, &hint.revision)
	for _, c := range causes {
		if farm.Cause(c).SameFault(e.Failure.Cause) {
			t.Faults++
		}
	}
	if err != nil || !e.Failure.Cause.PackageFault() { // no limit of its recipe ended it
		return t, b, err
	}
	book, err := s.bookOf(ctx, tx, hint.revision)
	if err != nil {
		return t, b, err
	}
	// Recipes may have changed since it began, so the slave may say that it had less than
	// they give now. It is not believed that it had more.
	ours, said := recipeOf(book, i.Package, i.Version, i.Target, hint), e.Record.Recipe
	t.Memory = max(0, min(ours.Memory, said.Memory))
	// What a recipe gave it is no less tried than what was learnt.
	t.TimeLimit = max(t.TimeLimit, min(ours.Timeout, said.Timeout))
	return t, b, nil
}

// refused says whether the host that a failure names was one that the slave refused: one
// of before its own words for that.
func refused(e Ending) bool {
	return e.Record.CauseFrom == farm.FromBuilder && slices.ContainsFunc(e.Record.Contacts, func(c farm.Contact) bool {
		return c.Refused && strings.HasPrefix(e.Failure.Detail, c.Host+":")
	})
}

func goOn(ctx context.Context, tx pgx.Tx, i Issued, e Ending, next farm.Retry) (state farm.State, err error) {
	var writes pgx.Batch
	queueGoOn(&writes, i, e, next, &state)
	return state, tx.SendBatch(ctx, &writes).Close()
}

// queueGoOn writes what was decided. What is queued for now is said at once; what
// waits for its time is found when it has come.
func queueGoOn(writes *pgx.Batch, i Issued, e Ending, next farm.Retry, state *farm.State) {
	const q = `
with moved as (
    update jobs set
        state = $2, why = $3, reason = $4, cause = $5, detail = $6, hint = $7,
        waits_package = $8, waits_requirement = $9,
        not_before = now() + $10::interval,
        avoids_slave_id = $11,
        time_limit = case when $12::interval > '0' then $12 else time_limit end,
        priority = case when $12::interval > '0' then $13 else priority end,
        needs_memory = greatest(needs_memory, $14), learnt_memory = greatest(learnt_memory, nullif($14, 0)),
        faults = faults + $15, timeouts = timeouts + $16, memory_outs = memory_outs + $17,
        lease_token = null, lease_slave_id = null, lease_deadline = null, changed_at = now()
    where id = $1
    returning id, target_id, state, priority, rank, not_before, needs_memory, needs_packages
), said as (
    select pg_notify($18, ` + queuedAt + `) from moved where state = 'queued' and not_before <= now() having count(*) > 0
)
select state from moved where (select count(*) from said) >= 0 -- so that it is done`
	w := wordsOf(next)
	var avoids *int64
	if next.Avoid {
		avoids = &e.Slave
	}
	faults, timeouts, memoryOuts := 0, 0, 0
	switch c := e.Failure.Cause; {
	case c == farm.Timeout:
		timeouts = 1
	case c == farm.OutOfMemory:
		memoryOuts = 1
	case !c.PackageFault():
		faults = 1
	}
	writes.Queue(q, i.Job, string(w.state), string(w.why), w.reason, string(w.failure.Cause), w.failure.Detail, w.failure.Hint,
		next.Requirement.Name, w.versions, next.After, avoids, next.TimeLimit, int16(farm.PriorityLast), next.NeedsMemory,
		faults, timeouts, memoryOuts, QueueChannel).QueryRow(func(row pgx.Row) error { return row.Scan(state) })
}

// words are what a decision comes to in a job's row.
type words struct {
	state    farm.State
	why      farm.Why
	reason   string
	versions string // of the requirement that it waits for
	failure  farm.Failure
}

func wordsOf(next farm.Retry) words {
	switch next.Again {
	case farm.AgainNever:
		return words{state: farm.Failed, failure: next.Failure}
	case farm.AgainWith:
		return words{state: farm.Waiting, why: farm.WhyRequirement, versions: next.Requirement.Versions.String(),
			reason: "not yet: its build needs " + next.Requirement.String() + ", of which a wheel is still to be built here"}
	}
	return words{state: farm.Queued}
}

// lockFaults locks the slave's row if its count of faults is to change: before the
// job's, as all do who lock both.
func lockFaults(ctx context.Context, tx pgx.Tx, e Ending) error {
	if e.Faults == 0 && !e.Failure.Cause.OwnFault() {
		return nil
	}
	_, err := tx.Exec(ctx, `select from slaves where id = $1 for no key update`, e.Slave)
	return err
}

// countFault counts a fault of the slave's own, and pauses it when they are too many
// in a row; a build that ended by itself (cause "" : well) ends the row. It says why
// the slave is paused, if it is by this.
func countFault(ctx context.Context, tx pgx.Tx, e Ending, cause farm.Cause) (string, error) {
	if !cause.OwnFault() || e.Failure.OverLimit() {
		if e.Faults == 0 || cause != "" && !cause.EndsByItself() {
			return "", nil
		}
		_, err := tx.Exec(ctx, `update slaves set faults = 0 where id = $1`, e.Slave)
		return "", err
	}
	// A job counts once: tried again and again by a farm's only slave, it may be the job's.
	const before = `
select exists (
    select 1 from builds n join builds b on b.job_id = n.job_id and b.slave_id = n.slave_id and b.id < n.id
    where n.token = $1 and b.outcome = 'failed' and b.cause in ('slave-fault', 'disk'))`
	var counted bool
	if err := tx.QueryRow(ctx, before, e.Token).Scan(&counted); err != nil || counted {
		return "", err
	}
	const count = `update slaves set faults = faults + 1 where id = $1 returning name, faults, paused`
	var name string
	var faults int
	var paused bool
	if err := tx.QueryRow(ctx, count, e.Slave).Scan(&name, &faults, &paused); err != nil {
		return "", err
	}
	if paused || faults < e.Retry.Fill().SlaveFaults {
		return "", nil
	}
	why := farm.TooManyFaults(faults, e.Failure)
	const pause = `update slaves set paused = true, paused_at = now(), paused_why = $2 where id = $1`
	if _, err := tx.Exec(ctx, pause, e.Slave, why); err != nil {
		return "", err
	}
	if err := notifyOrder(ctx, tx, Order{Slave: name, Do: OrderPause}); err != nil {
		return "", err
	}
	return why, note(ctx, tx, farmItself, OrderPause, name, map[string]any{"why": why})
}

// farmItself is the actor of what no person did.
const farmItself = "farm"
