package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
	"pinwheel/internal/pep"
)

// Builds that fail for want of a build requirement wait for a wheel of it, if one
// may come (farm.Bringer). Nobody waits for ever:
//
//   - Who begins to wait holds the row of the job that it waits for in the end, and
//     whoever ends that one sees him, or is seen by him. Two never begin at once, so
//     that they cannot begin to wait for each other.
//   - Who ends a job locks those that wait for its package before he looks what else
//     may come for them: of two who end the last two, the second sees the first.
//   - What ends otherwise (a release that is removed, a wheel that came in another
//     way) is seen by LookAfterWaiting, which the dispatcher does at times.

// lockForFailure takes what must be locked before the job: all who lock several of
// these do so in this order.
func lockForFailure(ctx context.Context, tx pgx.Tx, e Ending) error {
	if err := lockFaults(ctx, tx, e); err != nil || e.Failure.Cause != farm.BuildRequirement {
		return err
	}
	r, err := pep.ParseRequirement(e.Failure.Detail)
	if err != nil {
		return nil
	}
	if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock($1, $2)`, attendSpace, waitKey); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `select from packages where name = $1 for no key update`, r.Name)
	return err
}

// errMoved says that what was to be waited for ended meanwhile.
var errMoved = errors.New("what was to be waited for has ended")

// await says whether a job may wait for a requirement, and has what it waits for
// built soon. If none can come, the job has failed; if one came while it was built,
// it is tried again at once.
func await(ctx context.Context, tx pgx.Tx, i Issued, next farm.Retry) (farm.Retry, error) {
	r := next.Requirement
	target, began, err := targetOf(ctx, tx, i)
	if err != nil {
		return next, err
	}
	for {
		// First the jobs, then the wheels: whose job has ended has its wheel there.
		open := openJobs(ctx, tx)
		leaf, ok, err := farm.Bringer(r, target, i.Job, open)
		if err != nil {
			return next, err
		}
		has, fresh, err := hasWheel(ctx, tx, r, i.Target, began)
		switch {
		case err != nil:
			return next, err
		case has && fresh:
			return farm.Retry{Again: farm.AgainElsewhere, After: pageDelay}, nil
		case has:
			return farm.Retry{Again: farm.AgainNever, Failure: next.Failure}, nil
		case !ok:
			return farm.Retry{Again: farm.AgainNever, Failure: hopeless(next.Failure)}, nil
		}
		if err := holdOpen(ctx, tx, leaf.ID); errors.Is(err, errMoved) {
			continue
		} else if err != nil {
			return next, err
		}
		return next, want(ctx, tx, r, target, open)
	}
}

// pageDelay is how long a published wheel may take to reach a page: a build that
// began before did not see it.
const pageDelay = 10 * time.Second

// hopeless says in a failure that nothing is to be waited for.
func hopeless(f farm.Failure) farm.Failure {
	f.Hint = cmp.Or(f.Hint, "no wheel of it is here, and no job that could bring one")
	return f
}

func targetOf(ctx context.Context, tx pgx.Tx, i Issued) (target int64, began any, err error) {
	const q = `select j.target_id, b.started_at from jobs j join builds b on b.id = $2 where j.id = $1`
	err = tx.QueryRow(ctx, q, i.Job, i.Build).Scan(&target, &began)
	return target, began, err
}

// hasWheel says whether the farm has a wheel that pip takes for a requirement on a
// target, and whether one of them came after a time.
func hasWheel(ctx context.Context, tx pgx.Tx, r pep.Requirement, t farm.Target, began any) (has, fresh bool, err error) {
	const q = `
select w.filename, r.version, coalesce(w.published_at >= $2::timestamptz - $3::interval, false)
from packages p join releases r on r.package_id = p.id join wheels w on w.release_id = r.id
where p.name = $1 and p.status <> 'quarantined' and not r.quarantined`
	rows, err := tx.Query(ctx, q, r.Name, began, pageDelay)
	if err != nil {
		return false, false, err
	}
	var name, version string
	var later bool
	_, err = pgx.ForEachRow(rows, []any{&name, &version, &later}, func() error {
		if r.Takes(version) && runsOn(name, t) {
			has, fresh = true, fresh || later
		}
		return nil
	})
	return has, fresh, err
}

// runsOn says whether pip on a target takes a wheel of this file name.
func runsOn(filename string, t farm.Target) bool {
	w, err := pep.ParseWheelName(filename)
	return err == nil && slices.ContainsFunc(t.Tags(), func(tag pep.Tag) bool { return slices.Contains(w.Tags, tag) })
}

// openJobs reads the open jobs of packages on active targets, each package once.
func openJobs(ctx context.Context, tx pgx.Tx) func(name string) ([]farm.OpenJob, error) {
	const q = `
select j.id, j.target_id, j.release_id, r.version, j.state, coalesce(j.waits_target_id, 0), j.waits_package, j.waits_requirement
from packages p join releases r on r.package_id = p.id join jobs j on j.release_id = r.id
join targets t on t.id = j.target_id and (t.active or j.state = 'leased')
where p.name = $1 and j.state in ('waiting', 'queued', 'leased')
order by j.rank, j.id -- the newest first: pip would take its wheel`
	read := map[string][]farm.OpenJob{}
	return func(name string) ([]farm.OpenJob, error) {
		if jobs, ok := read[name]; ok {
			return jobs, nil
		}
		rows, err := tx.Query(ctx, q, name)
		if err != nil {
			return nil, err
		}
		jobs, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (j farm.OpenJob, err error) {
			var pkg, versions string
			if err := row.Scan(&j.ID, &j.Target, &j.Release, &j.Version, (*string)(&j.State), &j.Waits, &pkg, &versions); err != nil || pkg == "" {
				return j, err
			}
			j.Lacks, err = pep.ParseRequirement(pkg + versions)
			return j, err
		})
		read[name] = jobs
		return jobs, err
	}
}

// holdOpen keeps a job from being ended until this transaction has.
func holdOpen(ctx context.Context, tx pgx.Tx, job int64) error {
	const q = `select from jobs where id = $1 and state in ('queued', 'leased') for share`
	tag, err := tx.Exec(ctx, q, job)
	if err == nil && tag.RowsAffected() == 0 {
		return errMoved
	}
	return err
}

// want has the jobs that may bring a wheel for a requirement built soon, and those
// whose outcome they wait for. What took too long once stays the last of all.
func want(ctx context.Context, tx pgx.Tx, r pep.Requirement, target int64, open func(string) ([]farm.OpenJob, error)) error {
	jobs, err := open(r.Name)
	if err != nil {
		return err
	}
	ids := []int64{}
	for _, j := range jobs {
		if j.Target != target || !r.Takes(j.Version) {
			continue
		}
		ids = append(ids, j.ID)
		for _, s := range jobs {
			if s.Release == j.Release && s.Target == j.Waits {
				ids = append(ids, s.ID)
			}
		}
	}
	const q = `
with raised as (
    update jobs set priority = $2
    where id in (
        select id from jobs where id = any($1) and state in ('queued', 'waiting') and priority > $2 and priority < $3
        order by id for update) -- the same for all who lock several
    returning id, target_id, state, priority, rank, needs_memory, needs_packages
)
select pg_notify($4, ` + queuedAt + `) from raised where state = 'queued' having count(*) > 0`
	_, err = tx.Exec(ctx, q, ids, int16(farm.PriorityWanted), int16(farm.PriorityLast), QueueChannel)
	return err
}

// queueWaiting queues the jobs that waited for the wheel that is published in this
// transaction, on every target whose pip takes it.
func queueWaiting(ctx context.Context, tx pgx.Tx, i Issued, filename string) error {
	waiting, err := lockWaiting(ctx, tx, i.Package)
	if err != nil {
		return err
	}
	var ids []int64
	for _, w := range waiting {
		if w.lacks.Takes(i.Version) && runsOn(filename, w.on) {
			ids = append(ids, w.job)
		}
	}
	return queueBrought(ctx, tx, ids)
}

func queueBrought(ctx context.Context, tx pgx.Tx, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	const q = `
with moved as (
    update jobs set state = 'queued', why = '', reason = '', not_before = now(), changed_at = now()
    where id = any($1)
    returning id, target_id, priority, rank, needs_memory, needs_packages
)
select pg_notify($2, ` + queuedAt + `) from moved having count(*) > 0`
	_, err := tx.Exec(ctx, q, ids, QueueChannel)
	return err
}

// waitingJob is a job that waits for a build requirement, locked.
type waitingJob struct {
	job    int64
	target int64
	on     farm.Target
	pkg    string
	lacks  pep.Requirement
}

func lockWaiting(ctx context.Context, tx pgx.Tx, name string) ([]waitingJob, error) {
	const q = `
select j.id, j.target_id, t.abi, t.platform, p.name, j.waits_package || j.waits_requirement
from jobs j join releases r on r.id = j.release_id join packages p on p.id = r.package_id join targets t on t.id = j.target_id
where j.waits_package <> '' and j.waits_package = $1 and j.state = 'waiting'
order by j.id -- the same for all who lock several
for update of j`
	rows, err := tx.Query(ctx, q, name)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (w waitingJob, err error) {
		var lacks string
		if err := row.Scan(&w.job, &w.target, &w.on.ABI, &w.on.Platform, &w.pkg, &lacks); err != nil {
			return w, err
		}
		w.lacks, err = pep.ParseRequirement(lacks)
		return w, err
	})
}

// lookAfterWaiting looks at those who wait for packages of which a job ended without
// a wheel: who cannot get one any more has failed, and those who wait for him are
// looked at next.
func lookAfterWaiting(ctx context.Context, tx pgx.Tx, names ...string) error {
	for len(names) > 0 {
		name := names[0]
		names = names[1:]
		failed, err := lookAfter(ctx, tx, name)
		if err != nil {
			return fmt.Errorf("look after builds that wait for %s: %w", name, err)
		}
		names = append(names, failed...)
	}
	return nil
}

// lookAfter returns the packages of those that have failed.
func lookAfter(ctx context.Context, tx pgx.Tx, name string) (failed []string, err error) {
	waiting, err := lockWaiting(ctx, tx, name)
	if err != nil || len(waiting) == 0 {
		return nil, err
	}
	// Of a target that is retired, jobs stay as they are until it comes back.
	rows, err := tx.Query(ctx, `select id from targets where active`)
	if err != nil {
		return nil, err
	}
	active, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, err
	}
	type lack struct {
		target int64
		of     string
	}
	fate := map[lack]farm.State{}
	open := openJobs(ctx, tx)
	var brought, lost []int64
	for _, w := range waiting {
		if !slices.Contains(active, w.target) {
			continue
		}
		key := lack{w.target, w.lacks.String()}
		if _, known := fate[key]; !known {
			if fate[key], err = fateOf(ctx, tx, w, open); err != nil {
				return nil, err
			}
		}
		switch fate[key] {
		case farm.Queued:
			brought = append(brought, w.job)
		case farm.Failed:
			lost = append(lost, w.job)
			failed = append(failed, w.pkg)
		}
	}
	if err := queueBrought(ctx, tx, brought); err != nil || len(lost) == 0 {
		return nil, err
	}
	return failed, failWaiting(ctx, tx, lost)
}

// fateOf says what becomes of a job that waits: as await does, jobs first.
func fateOf(ctx context.Context, tx pgx.Tx, w waitingJob, open func(string) ([]farm.OpenJob, error)) (farm.State, error) {
	_, ok, err := farm.Bringer(w.lacks, w.target, 0, open)
	if err != nil {
		return "", err
	}
	has, _, err := hasWheel(ctx, tx, w.lacks, w.on, nil)
	switch {
	case has:
		return farm.Queued, err
	case ok:
		return farm.Waiting, err
	}
	return farm.Failed, err
}

func failWaiting(ctx context.Context, tx pgx.Tx, ids []int64) error {
	f := hopeless(farm.Failure{Cause: farm.BuildRequirement})
	const q = `
update jobs set state = 'failed', cause = $2, detail = waits_package || waits_requirement, hint = $3,
    why = '', reason = '', changed_at = now()
where id = any($1)`
	if _, err := tx.Exec(ctx, q, ids, string(f.Cause), f.Hint); err != nil {
		return err
	}
	return decide(ctx, tx, ids, nil, "")
}

// LookAfterWaiting looks at all jobs that wait for build requirements: what came or
// went without a word, as a wheel that was imported or a release that was removed,
// is seen here at the latest.
func (s *Store) LookAfterWaiting(ctx context.Context) error {
	rows, err := s.pool.Query(ctx, `select distinct waits_package from jobs where waits_package <> '' order by 1`)
	if err != nil {
		return fmt.Errorf("look what builds wait for: %w", translate(err))
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("look what builds wait for: %w", translate(err))
	}
	var wrong []error // one that goes wrong must not keep the others waiting
	for _, name := range names {
		wrong = append(wrong, untangled(func() error {
			return s.inTx(ctx, "look after builds that wait for "+name, func(tx pgx.Tx) error {
				return lookAfterWaiting(ctx, tx, name)
			})
		}))
	}
	return errors.Join(wrong...)
}
