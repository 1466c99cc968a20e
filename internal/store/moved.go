package store

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// wasRow is what is remembered of a job that a maintainer's word moves: all of its
// row but what never changes, and what is over with its lease. It is the whole row,
// so that no column is forgotten that comes later; wasColumns names those that are
// put back.
const wasRow = `to_jsonb(j) - '{id,release_id,target_id,package_id,released_at,rank,` +
	`lease_token,lease_slave_id,lease_deadline,lease_slot}'::text[]`

// wasColumns reads what wasRow made, as w.
const wasColumns = `
cross join lateral jsonb_to_record(m.was) as w (
    state text, why text, reason text, priority smallint, not_before timestamptz, changed_at timestamptz, losses integer,
    cause text, detail text, hint text, waits_target_id bigint, waits_package text, waits_requirement text,
    faults smallint, timeouts smallint, memory_outs smallint, avoids_slave_id bigint, learnt_memory bigint)
`

// What jobs need of a slave is not put back, for the recipes may have changed
// meanwhile; but for memory that was learnt, and that the word had them forget.

// remembered is how long a maintainer's word can be taken back: later, what was then
// is of no use to anybody, and fills a disk.
const remembered = `interval '30 days'`

// forgetMoved drops what nobody takes back any more.
func forgetMoved(ctx context.Context, tx pgx.Tx) error {
	const q = `
delete from moved_jobs where audit_id in (
    select id from audit_trail where action = any($1) and at < now() - ` + remembered + `)`
	_, err := tx.Exec(ctx, q, undoable())
	return err
}

// putBackJobs puts back what waits for another target, or the others.
//
// What is remembered no more is found by no join: the statistics know nothing of the
// newest word, and for what is believed to be one row a loop in a loop is planned,
// which for 10,000 jobs took half a minute.
const putBackJobs = `
with back as (
    update jobs j set
        state = w.state, why = w.why, reason = w.reason, priority = w.priority, not_before = w.not_before,
        changed_at = w.changed_at, losses = w.losses, cause = w.cause, detail = w.detail, hint = w.hint,
        waits_target_id = w.waits_target_id, waits_package = w.waits_package, waits_requirement = w.waits_requirement,
        faults = w.faults, timeouts = w.timeouts, memory_outs = w.memory_outs, avoids_slave_id = w.avoids_slave_id,
        needs_memory = greatest(j.needs_memory, w.learnt_memory), learnt_memory = greatest(j.learnt_memory, w.learnt_memory)
    from moved_jobs m ` + wasColumns + `
    where m.audit_id = $1 and j.id = m.job_id and j.state = m.became and j.changed_at = m.since
    and case when w.waits_target_id is null then not $2 else $2 and exists (
        select 1 from jobs o where o.release_id = j.release_id and o.target_id = w.waits_target_id
        and o.state in ('waiting', 'queued', 'leased')) end
    returning j.id, j.state
), forgotten as (
    delete from moved_jobs m where m.audit_id = $1 and (m.job_id in (select id from back)) is true
)
select id, state in ('failed', 'skipped', 'covered') from back`

// putBack makes jobs what they were before the word with this number, unless they
// have moved since, and gives those whose outcome is decided by that. Those that
// waited for another target come last, and only if there is something to wait for:
// else they would wait for ever. Whose build requirement came meanwhile is seen when
// the farm looks after all that wait. What has been put back is remembered no more.
func putBack(ctx context.Context, tx pgx.Tx, audit int64) (ended []int64, n int64, err error) {
	for _, waited := range []bool{false, true} {
		rows, err := tx.Query(ctx, putBackJobs, audit, waited)
		if err != nil {
			return nil, 0, err
		}
		var id int64
		var over bool
		if _, err := pgx.ForEachRow(rows, []any{&id, &over}, func() error {
			if n++; over {
				ended = append(ended, id)
			}
			return nil
		}); err != nil {
			return nil, 0, err
		}
	}
	return ended, n, nil
}
