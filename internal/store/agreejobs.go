package store

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
)

// heldJob is a job's row that this transaction has locked.
type heldJob struct {
	release int64
	target  int64
	pkg     int64
	state   farm.State
	order   Order // to abort it; no slave: it is not leased
}

// lockJobs locks the jobs that move, go, are to be waited for, or take a new time
// from their release, so that a report about one of them is served before this
// transaction or after it.
func (a *agreeing) lockJobs(ctx context.Context) error {
	const q = `
with mine as (
    select id, release_id, target_id, state, lease_slave_id, lease_token from jobs where id in (
        select unnest($1::bigint[])
        union select j.id from jobs j where j.release_id = any($2)
        union select j.id from jobs m join jobs j on j.release_id = m.release_id where m.id = any($3)
        union select j.id from releases r join jobs j on j.release_id = r.id where r.package_id = any($4))
    order by id -- the same for all who lock several
    for update
)
select m.id, m.release_id, m.target_id, r.package_id, m.state, coalesce(s.name, ''), coalesce(m.lease_token, '')
from mine m join releases r on r.id = m.release_id left join slaves s on s.id = m.lease_slave_id`
	jobs, releases, siblings, gone := a.touched()
	if len(jobs)+len(releases)+len(gone) == 0 {
		return nil
	}
	rows, err := a.tx.Query(ctx, q, jobs, releases, siblings, gone)
	if err != nil {
		return err
	}
	var id int64
	j := heldJob{order: Order{Do: OrderAbort}}
	into := []any{&id, &j.release, &j.target, &j.pkg, (*string)(&j.state), &j.order.Slave, &j.order.Token}
	if _, err := pgx.ForEachRow(rows, into, func() error { a.jobs[id] = j; return nil }); err != nil {
		return err
	}
	a.keep(a.movable)
	a.keep(a.outcomesToCome)
	a.doom()
	return nil
}

// touched are the jobs to be locked: by their ids, all of a release, all of the
// releases of some jobs, and all of a package.
func (a *agreeing) touched() (jobs, releases, siblings, gone []int64) {
	for _, g := range a.batch {
		jobs = append(jobs, g.RemoveJobs...)
		for _, m := range g.Move {
			jobs = append(jobs, m.Job)
			if m.State == farm.Waiting {
				siblings = append(siblings, m.Job)
			}
		}
		for _, j := range g.AddJobs {
			if j.State == farm.Waiting {
				releases = append(releases, j.Release)
			}
		}
		releases = append(append(releases, g.Remove...), pluck(g.Update, func(r KnownRelease) int64 { return r.ID })...)
		if g.Gone && g.id != 0 {
			gone = append(gone, g.id)
		}
	}
	return jobs, releases, siblings, gone
}

// movable says whether the jobs that move are where they were.
func (a *agreeing) movable(g *agreement) bool {
	for _, m := range g.Move {
		if j, ok := a.jobs[m.Job]; !ok || j.pkg != g.id || j.state != m.From {
			return false
		}
	}
	for _, id := range g.RemoveJobs {
		if a.jobs[id].pkg != g.id {
			return false
		}
	}
	return true
}

// outcomesToCome says whether what jobs are to wait for has not come yet: nobody
// would tell them any more, and they would wait for ever.
func (a *agreeing) outcomesToCome(g *agreement) bool {
	type cell struct{ release, target int64 }
	awaited := map[cell]bool{}
	for _, m := range g.Move {
		if m.waits() != nil {
			awaited[cell{a.jobs[m.Job].release, m.Waits}] = true
		}
	}
	for _, j := range g.AddJobs {
		if j.waits() != nil {
			awaited[cell{j.Release, j.Waits}] = true
		}
	}
	if len(awaited) == 0 {
		return true
	}
	open := map[cell]bool{}
	for _, j := range a.jobs {
		open[cell{j.release, j.target}] = !j.state.Ended()
	}
	for _, m := range g.Move {
		open[cell{a.jobs[m.Job].release, a.jobs[m.Job].target}] = !m.State.Ended()
	}
	for _, id := range g.RemoveJobs {
		delete(open, cell{a.jobs[id].release, a.jobs[id].target})
	}
	for _, j := range g.AddJobs {
		open[cell{j.Release, j.Target}] = !j.State.Ended()
	}
	for c := range awaited {
		if !open[c] {
			return false
		}
	}
	return true
}

// doom finds the jobs that go.
func (a *agreeing) doom() {
	byPackage, byRelease := map[int64]*agreement{}, map[int64]*agreement{}
	for _, g := range a.batch {
		g.doomed = slices.Clone(g.RemoveJobs)
		if g.Gone {
			byPackage[g.id] = g
			g.doomed = nil
			continue
		}
		for _, r := range g.Remove {
			byRelease[r] = g
		}
	}
	for id, j := range a.jobs {
		g := byPackage[j.pkg]
		if g == nil {
			g = byRelease[j.release]
		}
		if g != nil && !slices.Contains(g.RemoveJobs, id) {
			g.doomed = append(g.doomed, id)
		}
	}
}
