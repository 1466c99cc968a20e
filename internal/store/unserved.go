package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
)

// Unserved is a part of a target's queue that no live slave takes: its jobs stay
// queued until one does.
type Unserved struct {
	Target string     `json:"target"`
	Jobs   int64      `json:"jobs"`   // queued; at most QueueCounted
	Slaves int        `json:"slaves"` // that are live there; 0: this is what is missing
	Needs  farm.Needs `json:"needs"`  // of each of the jobs
	Lack   farm.Needs `json:"lack"`   // of it, what the slave that is nearest lacks
	Memory int64      `json:"memory"` // bytes that the largest of those slaves has
}

// Live is how long a slave counts as live after it was heard, unless it is paused or
// revoked.
const Live = time.Hour

const unservedKinds = walkKinds + `
select t.name, k.packages, k.memory, (
    select count(*) from (
        select 1 from jobs
        where target_id = k.target_id and state = 'queued' and ` + needy + `
        and coalesce(needs_packages, '{}') = k.packages and needs_memory = k.memory
        limit $2) n)
from kinds k join targets t on t.id = k.target_id
where t.name = any($1)
order by t.rank, t.name collate "C", k.memory, k.packages`

// unserved looks at the queues of these targets; queued says how many jobs are in the
// queue of one. It walks from kind to kind, and not over all jobs.
func unserved(ctx context.Context, q querier, targets []string, queued func(target string) int64) ([]Unserved, error) {
	out := []Unserved{}
	machines, err := liveMachines(ctx, q)
	if err != nil {
		return nil, err
	}
	for _, name := range targets {
		if n := queued(name); n > 0 && len(machines[name]) == 0 {
			out = append(out, Unserved{Target: name, Jobs: n})
		}
	}
	rows, err := q.Query(ctx, unservedKinds, targets, QueueCounted)
	if err != nil {
		return nil, fmt.Errorf("look what queued jobs need: %w", translate(err))
	}
	var u Unserved
	into := []any{&u.Target, &u.Needs.Packages, &u.Needs.Memory, &u.Jobs}
	_, err = pgx.ForEachRow(rows, into, func() error {
		there := machines[u.Target]
		u.Needs.Packages = slices.Clone(u.Needs.Packages) // the next row may be read into the same
		if u.Lack = u.Needs.Unmet(there); u.Lack.IsZero() || len(there) == 0 {
			return nil
		}
		u.Slaves, u.Memory = len(there), 0
		for _, m := range there {
			u.Memory = max(u.Memory, m.Memory)
		}
		out = append(out, u)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look what queued jobs need: %w", translate(err))
	}
	return out, nil
}

// liveMachines are what live slaves told of themselves, by the targets they serve.
func liveMachines(ctx context.Context, q querier) (map[string][]farm.Machine, error) {
	const live = `
select hello, packages from slaves
where role = 'slave' and revoked_at is null and not paused and hello is not null
and last_seen > clock_timestamp() - $1::interval
order by name`
	rows, err := q.Query(ctx, live, Live)
	if err != nil {
		return nil, fmt.Errorf("look what live slaves have: %w", translate(err))
	}
	list, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (m farm.Machine, err error) {
		err = r.Scan(&m, &m.Packages)
		return m, err
	})
	if err != nil {
		return nil, fmt.Errorf("look what live slaves have: %w", translate(err))
	}
	out := map[string][]farm.Machine{}
	for _, m := range list {
		lists := listsOf(m.Packages)
		for _, t := range m.Targets {
			name := t.Target.String()
			m.Packages = lists.On(name)
			out[name] = append(out[name], m)
		}
	}
	return out, nil
}
