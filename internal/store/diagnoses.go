package store

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
)

// Diagnosis is why a failed job failed, and what that was told by.
type Diagnosis struct {
	Job       int64
	Cause     farm.Cause   // of the job
	Build     int64        // that decided it
	Failure   farm.Failure // of the build; in the job's, policy may have said more
	From      farm.Source
	Excerpt   string
	LogSHA256 string    // "": it left no log
	Changed   time.Time // the job; it is another failure once this is another time
}

// Diagnoses lists failed jobs that a build decided, at most limit of them, by id
// from the one behind after. None are left when the list is empty: so all can be
// read in pieces, while masters go on, in the memory of one piece.
func (s *Store) Diagnoses(ctx context.Context, after int64, limit int) ([]Diagnosis, error) {
	const q = `
select j.id, j.cause, b.id, b.cause, b.detail, b.hint, coalesce(b.record->>'cause_from', ''), b.excerpt, b.log_sha256, j.changed_at
from jobs j
cross join lateral (
    select id, outcome, cause, detail, hint, record, excerpt, log_sha256 from builds
    where job_id = j.id and outcome in ('failed', 'rejected', 'lost')
    order by id desc limit 1) b -- the newest that counted
where j.id > $1 and j.state = 'failed' and b.outcome = 'failed'
order by j.id limit $2`
	rows, err := s.pool.Query(ctx, q, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list why jobs failed: %w", translate(err))
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (d Diagnosis, err error) {
		err = row.Scan(&d.Job, &d.Cause, &d.Build, &d.Failure.Cause, &d.Failure.Detail, &d.Failure.Hint, &d.From, &d.Excerpt, &d.LogSHA256, &d.Changed)
		return d, err
	})
	if err != nil {
		return nil, fmt.Errorf("list why jobs failed: %w", translate(err))
	}
	return out, nil
}

// JobSpan is the lowest and the highest id of a job, of whatever state: with it
// whoever reads all of them in order knows how far he is.
func (s *Store) JobSpan(ctx context.Context) (first, last int64, err error) {
	const q = `select coalesce(min(id), 0), coalesce(max(id), 0) from jobs`
	if err := s.pool.QueryRow(ctx, q).Scan(&first, &last); err != nil {
		return 0, 0, fmt.Errorf("ask for the span of jobs: %w", translate(err))
	}
	return first, last, nil
}

// Rediagnosis is a failure that is told anew.
type Rediagnosis struct {
	Diagnosis
	Now farm.Failure
}

// Move is what changes of the job's cause.
func (d Rediagnosis) Move() Move { return Move{d.Cause, d.Now.Cause} }

// Move is a change of a failure's cause. Both may be the same, where only detail
// or hint changed.
type Move struct{ From, To farm.Cause }

// Reclassification is one run over the failed jobs, as the audit trail has it: one
// row, which grows with what the run writes.
type Reclassification struct {
	Actor string
	Rules string // in words: by what rules
	Audit int64  // the row's number; 0: nothing was written
	Read  int64
	Moves map[Move]int64
}

// Changed counts the jobs that were told anew.
func (r *Reclassification) Changed() int64 {
	var n int64
	for _, c := range r.Moves {
		n += c
	}
	return n
}

// Rediagnose writes new causes of failed jobs, and of the builds that decided them,
// in one transaction with what the audit trail says of the run. A job that moved on
// since it was read is left alone, and not counted. That is all that changes: no job
// changes its state, and none its place in time.
func (s *Store) Rediagnose(ctx context.Context, run *Reclassification, list []Rediagnosis) error {
	var next Reclassification
	err := untangled(func() error {
		return s.inTx(ctx, "tell failures anew", func(tx pgx.Tx) error {
			written, err := rediagnose(ctx, tx, list)
			if err != nil {
				return err
			}
			next = run.with(list, written)
			if len(written) == 0 {
				return nil
			}
			return next.note(ctx, tx, false)
		})
	})
	if err == nil {
		*run = next
	}
	return err
}

// EndReclassification says in the audit trail that a run came to its end. Nothing
// was written: nothing is said.
func (s *Store) EndReclassification(ctx context.Context, run *Reclassification) error {
	if run.Audit == 0 {
		return nil
	}
	return s.inTx(ctx, "end a reclassification", func(tx pgx.Tx) error { return run.note(ctx, tx, true) })
}

// rediagnose gives the jobs that were as they had been read.
func rediagnose(ctx context.Context, tx pgx.Tx, list []Rediagnosis) (map[int64]bool, error) {
	const q = `
with told as (
    select * from unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::text[], $5::text[], $6::text[])
        as t(job, build, changed, cause, detail, hint)
), held as (
    select t.* from jobs j join told t on t.job = j.id
    where j.state = 'failed' and j.changed_at = t.changed
    order by j.id -- as all do who lock several jobs
    for no key update of j
), of_builds as (
    update builds b set cause = h.cause, detail = h.detail, hint = h.hint from held h where b.id = h.build
)
update jobs j set cause = h.cause, detail = h.detail, hint = h.hint from held h where j.id = h.job
returning j.id`
	n := len(list)
	jobs, builds, changed := make([]int64, n), make([]int64, n), make([]time.Time, n)
	causes, details, hints := make([]string, n), make([]string, n), make([]string, n)
	for i, d := range list {
		jobs[i], builds[i], changed[i] = d.Job, d.Build, d.Changed
		causes[i], details[i], hints[i] = string(d.Now.Cause), d.Now.Detail, d.Now.Hint
	}
	rows, err := tx.Query(ctx, q, jobs, builds, changed, causes, details, hints)
	if err != nil {
		return nil, err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	written := map[int64]bool{}
	for _, id := range ids {
		written[id] = true
	}
	return written, err
}

// with is the run with what was written counted.
func (r Reclassification) with(list []Rediagnosis, written map[int64]bool) Reclassification {
	r.Moves = maps.Clone(r.Moves)
	if r.Moves == nil {
		r.Moves = map[Move]int64{}
	}
	for _, d := range list {
		if written[d.Job] {
			r.Moves[d.Move()]++
		}
	}
	return r
}

// note writes the run's row of the audit trail, or what it says by now.
func (r *Reclassification) note(ctx context.Context, tx pgx.Tx, ended bool) (err error) {
	moves := map[string]int64{}
	for m, n := range r.Moves {
		moves[string(m.From)+" to "+string(m.To)] = n
	}
	detail := map[string]any{"jobs": r.Changed(), "read": r.Read, "moves": moves, "ended": ended}
	if r.Audit != 0 {
		return amend(ctx, tx, r.Audit, detail)
	}
	r.Audit, err = noted(ctx, tx, r.Actor, "reclassify", r.Rules, detail)
	return err
}
