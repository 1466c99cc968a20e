package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
)

// Issued is what the ledger says of a lease's token.
type Issued struct {
	Build   int64
	Job     int64
	Package string
	Version string
	Target  farm.Target
	Ended   bool       // the build has an outcome already
	Current bool       // the job is still leased under this token
	State   farm.State // of the job
	Cause   farm.Cause // of the job
}

// Counts says whether a success under this token still counts (design 4): the
// job has no result, whoever holds it now. A job given up as lost has none.
func (i Issued) Counts() bool {
	switch i.State {
	case farm.Leased, farm.Queued:
		return true
	case farm.Failed:
		return i.Cause == farm.SlaveLost
	}
	return false
}

const issued = `
select b.id, j.id, p.name, r.version, t.abi, t.platform, b.outcome is not null and b.outcome <> 'lost',
       coalesce(j.lease_token = b.token, false), j.state, j.cause
from builds b
join jobs j on j.id = b.job_id
join releases r on r.id = j.release_id
join packages p on p.id = r.package_id
join targets t on t.id = j.target_id
where b.token = $1 and b.slave_id = $2`

func scanIssued(row pgx.Row) (Issued, error) {
	var i Issued
	err := row.Scan(&i.Build, &i.Job, &i.Package, &i.Version, &i.Target.ABI, &i.Target.Platform,
		&i.Ended, &i.Current, &i.State, &i.Cause)
	return i, err
}

// Issued looks a token up. farm.ErrNotFound: it was never issued to this slave,
// or its job is gone.
func (s *Store) Issued(ctx context.Context, slave int64, token string) (Issued, error) {
	i, err := scanIssued(s.pool.QueryRow(ctx, issued, token, slave))
	if err != nil {
		return Issued{}, fmt.Errorf("look up a lease: %w", translate(err))
	}
	return i, nil
}

// Ending is how a build ended, as it is kept in its row.
type Ending struct {
	Slave    int64
	Token    string
	Failure  farm.Failure // of a failed one
	Excerpt  string       // ≤ 2 kB of the log
	Log      farm.File
	Record   farm.Record
	Findings any // of the verification; nil: none
}

// NewWheel is an accepted wheel, about to be published.
type NewWheel struct {
	File           farm.File
	MetadataSHA256 string
	Metadata       []byte
	RequiresPython string
	Tags           []string
}

// Result says what a report came to.
type Result struct {
	Counted bool       // it decided the job
	State   farm.State // of the job now
	Why     string     // plain words when it did not count
	Abort   string     // token of another lease whose work is now useless
	Holder  string     // the slave that has that lease
}

// FinishFailed records a failure. It counts only from the current lease; faults
// that are not the package's send the job back to the queue, later each time.
// Reporting twice is harmless.
func (s *Store) FinishFailed(ctx context.Context, e Ending) (Result, error) {
	var res Result
	err := s.inTx(ctx, "finish a failed build", func(tx pgx.Tx) error {
		i, err := lockIssued(ctx, tx, e)
		if err != nil {
			return err
		}
		if i.Ended {
			res = Result{State: i.State, Why: "reported before"}
			return nil
		}
		if !i.Current {
			res = Result{State: i.State, Why: "the lease is not current"}
			return endBuild(ctx, tx, i.Build, "superseded", e)
		}
		if err := endBuild(ctx, tx, i.Build, outcomeWord(e), e); err != nil {
			return err
		}
		res.Counted = true
		res.State, err = endFailedJob(ctx, tx, i.Job, e.Failure)
		return err
	})
	return res, err
}

func outcomeWord(e Ending) string {
	if e.Failure.Cause == farm.Rejected {
		return "rejected"
	}
	return "failed"
}

// endFailedJob uses up the lease. A fault of slave or upstream is tried again
// with a growing pause, up to MaxLosses times; then it is a failure after all,
// so that no job goes round for ever.
func endFailedJob(ctx context.Context, tx pgx.Tx, job int64, f farm.Failure) (farm.State, error) {
	const q = `
update jobs set
    state  = case when $5 or losses + 1 >= $6 then 'failed' else 'queued' end,
    cause  = case when $5 or losses + 1 >= $6 then $2 else '' end,
    detail = case when $5 or losses + 1 >= $6 then $3 else '' end,
    hint   = case when $5 or losses + 1 >= $6 then $4 else '' end,
    not_before = now() + interval '10 seconds' * 3 ^ losses,
    losses = losses + case when $5 then 0 else 1 end,
    lease_token = null, lease_slave_id = null, lease_deadline = null, changed_at = now()
where id = $1
returning state`
	var state farm.State
	err := tx.QueryRow(ctx, q, job, string(f.Cause), f.Detail, f.Hint, f.Cause.PackageFault(), MaxLosses).Scan(&state)
	return state, err
}

// FinishBuilt publishes a wheel's row: name, bytes and job in one transaction,
// so a page can never name what the farm does not hold. A file name that is
// known with other bytes is farm.ErrConflict and changes nothing.
func (s *Store) FinishBuilt(ctx context.Context, e Ending, w NewWheel) (Result, error) {
	var res Result
	err := s.inTx(ctx, "finish a built wheel "+w.File.Name, func(tx pgx.Tx) error {
		i, err := lockIssued(ctx, tx, e)
		if err != nil {
			return err
		}
		if i.Ended {
			res = Result{State: i.State, Why: "reported before"}
			return nil
		}
		if !i.Counts() {
			res = Result{State: i.State, Why: "the job has ended otherwise"}
			return endBuild(ctx, tx, i.Build, "superseded", e)
		}
		covered, err := takeName(ctx, tx, i, w)
		if err != nil {
			return err
		}
		if err := endBuild(ctx, tx, i.Build, "built", e); err != nil {
			return err
		}
		res, err = endBuiltJob(ctx, tx, i, e.Token, covered)
		return err
	})
	return res, err
}

// takeName registers the wheel. When another target's wheel that serves ours has the name
// already, ours is not needed: the job is covered, and nothing is published.
func takeName(ctx context.Context, tx pgx.Tx, i Issued, w NewWheel) (covered string, err error) {
	const name = `
insert into published_names (filename, sha256, size) values ($1, $2, $3)
on conflict (filename) do nothing`
	tag, err := tx.Exec(ctx, name, w.File.Name, w.File.SHA256, w.File.Size)
	if err != nil {
		return "", err
	}
	if tag.RowsAffected() == 0 {
		return knownName(ctx, tx, i, w)
	}
	const row = `
insert into wheels (release_id, build_id, filename, sha256, size, metadata_sha256, metadata, requires_python, tags)
select j.release_id, $2, $3, $4, $5, $6, $7, $8, $9 from jobs j where j.id = $1`
	if _, err := tx.Exec(ctx, row, i.Job, i.Build, w.File.Name, w.File.SHA256, w.File.Size,
		w.MetadataSHA256, w.Metadata, w.RequiresPython, w.Tags); err != nil {
		return "", err
	}
	return "", markFirst(ctx, tx, i.Package, w.File.Name)
}

func knownName(ctx context.Context, tx pgx.Tx, i Issued, w NewWheel) (string, error) {
	const q = `
select t.name from wheels w
join builds b on b.id = w.build_id
join jobs o on o.id = b.job_id
join targets t on t.id = o.target_id
join jobs j on j.id = $1 and j.release_id = w.release_id and j.target_id <> o.target_id
join targets mine on mine.id = j.target_id
where w.filename = $2
-- A binary of a higher target may need what this one does not have.
and (w.filename like '%-any.whl' or t.rank <= mine.rank)`
	var other string
	err := tx.QueryRow(ctx, q, i.Job, w.File.Name).Scan(&other)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", fmt.Errorf("%w: the file name %s was published before", farm.ErrConflict, w.File.Name)
	}
	if err != nil {
		return "", err
	}
	return "the wheel " + w.File.Name + " of " + other + " serves this target too", nil
}

// endBuiltJob ends the job; the lease that is current, if it is another's, is
// named so that its holder can be told to stop.
func endBuiltJob(ctx context.Context, tx pgx.Tx, i Issued, token, covered string) (Result, error) {
	const q = `
with old as (select id, lease_token, lease_slave_id from jobs where id = $1)
update jobs set
    state = case when $2 = '' then 'built' else 'covered' end, reason = $2,
    cause = '', detail = '', hint = '',
    lease_token = null, lease_slave_id = null, lease_deadline = null, changed_at = now()
from old where jobs.id = old.id
returning jobs.state, coalesce(old.lease_token, ''), coalesce((select name from slaves where id = old.lease_slave_id), '')`
	res := Result{Counted: true}
	err := tx.QueryRow(ctx, q, i.Job, covered).Scan(&res.State, &res.Abort, &res.Holder)
	if err != nil || res.Abort == token || res.Abort == "" {
		res.Abort, res.Holder = "", ""
		return res, err
	}
	// An aborted build never reports, so its row ends here.
	_, err = tx.Exec(ctx, `update builds set outcome = 'superseded', ended_at = now() where token = $1 and outcome is null`, res.Abort)
	return res, err
}

// lockIssued reads the ledger with the job's row locked: two reports about one
// job are served one after the other.
func lockIssued(ctx context.Context, tx pgx.Tx, e Ending) (Issued, error) {
	const lock = `
select 1 from jobs where id = (select job_id from builds where token = $1 and slave_id = $2) for update`
	var one int
	if err := tx.QueryRow(ctx, lock, e.Token, e.Slave).Scan(&one); err != nil {
		return Issued{}, err
	}
	return scanIssued(tx.QueryRow(ctx, issued, e.Token, e.Slave))
}

func endBuild(ctx context.Context, tx pgx.Tx, build int64, outcome string, e Ending) error {
	record, err := json.Marshal(e.Record)
	if err != nil {
		return err
	}
	var findings []byte
	if e.Findings != nil {
		if findings, err = json.Marshal(e.Findings); err != nil {
			return err
		}
	}
	const q = `
update builds set outcome = $2, ended_at = now(), cause = $3, detail = $4, hint = $5, excerpt = $6,
    log_sha256 = $7, log_size = $8, seconds = $9, peak_rss = $10, record = $11, findings = $12
where id = $1`
	_, err = tx.Exec(ctx, q, build, outcome, string(e.Failure.Cause), e.Failure.Detail, e.Failure.Hint, e.Excerpt,
		e.Log.SHA256, e.Log.Size, e.Record.Seconds, e.Record.PeakRSS, record, findings)
	return err
}

// BuildRow is one build as people see it.
type BuildRow struct {
	ID        int64
	Package   string
	Version   string
	Target    string
	Slave     string
	Outcome   string // "" while it runs
	Cause     string
	Detail    string
	Hint      string
	Excerpt   string
	LogSHA256 string
	LogSize   int64
	Seconds   float64
	Started   time.Time
}

const buildRows = `
select b.id, p.name, r.version, t.name, s.name, coalesce(b.outcome, ''), b.cause, b.detail, b.hint, b.excerpt,
       b.log_sha256, b.log_size, b.seconds, b.started_at
from builds b
join jobs j on j.id = b.job_id
join releases r on r.id = j.release_id
join packages p on p.id = r.package_id
join targets t on t.id = j.target_id
join slaves s on s.id = b.slave_id `

// Build finds one build.
func (s *Store) Build(ctx context.Context, id int64) (BuildRow, error) {
	rows, err := s.pool.Query(ctx, buildRows+`where b.id = $1`, id)
	if err != nil {
		return BuildRow{}, fmt.Errorf("build %d: %w", id, translate(err))
	}
	b, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[BuildRow])
	if err != nil {
		return BuildRow{}, fmt.Errorf("build %d: %w", id, translate(err))
	}
	return b, nil
}

// BuildsOf lists a job's builds, newest first.
func (s *Store) BuildsOf(ctx context.Context, job int64) ([]BuildRow, error) {
	rows, err := s.pool.Query(ctx, buildRows+`where b.job_id = $1 order by b.id desc`, job)
	if err != nil {
		return nil, fmt.Errorf("builds of job %d: %w", job, translate(err))
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[BuildRow])
	if err != nil {
		return nil, fmt.Errorf("builds of job %d: %w", job, translate(err))
	}
	return out, nil
}

// NewestBuild finds the newest build of a package that left a log; version "" is
// any, else it is as the upstream or as PEP 440 writes it.
func (s *Store) NewestBuild(ctx context.Context, name, version string) (BuildRow, error) {
	const q = buildRows + `
where p.name = $1 and $2 in ('', r.version, r.raw) and b.log_sha256 <> ''
order by b.id desc limit 1`
	rows, err := s.pool.Query(ctx, q, name, version)
	if err != nil {
		return BuildRow{}, fmt.Errorf("newest build of %s: %w", name, translate(err))
	}
	b, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[BuildRow])
	if err != nil {
		return BuildRow{}, fmt.Errorf("newest build of %s: %w", name, translate(err))
	}
	return b, nil
}
