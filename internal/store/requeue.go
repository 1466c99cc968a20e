package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
)

// Requeue is a maintainer's wish to have jobs tried again.
type Requeue struct {
	Selector
	Jobs     []int64       // only these of the selected; nil: all of them
	Priority farm.Priority // that they get; zero: the operator's
	Actor    string
	Words    string // the wish as it was put, for the audit trail
	Queued   bool   // of a package that is named, the queued jobs and no others: they get the priority, and are no less tried
	DryRun   bool   // change nothing, and tell what would come of it
	Few      int    // how many jobs are named
}

// Requeued is what came of a Requeue, or would come of it.
type Requeued struct {
	Audit int64        // by which it can be taken back; 0: nothing was moved
	Jobs  int64        // that were moved
	By    []MovedGroup // the same by cause and target, most first
	First []JobRow     // the first few of them, by package, newest release first, and target
	// Forgot of them needed more memory than their recipes say, as builds taught that ran
	// out of it, and do not any more: whoever asks again may have mended that.
	Forgot int64
	Left   []LeftGroup // jobs that were selected and left alone
}

// MovedGroup counts jobs that had one cause on one target.
type MovedGroup struct {
	Cause  farm.Cause `json:"cause"` // empty: it had not failed, and was told to wait
	Target string     `json:"target"`
	Jobs   int64      `json:"jobs"`
}

// LeftGroup counts jobs that were left alone for one reason.
type LeftGroup struct {
	Why    farm.Why `json:"why"`
	Jobs   int64    `json:"jobs"`
	Reason string   `json:"reason"` // in plain words
}

// held says why a job is not to be tried again, whoever asks: an agreement would
// take it out of the queue again, or nobody is given it there.
const held = `
case when not t.active then 'retired-target'
    when p.status = 'quarantined' or r.quarantined then 'quarantined'
    when p.name in (select package from skips) and exists (
        select 1 from skips s
        where s.package = p.name and s.version in ('', r.version) and s.target in ('', t.name)) then 'by-hand'
    else '' end`

// heldWords are the same for people.
func heldWords(why farm.Why) string {
	switch why {
	case farm.WhyRetired:
		return "their target is retired; `target add` brings it back"
	case farm.WhyQuarantined:
		return "the upstream holds the project or the release back"
	case farm.WhyByHand:
		return "a maintainer skipped them; `unskip` first"
	}
	return string(why)
}

// errNothing undoes a transaction that has found nothing to do.
var errNothing = errors.New("nothing to do")

// Requeue sends failed jobs back to the queue, and of a package that is named also
// queued ones that were told to wait, unless only failed ones are selected; all of
// them at once, and so that Undo can take it back. What could not be built is left alone: jobs of what is
// quarantined or skipped, and of retired targets. With DryRun it only counts, in the
// same way.
func (s *Store) Requeue(ctx context.Context, w Requeue) (Requeued, error) {
	if w.DryRun {
		return s.wouldRequeue(ctx, w)
	}
	var out Requeued
	err := untangled(func() error {
		out = Requeued{}
		return s.inTx(ctx, "requeue", func(tx pgx.Tx) error {
			book, err := s.currentBook(ctx, tx)
			if err != nil {
				return err
			}
			return w.run(ctx, tx, book, &out)
		})
	})
	if errors.Is(err, errNothing) {
		err = nil
	}
	return out, err
}

// chosen are the conditions of the jobs that are meant.
func (w Requeue) chosen() conditions {
	c := w.conditions()
	state := `j.state = 'failed'`
	if w.Queued && w.Package != "" {
		state = `j.state = 'queued'`
	} else if w.Package != "" && !w.OnlyFailed() { // of all packages, no index has them
		state = `(j.state = 'failed' or j.state = 'queued' and j.not_before > now())`
	}
	c.list = append(c.list, state)
	if w.Jobs != nil {
		c.add(`j.id = any(%s)`, w.Jobs)
	}
	return c
}

func (w Requeue) run(ctx context.Context, tx pgx.Tx, book farm.RecipeBook, out *Requeued) (err error) {
	if err := forgetMoved(ctx, tx); err != nil {
		return err
	}
	audit, err := noted(ctx, tx, w.Actor, w.action(), w.Words, struct{}{})
	if err != nil {
		return err
	}
	first, err := w.survey(ctx, tx, audit, out)
	if err != nil {
		return err
	}
	if out.Jobs == 0 {
		return errNothing
	}
	out.Audit = audit
	if w.Queued {
		err = w.rise(ctx, tx, audit)
	} else {
		err = w.begin(ctx, tx, audit, book, out)
	}
	if err != nil {
		return err
	}
	if out.First, err = jobsByID(ctx, tx, first); err != nil {
		return err
	}
	detail := map[string]any{"jobs": out.Jobs, "priority": w.priority(), "by": out.By, "left": append([]LeftGroup{}, out.Left...), "forgot": out.Forgot}
	return amend(ctx, tx, audit, detail)
}

// survey looks at what is meant, once: it counts the jobs by what becomes of them, and
// names the first few that move. With an audit number those are locked, and remembered
// as they are: what is remembered is what moves.
func (w Requeue) survey(ctx context.Context, tx pgx.Tx, audit int64, out *Requeued) (first []int64, err error) {
	// A hundred thousand rows are kept in between; on disk they take half as long again.
	if _, err := tx.Exec(ctx, `select set_config('work_mem', '128MB', true)`); err != nil {
		return nil, err
	}
	c := w.chosen()
	was, lock, kept := ``, ``, ``
	if audit != 0 {
		was = `, ` + wasRow + ` as was`
		lock = ` order by j.id for update of j` // the same order for all who lock several
		kept = `, kept as (
    insert into moved_jobs (audit_id, job_id, became, since, was)
    select ` + c.arg(audit) + `::bigint, id, 'queued', now(), was from met where why = ''
)`
	}
	q := `
with met as materialized (
    select j.id, ` + held + ` as why, j.cause, t.name as target, p.name as package, j.released_at, t.rank` + was + selectable + c.String() + lock + `
)` + kept + `
select why, cause, target, count(*), array(
    select id from met where why = '' order by package collate "C", released_at desc, rank, id limit ` + c.arg(w.Few) + `)
from met group by why, cause, target order by count(*) desc, cause, target collate "C"`
	rows, err := tx.Query(ctx, q, c.args...)
	if err != nil {
		return nil, err
	}
	var why farm.Why
	var g MovedGroup
	_, err = pgx.ForEachRow(rows, []any{&why, &g.Cause, &g.Target, &g.Jobs, &first}, func() error {
		out.count(why, g)
		return nil
	})
	slices.SortFunc(out.Left, func(a, b LeftGroup) int { return cmp.Compare(a.Why, b.Why) })
	return first, err
}

// count adds jobs to those that move or, if there is a reason against it, to those that
// are left alone.
func (out *Requeued) count(why farm.Why, g MovedGroup) {
	if why == "" {
		out.By = append(out.By, g)
		out.Jobs += g.Jobs
		return
	}
	i := slices.IndexFunc(out.Left, func(l LeftGroup) bool { return l.Why == why })
	if i < 0 {
		i, out.Left = len(out.Left), append(out.Left, LeftGroup{Why: why, Reason: heldWords(why)})
	}
	out.Left[i].Jobs += g.Jobs
}

func (w Requeue) priority() farm.Priority {
	if w.Priority == 0 {
		return farm.PriorityOperator
	}
	return w.Priority
}

// anew makes a job begin as if it had never been tried. What was learnt of it stays:
// how long it takes, and, unless a maintainer asks again, what it needs of a slave.
const anew = `losses = 0, faults = 0, timeouts = 0, memory_outs = 0, avoids_slave_id = null`

// wakeMoved wakes who waits for work, of the rows moved; $3 is the channel.
const wakeMoved = `select pg_notify($3, case when (select count(*) from moved) > 50 then '' else (select ` + queuedAt + ` from moved) end)`

func (w Requeue) action() string {
	if w.Queued {
		return ActionPriority
	}
	return ActionRequeue
}

// rise gives what is remembered under this number its place in the queue, and changes
// nothing else of it: it was not tried again by that, and needs what it needed.
func (w Requeue) rise(ctx context.Context, tx pgx.Tx, audit int64) error {
	const q = `
with moved as (
    update jobs j set priority = $2, changed_at = now()
    from moved_jobs m where m.audit_id = $1 and j.id = m.job_id
    returning j.id, j.target_id, j.priority, j.rank, j.needs_memory, j.needs_packages
)
` + wakeMoved
	_, err := tx.Exec(ctx, q, audit, int16(w.priority()), QueueChannel)
	return err
}

// begin has what is remembered under this number built as if nobody had tried before.
func (w Requeue) begin(ctx context.Context, tx pgx.Tx, audit int64, book farm.RecipeBook, out *Requeued) error {
	learnt, err := learntIn(ctx, tx, book, `from moved_jobs m join jobs j on j.id = m.job_id `+jobNames+` where m.audit_id = $1`, audit)
	if err != nil {
		return err
	}
	if err := learnt.forget(ctx, tx, audit); err != nil {
		return err
	}
	out.Forgot = int64(len(learnt.jobs))
	return w.move(ctx, tx, audit)
}

// move queues what is remembered under this number, and wakes who waits for work.
func (w Requeue) move(ctx context.Context, tx pgx.Tx, audit int64) error {
	const q = `
with moved as (
    update jobs j set state = 'queued', why = '', reason = '', cause = '', detail = '', hint = '', ` + anew + `,
        priority = $2, waits_target_id = null, not_before = now(), changed_at = now(),
        learnt_memory = null -- what is less than a recipe says; learnt.forget has the rest
    from moved_jobs m where m.audit_id = $1 and j.id = m.job_id
    returning j.id, j.target_id, j.priority, j.rank, j.needs_memory, j.needs_packages
)
` + wakeMoved
	_, err := tx.Exec(ctx, q, audit, int16(w.priority()), QueueChannel)
	return err
}

// wouldRequeue counts of one moment, and writes nothing.
func (s *Store) wouldRequeue(ctx context.Context, w Requeue) (out Requeued, err error) {
	opts := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = pgx.BeginTxFunc(ctx, s.pool, opts, func(tx pgx.Tx) error {
		first, err := w.survey(ctx, tx, 0, &out)
		if err != nil {
			return err
		}
		if out.First, err = jobsByID(ctx, tx, first); err != nil {
			return err
		}
		book, err := readBook(ctx, tx)
		if err != nil {
			return err
		}
		if w.Queued {
			return nil
		}
		c := w.chosen()
		learnt, err := learntIn(ctx, tx, book, selectable+c.String()+` and `+held+` = ''`, c.args...)
		if err != nil {
			return err
		}
		out.Forgot = int64(len(learnt.jobs))
		return nil
	})
	if err != nil {
		return Requeued{}, fmt.Errorf("look what requeue would do: %w", translate(err))
	}
	return out, nil
}
