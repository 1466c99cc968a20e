package ingest

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"

	"pinwheel/internal/crash"
	"pinwheel/internal/farm"
	"pinwheel/internal/service"
	"pinwheel/internal/store"
)

// scene is what all jobs are planned by.
type scene struct {
	targets []store.TargetRow // the active ones
	retired []store.TargetRow
	live    map[int64]bool
}

// stage holds the scene. Whoever decides holds it for reading until the decision
// is written, so that no decision by an old scene comes after a new one is set up.
type stage struct {
	mu sync.RWMutex
	scene
}

// print is the scene as text that changes when jobs are to be planned anew.
type print struct {
	Targets []printedTarget `json:"targets"`
	Live    []int64         `json:"live"`
	Policy  farm.Policy     `json:"policy"`
	Version int             `json:"version"`
}

type printedTarget struct {
	ID     int64  `json:"id"`
	Name   string `json:"name"`
	Python string `json:"python"`
	Glibc  string `json:"glibc"`
}

// planVersion grows when the rules change by which the same facts are decided.
const planVersion = 1

func (s scene) fingerprint(policy farm.Policy) string {
	policy.ProjectLeases = 0 // it is the claims' matter, and decides about no job
	p := print{Live: slices.Sorted(maps.Keys(s.live)), Policy: policy, Version: planVersion}
	for _, t := range s.targets {
		p.Targets = append(p.Targets, printedTarget{t.ID, t.Target.String(), t.Facts.Python, t.Facts.Glibc})
	}
	text, err := json.Marshal(p)
	if err != nil {
		panic(err) // numbers and strings can always be written
	}
	return string(text)
}

// survey looks at targets and slaves, sets the scene up and returns its
// fingerprint.
func (f *Follower) survey(ctx context.Context) (string, error) {
	next, err := newScene(ctx, f.cfg.Store)
	if err != nil {
		return "", err
	}
	f.stage.mu.Lock()
	defer f.stage.mu.Unlock()
	f.stage.scene = next
	return next.fingerprint(f.cfg.Policy), nil
}

func newScene(ctx context.Context, s *store.Store) (scene, error) {
	all, err := s.AllTargets(ctx)
	if err != nil {
		return scene{}, err
	}
	targets, retired := parted(all)
	heard, err := s.TargetsHeard(ctx)
	if err != nil {
		return scene{}, err
	}
	live := map[int64]bool{}
	for _, t := range targets {
		if ago, ok := heard[t.ID]; ok && ago < liveFor {
			live[t.ID] = true
		}
	}
	return scene{targets, retired, live}, nil
}

// environment is what the policy decides by.
func (s scene) environment(policy farm.Policy, skips []store.Skip, now time.Time) Environment {
	return Environment{Targets: s.targets, Retired: s.retired, Live: s.live, Policy: policy, Skips: skips, Now: now}
}

// plan decides about every job anew when targets, live slaves or the policy have
// changed, until ctx ends.
func (f *Follower) plan(ctx context.Context) error {
	return service.Loop{Every: f.times.plan, Log: f.log, Do: f.planRound}.Run(ctx)
}

func (f *Follower) planRound(ctx context.Context) error {
	fingerprint, err := f.survey(ctx)
	if err != nil {
		return err
	}
	at, err := f.cfg.Store.Following(ctx)
	if err != nil || at.Fingerprint == fingerprint {
		return err
	}
	w, err := f.cfg.Store.BeginPlan(ctx, fingerprint)
	if err != nil {
		return err
	}
	f.log.Info().Int64("packages", w.Total).Int64("done", w.Chosen).Msg("targets, slaves or policy changed: all jobs are planned anew")
	size := planFirst
	for {
		began := f.now()
		n, last, err := f.planBatch(ctx, w.Place, size)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		// The batch is committed; a crash before its place is kept plans it again,
		// which changes nothing.
		w.Place, w.Chosen = last, w.Chosen+int64(n)
		if err := f.cfg.Store.PlanProgress(ctx, w.ID, w.Place, w.Chosen); err != nil {
			return err
		}
		crash.At(crash.IngestPlanned)
		size = nextSize(size, f.now().Sub(began))
	}
	if err := f.cfg.Store.FinishPlan(ctx, w.ID, fingerprint); err != nil {
		return err
	}
	f.log.Info().Int64("packages", w.Chosen).Msg("all jobs are planned")
	return nil
}

// The sizes of batches, in packages, and how long one may take: its locks keep
// slaves from reporting.
const (
	planFirst = 20
	planMost  = 500
	planLong  = 100 * time.Millisecond
)

func nextSize(size int, took time.Duration) int {
	switch {
	case took > planLong:
		return max(1, size/2)
	case took < planLong/3:
		return min(2*size, planMost)
	}
	return size
}

// planBatch plans some packages and returns how many, and the last one's id.
func (f *Follower) planBatch(ctx context.Context, after int64, size int) (n int, last int64, err error) {
	known, err := f.cfg.Store.KnownAfter(ctx, after, size)
	if err != nil || len(known) == 0 {
		return 0, after, err
	}
	batch := make([]*task, 0, len(known))
	for _, k := range known {
		batch = append(batch, &task{known: k, planned: true})
	}
	left, err := f.settle(ctx, batch)
	if err != nil {
		return 0, after, err
	}
	// One that others change again and again must not keep the rest from being planned:
	// whoever reads it next decides by the same scene.
	if err := f.cfg.Store.ReadAgain(ctx, names(left)); err != nil {
		return 0, after, err
	}
	return len(known), known[len(known)-1].ID, nil
}

// newNoMore plans projects anew whose queued releases were new, and are new no more.
func (f *Follower) newNoMore(ctx context.Context) error {
	list, err := f.cfg.Store.NewNoMore(ctx, f.cfg.Policy.NewSince(f.now()), agedAtOnce)
	if err != nil {
		return err
	}
	for piece := range slices.Chunk(list, planMost/10) {
		known, err := f.cfg.Store.KnownProjects(ctx, piece)
		if err != nil {
			return err
		}
		var batch []*task
		for _, name := range piece {
			batch = append(batch, &task{known: knownAs(known, name), planned: true})
		}
		if _, err := f.settle(ctx, batch); err != nil { // what is left is found by the next look
			return err
		}
	}
	return nil
}
