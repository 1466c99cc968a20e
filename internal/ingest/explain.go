package ingest

import (
	"context"
	"slices"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// Explained is what decides about one release on one target, beside its job.
type Explained struct {
	Target  store.TargetRow
	Live    bool // a slave was heard that builds for it
	Verdict farm.Verdict
	Plan    farm.Planned    // what an agreement would make of the job; the zero one: there is none
	Job     *store.KnownJob // nil: there is none
	Wheel   string          // the tag of the upstream's wheel that pip there takes; empty: none
	Skip    *store.Skip     // the maintainer's word that meets it
}

// Explain says what the policy makes of each release of a project that the farm
// has, on every target, the retired ones too where it has a job. It asks nobody but
// the database, and decides as an agreement would that changes nothing. Releases are
// by their place in what is known. farm.ErrNotFound: the farm has no such project.
func (in *Ingest) Explain(ctx context.Context, name string) (store.Known, [][]Explained, error) {
	known, env, err := in.look(ctx, name)
	if err != nil {
		return known, nil, err
	}
	if known.ID == 0 {
		return known, nil, farm.ErrNotFound
	}
	return known, explain(known, env), nil
}

func explain(known store.Known, env Environment) [][]Explained {
	d := newDecision(known, env, nil)
	d.out.Facts = projectFacts(known, nil, known.Followed)
	out := make([][]Explained, 0, len(known.Releases))
	for _, it := range d.items(nil) {
		cells, jobs := d.cells(it)
		plans := farm.Plan(cells)
		var list []Explained
		for _, t := range slices.Concat(env.Targets, env.Retired) {
			e := Explained{Target: t, Live: env.Live[t.ID], Wheel: d.taker(t).choice(it.facts.Wheels), Skip: d.skip(it, t)}
			i := slices.IndexFunc(cells, func(c farm.Cell) bool { return c.Target == t.ID })
			if i < 0 && !t.Active {
				continue
			}
			if i >= 0 {
				e.Plan, e.Job = plans[i], jobs[i]
			}
			byHand := e.Job != nil && e.Job.Priority <= farm.PriorityOperator
			e.Verdict = farm.Decide(d.candidate(it, t, byHand), env.Policy)
			list = append(list, e)
		}
		out = append(out, list)
	}
	return out
}

// skip is the first maintainer's word that meets a release on a target.
func (d *decision) skip(it item, t store.TargetRow) *store.Skip {
	for _, s := range d.skips {
		if s.meets(it.key, t) {
			return &s.Skip
		}
	}
	return nil
}
