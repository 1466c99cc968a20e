package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
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
	Glibc   string     // of the target
	Vouches bool       // the target's compiler makes code for ARMv6
	Ended   bool       // the build has an outcome already
	Current bool       // the job is still leased under this token
	State   farm.State // of the job
	Cause   farm.Cause // of the job
	Sdist   farm.Sdist // what the upstream names now: file name and SHA-256 only
	Awaited bool       // builds wait for a wheel of the package
	Slave   int64      // to whom it was issued
	Revoked bool       // that slave
	Faults  int        // of its own, since a build last ended by itself

	token, name string // and the slave's
}

// Counts says whether a success under this token still counts (design 4): the
// job has no result, whoever holds it now. A job given up as lost has none.
func (i Issued) Counts() bool {
	switch i.State {
	case farm.Leased, farm.Queued, farm.Waiting:
		return true
	case farm.Failed:
		return i.Cause == farm.SlaveLost
	}
	return false
}

const issued = `
select b.token, b.id, j.id, p.name, r.version, t.abi, t.platform, t.glibc, t.vouches_armv6, b.outcome is not null and b.outcome <> 'lost',
       coalesce(j.lease_token = b.token, false), j.state, j.cause, r.sdist_filename, r.sdist_sha256,
       ` + awaited + `, s.id, s.name, s.revoked_at is not null, s.faults
from builds b
join slaves s on s.id = b.slave_id
join jobs j on j.id = b.job_id
join releases r on r.id = j.release_id
join packages p on p.id = r.package_id
join targets t on t.id = j.target_id
`

func scanIssued(row pgx.Row) (Issued, error) {
	var i Issued
	err := row.Scan(&i.token, &i.Build, &i.Job, &i.Package, &i.Version, &i.Target.ABI, &i.Target.Platform,
		&i.Glibc, &i.Vouches, &i.Ended, &i.Current, &i.State, &i.Cause, &i.Sdist.Filename, &i.Sdist.SHA256, &i.Awaited, &i.Slave, &i.name, &i.Revoked, &i.Faults)
	return i, err
}

// Issued looks a token up. farm.ErrNotFound: it was never issued to this slave,
// or its job is gone.
func (s *Store) Issued(ctx context.Context, slave int64, token string) (Issued, error) {
	const q = issued + `where b.token = $1 and s.id = $2`
	i, err := scanIssued(s.brief.QueryRow(ctx, q, token, slave))
	if err != nil {
		return Issued{}, fmt.Errorf("look up a lease: %w", translate(err))
	}
	return i, nil
}

// asking is one question about a lease on its way to its answer.
type asking struct {
	name, token string
	found       Issued
	err         error
}

// IssuedTo is Issued for a slave that is known by name only. farm.ErrNotFound also
// if nobody of the name is enrolled. Those who ask at the same time share a query.
func (s *Store) IssuedTo(ctx context.Context, name, token string) (Issued, error) {
	a := &asking{name: name, token: token}
	err := s.asking.together(ctx, a, func(list []*asking) { s.issuedTo(ctx, list) })
	if err == nil {
		err = a.err
	}
	if err != nil {
		return Issued{}, fmt.Errorf("look up a lease of %s: %w", name, err)
	}
	return a.found, nil
}

func (s *Store) issuedTo(ctx context.Context, list []*asking) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishWithin)
	defer cancel()
	const q = issued + `where b.token = any($1)`
	tokens := make([]string, len(list))
	for i, a := range list {
		tokens[i] = a.token
	}
	rows, err := s.brief.Query(ctx, q, tokens)
	var found []Issued
	if err == nil {
		found, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (Issued, error) { return scanIssued(r) })
	}
	for _, a := range list {
		a.err = translate(err)
		if err != nil {
			continue
		}
		i := slices.IndexFunc(found, func(i Issued) bool { return i.token == a.token && i.name == a.name })
		if i < 0 {
			a.err = farm.ErrNotFound
			continue
		}
		a.found = found[i]
	}
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
	Faults   int // of the slave's own, as its row said last: whether there is a row of them to end
	Retry    farm.RetryPolicy
}

// NewWheel is an accepted wheel, about to be published.
type NewWheel struct {
	File           farm.File
	MetadataSHA256 string
	Metadata       []byte
	RequiresPython string
	Tags           []string
	// Covers are the other targets, by id, whose pip would take the wheel and can
	// run it: what waits or is queued there is not built.
	Covers []int64
}

// Result says what a report came to.
type Result struct {
	Counted bool       // it decided the job
	State   farm.State // of the job now
	Why     string     // plain words when it did not count
	Abort   string     // token of another lease whose work is now useless
	Holder  string     // the slave that has that lease
	Paused  string     // why the slave was paused by this; "" : it was not
}

// ended is the end of a lease.
type ended struct {
	build   int64
	outcome string
	Ending
}

// queueEnds gives leases their ends, all in one statement.
func queueEnds(writes *pgx.Batch, list ...ended) error {
	const q = `
update builds b set outcome = x.outcome, ended_at = now(), cause = x.cause, detail = x.detail, hint = x.hint, excerpt = x.excerpt,
    log_sha256 = x.log_sha256, log_size = x.log_size, seconds = x.seconds, peak_rss = x.peak_rss,
    record = x.record::jsonb, findings = nullif(x.findings, '')::jsonb
from unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
            $7::text[], $8::bigint[], $9::double precision[], $10::bigint[], $11::text[], $12::text[])
    as x (id, outcome, cause, detail, hint, excerpt, log_sha256, log_size, seconds, peak_rss, record, findings)
where b.id = x.id and b.id = any($1)`
	if len(list) == 0 {
		return nil
	}
	records, findings := make([]string, len(list)), make([]string, len(list))
	for i, e := range list {
		record, err := json.Marshal(e.Record)
		if err != nil {
			return err
		}
		records[i] = string(record)
		if e.Findings != nil {
			found, err := json.Marshal(e.Findings)
			if err != nil {
				return err
			}
			findings[i] = string(found)
		}
	}
	writes.Queue(q,
		pluck(list, func(e ended) int64 { return e.build }), pluck(list, func(e ended) string { return e.outcome }),
		pluck(list, func(e ended) string { return string(e.Failure.Cause) }), pluck(list, func(e ended) string { return e.Failure.Detail }),
		pluck(list, func(e ended) string { return e.Failure.Hint }), pluck(list, func(e ended) string { return e.Excerpt }),
		pluck(list, func(e ended) string { return e.Log.SHA256 }), pluck(list, func(e ended) int64 { return e.Log.Size }),
		pluck(list, func(e ended) float64 { return e.Record.Seconds }), pluck(list, func(e ended) int64 { return e.Record.PeakRSS }),
		records, findings)
	return nil
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
	Record    farm.Record // zero while it runs
	Job       int64
}

const buildRows = `
select b.id, p.name, r.version, t.name, s.name, coalesce(b.outcome, ''), b.cause, b.detail, b.hint, b.excerpt,
       b.log_sha256, b.log_size, b.seconds, b.started_at, coalesce(b.record, '{}'), b.job_id
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
