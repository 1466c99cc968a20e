package ingest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"pinwheel/internal/farm"
	"pinwheel/internal/pypi"
	"pinwheel/internal/store"
)

// tb is what a model needs of a test, or of a property.
type tb interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// model is a farm in memory that knows one project: what package store does with
// agreements, by the plainest means.
type model struct {
	t     tb
	known store.Known
	env   Environment
	last  store.Agreement
	ids   int64
}

func today() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }

// newModel has the targets cp39 and cp313, by keys 1 and 2, each with a slave.
func newModel(t tb) *model {
	env := Environment{Targets: []store.TargetRow{old(), young()}, Live: map[int64]bool{1: true, 2: true},
		Policy: farm.DefaultPolicy(), Now: today()}
	for i := range env.Targets {
		env.Targets[i].ID = int64(i + 1)
	}
	m := &model{t: t, env: env, ids: 100}
	m.known.Name = "demo"
	return m
}

// read lets the farm agree with a page, and holds what it decided to what every
// decision owes: its moves are legal, and asked again it has nothing to do.
func (m *model) read(p *pypi.Project, follow bool) {
	m.t.Helper()
	m.settle(p, follow, nil)
	if again := agree(m.known, p, m.env, follow); !idle(again) {
		m.t.Fatalf("asked again, it decides %s", summary(again))
	}
}

// plan lets it plan over what is known.
func (m *model) plan() { m.t.Helper(); m.read(nil, false) }

// add asks for a version on all targets.
func (m *model) add(p *pypi.Project, version string) {
	m.t.Helper()
	named := asks{}
	for _, t := range m.env.Targets {
		named[askKey{releaseKey(version), t.ID}] = farm.PriorityOperator
	}
	m.settle(p, false, named)
}

func (m *model) settle(p *pypi.Project, follow bool, named asks) {
	m.t.Helper()
	a := decide(m.known, p, m.env, follow, named)
	for _, move := range a.Move {
		if move.From != move.State && !farm.CanMove(move.From, move.State) {
			m.t.Errorf("job %d moves from %s to %s", move.Job, move.From, move.State)
		}
	}
	m.last = a
	m.apply(a)
}

// idle says whether an agreement changes nothing.
func idle(a store.Agreement) bool {
	return len(a.Add)+len(a.Update)+len(a.AddJobs)+len(a.Move)+len(a.RemoveJobs)+len(a.Remove) == 0 && !a.Page && !a.Gone
}

func summary(a store.Agreement) string {
	return fmt.Sprintf("add %+v, update %+v, jobs %+v, moves %+v, remove jobs %v, remove %v, page %v",
		a.Add, a.Update, a.AddJobs, a.Move, a.RemoveJobs, a.Remove, a.Page)
}

func (m *model) apply(a store.Agreement) {
	k := &m.known
	k.ID, k.ProjectFacts = 1, a.Facts
	k.Releases = slices.DeleteFunc(k.Releases, func(r store.KnownRelease) bool { return slices.Contains(a.Remove, r.ID) })
	for i := range k.Releases {
		r := &k.Releases[i]
		r.Jobs = slices.DeleteFunc(r.Jobs, func(j store.KnownJob) bool { return slices.Contains(a.RemoveJobs, j.ID) })
		for _, u := range a.Update {
			if u.ID == r.ID {
				r.ReleaseFacts = u.ReleaseFacts
			}
		}
		for _, j := range a.AddJobs {
			if j.Release == r.ID {
				r.Jobs = append(r.Jobs, m.job(j))
			}
		}
	}
	for _, n := range a.Add {
		r := store.KnownRelease{ID: m.id(), ReleaseFacts: n.ReleaseFacts}
		for _, j := range n.Jobs {
			r.Jobs = append(r.Jobs, m.job(j))
		}
		k.Releases = append(k.Releases, r)
	}
	for _, move := range a.Move {
		j := m.byID(move.Job)
		if j == nil || j.State != move.From {
			m.t.Fatalf("job %d is not %s", move.Job, move.From)
		}
		j.State, j.Why, j.Reason, j.Priority, j.Waits = move.State, move.Why, move.Reason, move.Priority, move.Waits
	}
}

func (m *model) id() int64 { m.ids++; return m.ids }

func (m *model) job(n store.NewJob) store.KnownJob {
	return store.KnownJob{ID: m.id(), Target: n.Target, State: n.State, Why: n.Why, Reason: n.Reason, Priority: n.Priority, Waits: n.Waits}
}

func (m *model) byID(id int64) *store.KnownJob {
	for i := range m.known.Releases {
		for k := range m.known.Releases[i].Jobs {
			if j := &m.known.Releases[i].Jobs[k]; j.ID == id {
				return j
			}
		}
	}
	return nil
}

// find is the job of a version on a target.
func (m *model) find(version string, target int64) *store.KnownJob {
	m.t.Helper()
	for i := range m.known.Releases {
		for k := range m.known.Releases[i].Jobs {
			if j := &m.known.Releases[i].Jobs[k]; m.known.Releases[i].Version == version && j.Target == target {
				return j
			}
		}
	}
	m.t.Fatalf("no job of %s on %d in %s", version, target, m.jobs())
	return nil
}

// ends is a report: the job is built or failed. What waits for it is the store's.
func (m *model) ends(version string, target int64, s farm.State, wheel string) {
	m.t.Helper()
	j := m.find(version, target)
	j.State, j.Why, j.Reason, j.Waits, j.Wheel = s, "", "", 0, wheel
}

// jobs is all of them, "1.0: queued/20 skipped no-sdist; …", in the order of
// versions and targets, with the priority of what is queued.
func (m *model) jobs() string {
	var out []string
	releases := slices.Clone(m.known.Releases)
	slices.SortFunc(releases, func(a, b store.KnownRelease) int { return strings.Compare(a.Version, b.Version) })
	for _, r := range releases {
		jobs := slices.Clone(r.Jobs)
		slices.SortFunc(jobs, func(a, b store.KnownJob) int { return cmp.Compare(a.Target, b.Target) })
		words := r.Version + ":"
		for _, j := range jobs {
			words += " " + string(j.State)
			switch {
			case j.State == farm.Queued:
				words += fmt.Sprint("/", j.Priority)
			case j.Why != "":
				words += "-" + string(j.Why)
			}
		}
		out = append(out, words)
	}
	return strings.Join(out, "; ")
}

func (m *model) want(what, jobs string) {
	m.t.Helper()
	if got := m.jobs(); got != jobs {
		m.t.Errorf("%s:\n got %s\nwant %s", what, got, jobs)
	}
}
