package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
)

// failedTogether is how many failures may share a transaction: as many as a
// notification can name the places of what their outcome queues, see queuedAt.
const failedTogether = 24

// finishWithin bounds a transaction that several callers wait for, of whom none may
// break it off for the others.
const finishWithin = 20 * time.Second

// failing is one failure on its way to its rows.
type failing struct {
	Ending
	res Result
	err error
}

// FinishFailed records a failure. It counts only from the current lease; what
// becomes of the job then is farm.DecideRetry's word. Reporting twice is harmless.
// Those that are the package's fault, which most are, share a transaction if they
// come at the same time (docs/decisions/0026-reports-together.md).
func (s *Store) FinishFailed(ctx context.Context, e Ending) (res Result, err error) {
	if e.Faults > 0 || !e.Failure.Cause.EndsByItself() || e.Failure.Cause == farm.BuildRequirement {
		return s.finishAlone(ctx, e)
	}
	f := &failing{Ending: e}
	if err := s.failing.together(ctx, f, func(list []*failing) { s.finishAllFailed(ctx, list) }); err != nil {
		return Result{}, fmt.Errorf("finish a failed build: %w", err)
	}
	return f.res, f.err
}

// finishAlone is for a failure that needs more to be known and locked.
func (s *Store) finishAlone(ctx context.Context, e Ending) (res Result, err error) {
	err = untangled(func() error {
		return s.inBrief(ctx, "finish a failed build", func(tx pgx.Tx) (err error) {
			res, err = s.finishFailed(ctx, tx, e)
			return err
		})
	})
	if err != nil {
		return Result{}, err
	}
	return res, nil
}

func (s *Store) finishFailed(ctx context.Context, tx pgx.Tx, e Ending) (res Result, err error) {
	if err := lockForFailure(ctx, tx, e); err != nil {
		return res, err
	}
	all, err := lockIssued(ctx, tx, []Ending{e}, nil)
	if err != nil {
		return res, err
	}
	i, ok := all[e.Token]
	if !ok || i.Slave != e.Slave {
		return res, pgx.ErrNoRows
	}
	var writes pgx.Batch
	f := &failing{Ending: e}
	end, counts := f.end(i)
	if err := queueEnds(&writes, end...); err != nil {
		return f.res, err
	}
	if err := tx.SendBatch(ctx, &writes).Close(); err != nil || !counts {
		return f.res, err
	}
	if f.res.Paused, err = countFault(ctx, tx, e, e.Failure.Cause); err != nil {
		return f.res, err
	}
	if f.res.State, err = s.endFailedJob(ctx, tx, i, e); err != nil || f.res.State != farm.Failed {
		return f.res, err
	}
	if err := decide(ctx, tx, []int64{i.Job}, nil, ""); err != nil || !i.Awaited {
		return f.res, err
	}
	return f.res, lookAfterWaiting(ctx, tx, i.Package)
}

func (s *Store) finishAllFailed(ctx context.Context, list []*failing) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishWithin)
	defer cancel()
	err := s.inBrief(ctx, "finish failed builds", func(tx pgx.Tx) error { return finishTogether(ctx, tx, list) })
	if err == nil {
		return
	}
	for _, f := range list { // one of them may be to blame, and not for the others
		f.res, f.err = s.finishAlone(ctx, f.Ending)
	}
}

// finishTogether is for failures of which nothing has to be known but that their
// leases are current.
func finishTogether(ctx context.Context, tx pgx.Tx, list []*failing) error {
	endings := make([]Ending, len(list))
	for i, f := range list {
		endings[i] = f.Ending
	}
	all, err := lockIssued(ctx, tx, endings, nil)
	if err != nil {
		return err
	}
	var ends []ended
	var over []*failing
	var jobs []int64
	var awaited []string
	for _, f := range list {
		i, ok := all[f.Token]
		f.res, f.err = Result{}, nil
		if !ok || i.Slave != f.Slave {
			f.err = fmt.Errorf("finish a failed build: no such lease: %w", farm.ErrNotFound)
			continue
		}
		end, counts := f.end(i)
		ends = append(ends, end...)
		if counts {
			over, jobs = append(over, f), append(jobs, i.Job)
			f.res.State = farm.Failed
			if i.Awaited {
				awaited = append(awaited, i.Package)
			}
		}
		i.Ended = true // the same report may be among them twice
		all[f.Token] = i
	}
	// All that is written goes to the server in one turn.
	var writes pgx.Batch
	if err := queueEnds(&writes, ends...); err != nil {
		return err
	}
	if len(over) > 0 {
		queueFailed(&writes, jobs, over)
		queueDecide(&writes, jobs, nil, "")
	}
	if err := tx.SendBatch(ctx, &writes).Close(); err != nil {
		return err
	}
	slices.Sort(awaited) // one order for all who look after several
	return lookAfterWaiting(ctx, tx, slices.Compact(awaited)...)
}

// queueFailed ends jobs by what is the package's fault, as queueGoOn would, which
// ends one in any way.
func queueFailed(writes *pgx.Batch, jobs []int64, list []*failing) {
	const q = `
update jobs j set
    state = 'failed', why = '', reason = '', cause = x.cause, detail = x.detail, hint = x.hint,
    waits_package = '', waits_requirement = '', not_before = now(), avoids_slave_id = null,
    lease_token = null, lease_slave_id = null, lease_deadline = null, changed_at = now()
from unnest($1::bigint[], $2::text[], $3::text[], $4::text[]) as x (id, cause, detail, hint)
where j.id = x.id and j.id = any($1)`
	writes.Queue(q, jobs, pluck(list, func(f *failing) string { return string(f.Failure.Cause) }),
		pluck(list, func(f *failing) string { return f.Failure.Detail }), pluck(list, func(f *failing) string { return f.Failure.Hint }))
}

// end is the end of the build, if it has none yet, and says whether it decides its job.
func (f *failing) end(i Issued) (end []ended, counts bool) {
	switch {
	case i.Ended:
		f.res = Result{State: i.State, Why: "reported before"}
		return nil, false
	case !i.Current:
		f.res = Result{State: i.State, Why: "the lease is not current"}
		return []ended{{i.Build, "superseded", f.Ending}}, false
	}
	f.res.Counted = true
	return []ended{{i.Build, outcomeWord(f.Ending), f.Ending}}, true
}

func outcomeWord(e Ending) string {
	if e.Failure.Cause == farm.Rejected {
		return "rejected"
	}
	return "failed"
}
