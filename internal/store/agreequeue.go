package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
)

// freshJob is a job to be inserted.
type freshJob struct {
	pkg      int64
	name     string // of the package
	release  int64
	version  string
	target   int64
	released time.Time
	Planned
}

// addJobs inserts the jobs of new releases and of known ones.
func (a *agreeing) addJobs(ctx context.Context) error {
	if err := a.addKnownReleasesJobs(ctx); err != nil || len(a.fresh) == 0 {
		return err
	}
	needs, err := a.needs(ctx)
	if err != nil {
		return err
	}
	columns := []string{"release_id", "target_id", "package_id", "state", "why", "reason", "priority", "waits_target_id",
		"released_at", "rank", "needs_memory", "needs_packages"}
	_, err = a.tx.CopyFrom(ctx, pgx.Identifier{"jobs"}, columns, pgx.CopyFromSlice(len(a.fresh), func(i int) ([]any, error) {
		j := &a.fresh[i]
		rank := -j.released.UnixMilli() // the newest release first (design 4)
		need := needs(j)
		if j.State == farm.Queued {
			a.out.Queued++
			a.queued(j.target, queuePlace{priority: int16(j.Priority), rank: rank}) // before any id
			a.needy = a.needy || !need.IsZero()
		}
		return []any{j.release, j.target, j.pkg, string(j.State), string(j.Why), j.Reason, int16(j.Priority), j.waits(),
			j.released, rank, need.Memory, need.Packages}, nil
	}))
	return err
}

// needs tells what a new job needs of a slave, by the recipes. No packages are null.
func (a *agreeing) needs(ctx context.Context) (func(*freshJob) farm.Needs, error) {
	if a.book.Empty() {
		return func(*freshJob) farm.Needs { return farm.Needs{} }, nil
	}
	rows, err := a.tx.Query(ctx, `select id, name from targets`)
	if err != nil {
		return nil, err
	}
	names := map[int64]string{}
	var id int64
	var name string
	_, err = pgx.ForEachRow(rows, []any{&id, &name}, func() error { names[id] = name; return nil })
	return func(j *freshJob) farm.Needs { return a.book.For(j.name, j.version, names[j.target]).Needs() }, err
}

// waits is null but for a job that waits.
func (p *Planned) waits() *int64 {
	if p.State != farm.Waiting || p.Waits == 0 {
		return nil
	}
	return &p.Waits
}

// addKnownReleasesJobs gives jobs of known releases the time that their release
// has now.
func (a *agreeing) addKnownReleasesJobs(ctx context.Context) error {
	var ids []int64
	for _, g := range a.batch {
		ids = append(ids, pluck(g.AddJobs, func(j NewJob) int64 { return j.Release })...)
	}
	if len(ids) == 0 {
		return nil
	}
	rows, err := a.tx.Query(ctx, `select id, released_at, version from releases where id = any($1)`, ids)
	if err != nil {
		return err
	}
	times, versions := make(map[int64]time.Time, len(ids)), make(map[int64]string, len(ids))
	var id int64
	var at time.Time
	var version string
	if _, err := pgx.ForEachRow(rows, []any{&id, &at, &version}, func() error {
		times[id], versions[id] = at, version
		return nil
	}); err != nil {
		return err
	}
	for _, g := range a.batch {
		for _, j := range g.AddJobs {
			a.fresh = append(a.fresh, freshJob{g.id, g.Known.Name, j.Release, versions[j.Release], j.Target, times[j.Release], j.Planned})
		}
	}
	return nil
}

// moveJobs changes jobs that were found as they were known. What ended with a cause
// and is tried again begins anew.
func (a *agreeing) moveJobs(ctx context.Context) error {
	const q = `
with moved as (
    update jobs j set
        state = x.state, why = x.why, reason = x.reason, priority = x.priority,
        waits_target_id = x.waits, package_id = x.package_id,
        waits_package     = case when x.why = 'requirement' then j.waits_package else '' end,
        waits_requirement = case when x.why = 'requirement' then j.waits_requirement else '' end,
        cause = '', detail = '', hint = '',
        losses      = case when j.state = 'failed' then 0 else j.losses end,
        faults      = case when j.state = 'failed' then 0 else j.faults end,
        timeouts    = case when j.state = 'failed' then 0 else j.timeouts end,
        memory_outs = case when j.state = 'failed' then 0 else j.memory_outs end,
        lease_token    = case when x.state = 'leased' then j.lease_token end,
        lease_slave_id = case when x.state = 'leased' then j.lease_slave_id end,
        lease_deadline = case when x.state = 'leased' then j.lease_deadline end,
        lease_slot     = case when x.state = 'leased' then j.lease_slot else 0 end,
        not_before = case when x.state <> j.state then now() else j.not_before end,
        changed_at = case when x.state <> j.state then now() else j.changed_at end
    from unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::smallint[], $6::bigint[], $7::bigint[])
        as x (id, state, why, reason, priority, waits, package_id)
    where j.id = x.id and j.id = any($1)
    returning j.id, j.target_id, j.state, j.priority, j.rank, j.needs_memory, j.needs_packages
)
select target_id, priority, rank, id, ` + needy + ` from moved where state = 'queued'`
	var ids, packages []int64
	var waits []*int64
	var states, whys, reasons []string
	var priorities []int16
	for _, g := range a.batch {
		for i := range g.Move {
			m := &g.Move[i]
			ids, packages, waits = append(ids, m.Job), append(packages, g.id), append(waits, m.waits())
			states, whys, reasons = append(states, string(m.State)), append(whys, string(m.Why)), append(reasons, m.Reason)
			priorities = append(priorities, int16(m.Priority))
			if m.State == farm.Queued && m.From != farm.Queued {
				a.out.Queued++
			}
		}
	}
	if len(ids) == 0 {
		return nil
	}
	rows, err := a.tx.Query(ctx, q, ids, states, whys, reasons, priorities, waits, packages)
	if err != nil {
		return err
	}
	var target int64
	var at queuePlace
	var needy bool
	_, err = pgx.ForEachRow(rows, []any{&target, &at.priority, &at.rank, &at.id, &needy}, func() error {
		a.queued(target, at)
		a.needy = a.needy || needy
		return nil
	})
	return err
}

// queued notes where a job was queued. Who claims is told of the first place on
// each target: a notification that names none would make all forget where the
// head of the queue is, several times a second.
func (a *agreeing) queued(target int64, at queuePlace) {
	if have, ok := a.first[target]; !ok || at.before(have) {
		a.first[target] = at
	}
}

// wake tells once that work was queued.
func (a *agreeing) wake(ctx context.Context) error {
	if len(a.first) == 0 {
		return nil
	}
	_, err := a.tx.Exec(ctx, `select pg_notify($1, $2)`, QueueChannel, formatPlaces(a.first, a.needy))
	return err
}

// formatPlaces is what parsePlaces reads; a notification has room for 8,000 bytes.
func formatPlaces(first map[int64]queuePlace, needy bool) string {
	if len(first) > 100 {
		return ""
	}
	var words []string
	for target, p := range first {
		words = append(words, fmt.Sprintf("%d/%d/%d/%d", target, p.priority, p.rank, p.id))
	}
	if needy {
		words[0] += needyMark
	}
	return strings.Join(words, " ")
}
