package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
)

// builtTogether is how many wheels may share a transaction.
const builtTogether = 24

// arriving is one wheel on its way to its rows.
type arriving struct {
	Ending
	wheel NewWheel
	res   Result
	err   error

	issued  Issued
	known   bool   // the file name was published before
	covered string // why nothing is published; empty: it is
}

// FinishBuilt publishes a wheel's row: name, bytes and job in one transaction,
// so a page can never name what the farm does not hold. A file name that is
// known with other bytes is farm.ErrConflict and changes nothing. Those that come at
// the same time share a transaction, as failures do.
func (s *Store) FinishBuilt(ctx context.Context, e Ending, w NewWheel) (Result, error) {
	a := &arriving{Ending: e, wheel: w}
	if e.Faults > 0 { // its slave's row is to be locked before all others
		s.finishAllBuilt(ctx, []*arriving{a})
		return a.res, a.err
	}
	if err := s.arriving.together(ctx, a, func(list []*arriving) { s.finishAllBuilt(ctx, list) }); err != nil {
		return Result{}, fmt.Errorf("finish the built wheel %s: %w", w.File.Name, err)
	}
	return a.res, a.err
}

func (s *Store) finishAllBuilt(ctx context.Context, list []*arriving) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishWithin)
	defer cancel()
	slices.SortFunc(list, func(a, b *arriving) int { // one order for all who take several names
		return strings.Compare(a.wheel.File.Name, b.wheel.File.Name)
	})
	if len(list) > 1 && s.finishBuilt(ctx, list) == nil {
		return
	}
	for _, a := range list { // one of them may be to blame, and not for the others
		if err := untangled(func() error { return s.finishBuilt(ctx, []*arriving{a}) }); err != nil {
			a.res, a.err = Result{}, err
		}
	}
}

// finishBuilt is a few turns to the server, however many wheels there are: who they
// are of, which names are free, the rows, and the commit.
func (s *Store) finishBuilt(ctx context.Context, list []*arriving) error {
	return s.inBrief(ctx, "finish a built wheel "+list[0].wheel.File.Name, func(tx pgx.Tx) error {
		counted, ends, err := lockArriving(ctx, tx, list)
		if err != nil {
			return err
		}
		first, err := takeNames(ctx, tx, counted)
		if err != nil {
			return err
		}
		var writes pgx.Batch
		if err := queueArrived(&writes, counted, ends); err != nil {
			return err
		}
		var scopes []string
		for _, a := range counted {
			if a.covered == "" {
				scopes = append(scopes, a.issued.Package)
			}
		}
		if len(scopes) > 0 {
			queueMarks(&writes, scopes, first)
		}
		if err := tx.SendBatch(ctx, &writes).Close(); err != nil {
			return err
		}
		for _, a := range counted {
			if err := a.follow(ctx, tx); err != nil {
				return err
			}
		}
		return nil
	})
}

// follow does what only few wheels bring with them.
func (a *arriving) follow(ctx context.Context, tx pgx.Tx) error {
	if a.res.Abort != "" {
		// An aborted build never reports, so its row ends here.
		const q = `update builds set outcome = 'superseded', ended_at = now() where token = $1 and outcome is null`
		if _, err := tx.Exec(ctx, q, a.res.Abort); err != nil {
			return err
		}
	}
	if _, err := countFault(ctx, tx, a.Ending, ""); err != nil || !a.issued.Awaited {
		return err
	}
	return queueWaiting(ctx, tx, a.issued, a.wheel.File.Name)
}

// lockArriving finds out which wheels count, and which of the others' builds end by it.
func lockArriving(ctx context.Context, tx pgx.Tx, list []*arriving) (counted []*arriving, ends []ended, err error) {
	endings := make([]Ending, len(list))
	covers := []int64{}
	for i, a := range list {
		endings[i] = a.Ending
		covers = append(covers, a.wheel.Covers...)
	}
	for _, e := range endings {
		if err := lockFaults(ctx, tx, e); err != nil {
			return nil, nil, err
		}
	}
	all, err := lockIssued(ctx, tx, endings, covers)
	if err != nil {
		return nil, nil, err
	}
	for _, a := range list {
		i, ok := all[a.Token]
		a.issued, a.res, a.err, a.known, a.covered = i, Result{}, nil, false, ""
		switch {
		case !ok || i.Slave != a.Slave:
			a.err = fmt.Errorf("finish the built wheel %s: no such lease: %w", a.wheel.File.Name, farm.ErrNotFound)
		case i.Ended:
			a.res = Result{State: i.State, Why: "reported before"}
		case !i.Counts():
			a.res = Result{State: i.State, Why: "the job has ended otherwise"}
			ends = append(ends, ended{i.Build, "superseded", a.Ending})
		default:
			counted = append(counted, a)
		}
	}
	return counted, ends, apart(counted)
}

var errTogether = errors.New("wheels of one release: what comes of the first counts for the second")

// apart refuses wheels of one release, which come one after the other.
func apart(list []*arriving) error {
	releases := map[string]bool{}
	for _, a := range list {
		releases[a.issued.Package+" "+a.issued.Version] = true
	}
	if len(releases) < len(list) {
		return errTogether
	}
	return nil
}

// takeNames registers the wheels. When another target's wheel that serves ours has the
// name already, ours is not needed: the job is covered, and nothing is published. It
// also says whether one of the projects had no wheel.
func takeNames(ctx context.Context, tx pgx.Tx, list []*arriving) (first bool, err error) {
	const name = `
insert into published_names (filename, sha256, size)
select * from unnest($1::text[], $2::text[], $3::bigint[])
on conflict (filename) do nothing
returning filename`
	// One look for each project: offset keeps it from being made one of all wheels.
	const without = `
select exists (
    select 1 from packages p where p.name = any($1) and not exists (
        select 1 from releases r join wheels w on w.release_id = r.id where r.package_id = p.id offset 0))`
	if len(list) == 0 {
		return false, nil
	}
	var turn pgx.Batch
	projects := pluck(list, func(a *arriving) string { return a.issued.Package })
	turn.Queue(name, pluck(list, func(a *arriving) string { return a.wheel.File.Name }),
		pluck(list, func(a *arriving) string { return a.wheel.File.SHA256 }),
		pluck(list, func(a *arriving) int64 { return a.wheel.File.Size })).Query(func(rows pgx.Rows) error {
		taken, err := pgx.CollectRows(rows, pgx.RowTo[string])
		for _, a := range list {
			a.known = !slices.Contains(taken, a.wheel.File.Name)
		}
		return err
	})
	turn.Queue(without, projects).QueryRow(func(row pgx.Row) error { return row.Scan(&first) })
	if err := tx.SendBatch(ctx, &turn).Close(); err != nil {
		return false, err
	}
	for _, a := range list {
		if !a.known {
			continue
		}
		if a.covered, err = knownName(ctx, tx, a.issued, a.wheel); err != nil {
			return false, err
		}
	}
	return first, nil
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
	return serves(w, other), nil
}

func serves(w NewWheel, target string) string {
	return "the wheel " + w.File.Name + " of " + target + " serves this target too"
}

// queueArrived queues what wheels write, and the ends of other builds.
func queueArrived(writes *pgx.Batch, list []*arriving, ends []ended) error {
	const row = `
insert into wheels (release_id, build_id, filename, sha256, size, metadata_sha256, metadata, requires_python, tags)
select j.release_id, $2, $3, $4, $5, $6, $7, $8, $9 from jobs j where j.id = $1`
	outcomes := make([]decided, len(list))
	for n, a := range list {
		i, w := a.issued, a.wheel
		if a.covered == "" {
			writes.Queue(row, i.Job, i.Build, w.File.Name, w.File.SHA256, w.File.Size, w.MetadataSHA256, w.Metadata, w.RequiresPython, w.Tags)
		}
		ends = append(ends, ended{i.Build, "built", a.Ending})
		outcomes[n] = decided{i.Job, w.Covers, cmp.Or(a.covered, serves(w, i.Target.String()))}
	}
	if err := queueEnds(writes, ends...); err != nil || len(list) == 0 {
		return err
	}
	endJobs(writes, list)
	queueDecided(writes, outcomes)
	return nil
}

// endJobs ends the jobs; the leases that are current, if they are others', are named so
// that their holders can be told to stop.
func endJobs(writes *pgx.Batch, list []*arriving) {
	const q = `
with old as materialized (
    select j.id, j.lease_token, s.name, x.covered
    from unnest($1::bigint[], $2::text[]) as x (id, covered)
    join jobs j on j.id = x.id and j.id = any($1) left join slaves s on s.id = j.lease_slave_id
)
update jobs set
    state = case when old.covered = '' then 'built' else 'covered' end, reason = old.covered,
    why = case when old.covered = '' then '' else 'lower-wheel' end, waits_target_id = null,
    cause = '', detail = '', hint = '',
    lease_token = null, lease_slave_id = null, lease_deadline = null, changed_at = now()
from old where jobs.id = old.id
returning jobs.id, jobs.state, coalesce(old.lease_token, ''), coalesce(old.name, '')`
	writes.Queue(q, pluck(list, func(a *arriving) int64 { return a.issued.Job }),
		pluck(list, func(a *arriving) string { return a.covered })).Query(func(rows pgx.Rows) error {
		var job int64
		var res Result
		_, err := pgx.ForEachRow(rows, []any{&job, &res.State, &res.Abort, &res.Holder}, func() error {
			for _, a := range list {
				if a.issued.Job == job {
					a.end(res)
				}
			}
			return nil
		})
		return err
	})
}

// end notes what came of a wheel's job.
func (a *arriving) end(res Result) {
	res.Counted = true
	if res.Abort == a.Token || res.Abort == "" {
		res.Abort, res.Holder = "", ""
	}
	a.res = res
}
