package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"pinwheel/internal/crash"
	"pinwheel/internal/farm"
	"pinwheel/internal/pep"
	"pinwheel/internal/pypi"
	"pinwheel/internal/store"
)

// Ask is what somebody wants of one package.
type Ask struct {
	Package  string   // in any spelling
	Versions []string // in any spelling; none: every release, or with Newest only that
	Newest   bool     // for each target the one that pip there would take
	Actor    string   // who asks, for the audit trail
	// Priority is farm.PriorityOperator, also if it is not given: the jobs go before
	// all others and before what the policy says of yanked releases and the like, and
	// wait for no other target. With any lower one the policy decides how soon.
	Priority farm.Priority
}

// Job is what became of a release that was asked for, on one target.
type Job struct {
	Version string
	Target  string
	State   farm.State
	Reason  string
}

// addTries is how often Add decides anew because somebody else changed what it had
// decided on: a report of a slave, or the follower.
const addTries = 20

// Add asks the upstream for a package and queues the releases wanted, on every
// active target. The jobs come back with the state that they are in, the newest
// release first.
func (in *Ingest) Add(ctx context.Context, ask Ask) ([]Job, error) {
	if !pep.ValidName(ask.Package) {
		return nil, fmt.Errorf("%q is not a package name (letters, digits and . _ - between them)", ask.Package)
	}
	targets, err := in.cfg.Store.Targets(ctx)
	if err != nil {
		return nil, err
	}
	if len(targets) == 0 {
		return nil, errors.New("this farm has no target; run `master target add`, for example cp311-linux_armv7l")
	}
	p, err := in.cfg.Upstream.Project(ctx, pep.NormalizeName(ask.Package))
	if errors.Is(err, pypi.ErrNotFound) {
		return nil, fmt.Errorf("%s: the upstream has no package of this name", ask.Package)
	}
	if err != nil {
		return nil, err
	}
	wanted, err := choose(p, ask, targets)
	if err != nil {
		return nil, err
	}
	// One commit for the package, its releases and their jobs, so that a crash on
	// either side of it leaves all or nothing. Nobody is told but by that commit.
	crash.At(crash.IngestFetched)
	jobs, err := in.agreeOn(ctx, p, ask, named(p.Name, wanted, ask.Priority))
	if err != nil {
		return nil, err
	}
	crash.At(crash.IngestCommitted)
	in.cfg.Log.Info().Str("package", p.Name).Int("jobs", len(jobs)).Int("files_left_out", p.LeftOut).Msg("added")
	return jobs, nil
}

// named makes asks of what was chosen.
func named(project string, wanted []chosen, pr farm.Priority) asks {
	out := asks{}
	for _, c := range wanted {
		if _, key, ok := releaseFacts(project, c.release); ok {
			out[askKey{key, c.target.ID}] = cmp.Or(pr, farm.PriorityOperator)
		}
	}
	return out
}

// agreeOn writes what the page says, with the jobs that were named. Who decides on
// what has changed meanwhile is told so, and decides again.
func (in *Ingest) agreeOn(ctx context.Context, p pypi.Project, ask Ask, named asks) ([]Job, error) {
	for range addTries {
		known, env, err := in.look(ctx, p.Name)
		if err != nil {
			return nil, err
		}
		lifted := removals(env.Skips, named)
		env.Skips = without(env.Skips, lifted)
		a := decide(known, &p, env, false, named)
		a.Actor, a.Unskip = ask.Actor, lifted
		done, err := in.cfg.Store.Agree(ctx, []store.Agreement{a}, nil)
		if err != nil {
			return nil, err
		}
		if len(done.Changed) == 0 {
			return in.jobs(ctx, p.Name, env.Targets, named)
		}
	}
	return nil, fmt.Errorf("add %s: others changed its jobs %d times meanwhile; try again", p.Name, addTries)
}

// look reads all that a decision about one project needs.
func (in *Ingest) look(ctx context.Context, name string) (known store.Known, env Environment, err error) {
	all, err := in.cfg.Store.KnownProjects(ctx, []string{name})
	if err != nil {
		return known, env, err
	}
	known, ok := all[name]
	if !ok {
		known.Name = name
	}
	env, err = in.environment(ctx, []string{name})
	return known, env, err
}

// jobs reads what became of those that were named.
func (in *Ingest) jobs(ctx context.Context, name string, targets []store.TargetRow, named asks) ([]Job, error) {
	all, err := in.cfg.Store.KnownProjects(ctx, []string{name})
	if err != nil {
		return nil, err
	}
	releases := all[name].Releases
	slices.SortStableFunc(releases, func(a, b store.KnownRelease) int {
		return cmp.Or(b.Released.Compare(a.Released), cmp.Compare(a.Version, b.Version))
	})
	out := []Job{}
	for _, r := range releases {
		for _, t := range targets {
			i := slices.IndexFunc(r.Jobs, func(j store.KnownJob) bool { return j.Target == t.ID })
			if _, ok := named[askKey{releaseKey(r.Version), t.ID}]; ok && i >= 0 {
				out = append(out, Job{Version: r.Version, Target: t.Target.String(), State: r.Jobs[i].State, Reason: r.Jobs[i].Reason})
			}
		}
	}
	return out, nil
}
