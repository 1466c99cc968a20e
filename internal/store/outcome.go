package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
)

// lockIssued reads the ledger, by token, with the jobs' rows locked: two reports about
// one job are served one after the other. It locks those that the outcomes decide
// about, too. Whose the tokens are is for the caller to look at.
func lockIssued(ctx context.Context, tx pgx.Tx, endings []Ending, covers []int64) (map[string]Issued, error) {
	const lock = `
select j.id from builds b
join jobs mine on mine.id = b.job_id
join jobs j on j.release_id = mine.release_id
    and (j.id = mine.id or j.state = 'waiting' or j.state = 'queued' and j.target_id = any($2))
where b.token = any($1)
order by j.id -- the same for all who lock several
for update of j`
	// A statement of its own: it sees what those did who had the locks before.
	const read = issued + `where b.token = any($1)`
	tokens := make([]string, len(endings))
	for i, e := range endings {
		tokens[i] = e.Token
	}
	found := map[string]Issued{}
	var both pgx.Batch
	both.Queue(lock, tokens, covers)
	both.Queue(read, tokens).Query(func(rows pgx.Rows) error {
		list, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (Issued, error) { return scanIssued(r) })
		for _, i := range list {
			found[i.token] = i
		}
		return err
	})
	return found, tx.SendBatch(ctx, &both).Close()
}

// decide tells the other jobs of a release what came of one that has ended for
// good: those that a wheel of it serves are covered, for the reason given, and
// those that only waited for it are queued. It comes in the transaction that ends
// the job, as a statement of its own, so that nobody waits for an outcome that has
// come: whoever makes a job wait holds the row that it waits for. A queued one that
// an operator asked for is built all the same.
// Of those that are named, one that is to be tried again decides nothing.
func decide(ctx context.Context, tx pgx.Tx, ended []int64, covers []int64, reason string) error {
	var writes pgx.Batch
	queueDecide(&writes, ended, covers, reason)
	return tx.SendBatch(ctx, &writes).Close()
}

func queueDecide(writes *pgx.Batch, ended []int64, covers []int64, reason string) {
	list := make([]decided, len(ended))
	for i, job := range ended {
		list[i] = decided{job, covers, reason}
	}
	queueDecided(writes, list)
}

// decided is a job that has ended, and which targets are covered by what came of it.
type decided struct {
	job    int64
	covers []int64
	reason string
}

func queueDecided(writes *pgx.Batch, list []decided) {
	const q = `
with outcomes as materialized (
    select job, string_to_array(covers, ' ')::bigint[] as covers, reason
    from unnest($1::bigint[], $2::text[], $3::text[]) as o (job, covers, reason)
), moved as (
    update jobs s set
        state = case when s.target_id = any(o.covers) then 'covered' else 'queued' end,
        why = case when s.target_id = any(o.covers) then 'lower-wheel' else '' end,
        reason = case when s.target_id = any(o.covers) then o.reason else '' end,
        waits_target_id = null, not_before = now(), changed_at = now()
    from outcomes o join jobs j on j.id = o.job
    where j.id = any($1) and j.state in ('built', 'failed', 'covered') and s.release_id = j.release_id and s.id <> j.id and (
        s.state = 'waiting' and s.why = 'lower-target'
            -- Also on one that is covered with this: its outcome has come as well.
            and (s.waits_target_id = j.target_id or s.waits_target_id = any(o.covers) or s.target_id = any(o.covers))
        or s.state = 'waiting' and s.why = 'requirement' and s.target_id = any(o.covers)
        or s.state = 'queued' and s.target_id = any(o.covers) and s.priority > $4)
    returning s.id, s.target_id, s.priority, s.rank, s.state, s.needs_memory, s.needs_packages
)
select pg_notify($5, ` + queuedAt + `) from moved where state = 'queued' having count(*) > 0`
	jobs, covers, reasons := make([]int64, len(list)), make([]string, len(list)), make([]string, len(list))
	for i, d := range list {
		jobs[i], covers[i], reasons[i] = d.job, strings.Trim(fmt.Sprint(d.covers), "[]"), d.reason
	}
	writes.Queue(q, jobs, covers, reasons, int16(farm.PriorityOperator), QueueChannel)
}
