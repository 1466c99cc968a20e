package ingest

import (
	"context"
	"time"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// Environment is what decides about releases beside what the upstream says.
type Environment struct {
	Targets []store.TargetRow // the active ones, in the order of store.Targets
	Retired []store.TargetRow // the others: what was built there still serves
	Live    map[int64]bool    // by target: a slave serves it
	Policy  farm.Policy
	Skips   []store.Skip // at least those of the projects that are decided on
	Now     time.Time
}

// liveFor is how long a target counts as served after one of its slaves was heard:
// long enough for a restart or a new SD card, since all that waits for a target is
// planned anew when it counts no more.
const liveFor = time.Hour

// environment reads what decides about these projects.
func (in *Ingest) environment(ctx context.Context, names []string) (Environment, error) {
	env := Environment{Policy: in.cfg.Policy, Live: map[int64]bool{}, Now: time.Now()}
	all, err := in.cfg.Store.AllTargets(ctx)
	if err != nil {
		return env, err
	}
	env.Targets, env.Retired = parted(all)
	heard, err := in.cfg.Store.TargetsHeard(ctx)
	if err != nil {
		return env, err
	}
	for target, ago := range heard {
		env.Live[target] = ago < liveFor
	}
	env.Skips, err = in.cfg.Store.Skips(ctx, names)
	return env, err
}

// parted tells the active targets from the retired ones.
func parted(all []store.TargetRow) (active, retired []store.TargetRow) {
	for _, t := range all {
		if t.Active {
			active = append(active, t)
		} else {
			retired = append(retired, t)
		}
	}
	return active, retired
}
