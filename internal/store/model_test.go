package store_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// The model is what agreements come to, in memory and without any cleverness.

type modelJob struct {
	State  farm.State
	Reason string
	Waits  int64
}

type modelRelease struct {
	Raw      string
	Yanked   bool
	Released time.Time
	Jobs     map[int64]modelJob // by target
}

type modelProject struct {
	Life      int // which one of this name
	Revision  int64
	Display   string
	Spellings []string
	Serial    int64
	Releases  map[string]*modelRelease // by version
}

type model struct {
	*world
	rt      *rapid.T
	targets []int64 // the lowest first
	lives   int
	now     map[string]*modelProject
	seen    map[string]snapshot // what was known some time ago
}

// snapshot is what a decision is made from.
type snapshot struct {
	known store.Known
	life  int // 0: unknown
}

func (m *model) life(name string) int {
	if p := m.now[name]; p != nil {
		return p.Life
	}
	return 0
}

// look reads what is known, for decisions now or later.
func (m *model) look() {
	for _, name := range modelNames() {
		k := m.known(name)
		k.Name = name
		m.seen[name] = snapshot{k, m.life(name)}
	}
}

func modelNames() []string { return []string{"aa", "bb", "cc"} }

func (m *model) chance(percent int) bool { return rapid.IntRange(0, 99).Draw(m.rt, "chance") < percent }

// plan draws what becomes of a job; only the higher target waits.
func (m *model) plan(target int64) store.Planned {
	states := []farm.State{farm.Queued, farm.Skipped, farm.Covered}
	if target == m.targets[1] {
		states = append(states, farm.Waiting)
	}
	p := store.Planned{State: rapid.SampledFrom(states).Draw(m.rt, "state"), Priority: farm.PriorityBacklog}
	if p.State != farm.Queued {
		p.Reason = rapid.SampledFrom([]string{"one", "two"}).Draw(m.rt, "reason")
	}
	if p.State == farm.Waiting {
		p.Why, p.Waits = farm.WhyLowerTarget, m.targets[0]
	}
	return p
}

// decide draws an agreement on what was known.
func (m *model) decide(s snapshot) store.Agreement {
	a := change(s.known)
	a.Facts.Display = rapid.SampledFrom([]string{s.known.Name, "X" + s.known.Name}).Draw(m.rt, "display")
	a.Facts.Serial++
	if a.Gone = m.chance(15); a.Gone {
		return a
	}
	have := map[string]bool{}
	for _, r := range s.known.Releases {
		have[r.Version] = true
		if m.chance(15) {
			a.Remove = append(a.Remove, r.ID)
			continue
		}
		if m.chance(30) {
			r.Raw, r.Yanked, r.Released = "v"+r.Version, !r.Yanked, r.Released.Add(time.Hour)
			a.Update = append(a.Update, r)
		}
		m.decideJobs(&a, r)
	}
	for _, v := range []string{"1.0", "2.0", "3.0"} {
		if have[v] || m.chance(50) {
			continue
		}
		n := m.release(v, 1, store.Planned{})
		n.Jobs = []store.NewJob{{Target: m.targets[0], Planned: queued(farm.PriorityBacklog)}, {Target: m.targets[1], Planned: m.plan(m.targets[1])}}
		a.Add = append(a.Add, n)
	}
	return a
}

func (m *model) decideJobs(a *store.Agreement, r store.KnownRelease) {
	have := map[int64]bool{}
	for _, j := range r.Jobs {
		have[j.Target] = true
		p := m.plan(j.Target)
		switch legal := p.State == j.State || farm.CanMove(j.State, p.State); {
		case m.chance(20):
			a.RemoveJobs = append(a.RemoveJobs, j.ID)
			have[j.Target] = false
		case legal && m.chance(40):
			a.Move = append(a.Move, store.JobMove{Job: j.ID, From: j.State, Planned: p})
		}
	}
	for _, t := range m.targets {
		if !have[t] && m.chance(40) {
			a.AddJobs = append(a.AddJobs, store.NewJob{Release: r.ID, Target: t, Planned: m.plan(t)})
		}
	}
}

// agreed does to the model what an agreement does, or says that it is too late.
func (m *model) agreed(a store.Agreement, s snapshot) bool {
	p := m.now[a.Known.Name]
	if m.life(a.Known.Name) != s.life || p != nil && p.Revision != s.known.Revision {
		return false
	}
	if a.Gone {
		delete(m.now, a.Known.Name)
		return true
	}
	next := &modelProject{Display: a.Facts.Display, Spellings: []string{a.Facts.Display}, Serial: a.Facts.Serial, Revision: 1, Releases: map[string]*modelRelease{}}
	if p == nil {
		m.lives++
		next.Life = m.lives
	} else {
		next.Life, next.Revision, next.Spellings = p.Life, p.Revision+1, p.Spellings
		if !slices.Contains(p.Spellings, next.Display) {
			next.Spellings = append(slices.Clone(p.Spellings), next.Display)
		}
	}
	for _, r := range s.known.Releases {
		if slices.Contains(a.Remove, r.ID) {
			continue
		}
		was := p.Releases[r.Version]
		n := &modelRelease{was.Raw, was.Yanked, was.Released, map[int64]modelJob{}}
		for _, u := range a.Update {
			if u.ID == r.ID {
				n.Raw, n.Yanked, n.Released = u.Raw, u.Yanked, u.Released
			}
		}
		if !movedJobs(a, r, was, n) || !m.outcomesToCome(a, r, n) {
			return false
		}
		next.Releases[r.Version] = n
	}
	for _, r := range a.Add {
		n := &modelRelease{r.Raw, r.Yanked, r.Released, map[int64]modelJob{}}
		for _, j := range r.Jobs {
			n.Jobs[j.Target] = modelJob{j.State, j.Reason, j.Waits}
		}
		next.Releases[r.Version] = n
	}
	m.now[a.Known.Name] = next
	return true
}

func movedJobs(a store.Agreement, r store.KnownRelease, was, n *modelRelease) bool {
	for _, j := range r.Jobs {
		if slices.Contains(a.RemoveJobs, j.ID) {
			continue
		}
		n.Jobs[j.Target] = was.Jobs[j.Target]
		for _, move := range a.Move {
			if move.Job != j.ID {
				continue
			}
			if was.Jobs[j.Target].State != move.From {
				return false
			}
			n.Jobs[j.Target] = modelJob{move.State, move.Reason, move.Waits}
		}
	}
	for _, j := range a.AddJobs {
		if j.Release == r.ID {
			n.Jobs[j.Target] = modelJob{j.State, j.Reason, j.Waits}
		}
	}
	return true
}

// outcomesToCome looks at what this agreement tells to wait only: who waited before
// is the business of plans.
func (m *model) outcomesToCome(a store.Agreement, r store.KnownRelease, n *modelRelease) bool {
	told := false
	for _, j := range r.Jobs {
		told = told || slices.ContainsFunc(a.Move, func(x store.JobMove) bool { return x.Job == j.ID && x.State == farm.Waiting })
	}
	told = told || slices.ContainsFunc(a.AddJobs, func(x store.NewJob) bool { return x.Release == r.ID && x.State == farm.Waiting })
	lower, ok := n.Jobs[m.targets[0]]
	return !told || ok && !lower.State.Ended()
}

// agreeSome agrees on some projects, decided now or on what was seen some time ago.
func (m *model) agreeSome() {
	if m.chance(40) {
		m.look()
	}
	var batch []store.Agreement
	var late []string
	for _, name := range modelNames() {
		if m.chance(40) {
			a := m.decide(m.seen[name])
			batch = append(batch, a)
			if !m.agreed(a, m.seen[name]) {
				late = append(late, name)
			}
		}
	}
	got, err := m.Agree(m.t.Context(), batch, nil)
	if err != nil {
		m.rt.Fatal(err)
	}
	slices.Sort(got.Changed)
	if diff := cmp.Diff(late, got.Changed); diff != "" {
		m.rt.Fatalf("refused:\n%s\nof %+v", diff, batch)
	}
}

func (m *model) removeByHand() {
	name := rapid.SampledFrom(modelNames()).Draw(m.rt, "name")
	versions := rapid.SampledFrom([][]string{nil, {"1.0"}, {"2.0", "3.0"}}).Draw(m.rt, "versions")
	_, err := m.Remove(m.t.Context(), name, versions, "test")
	p := m.now[name]
	ok := p != nil
	for _, v := range versions {
		ok = ok && p.Releases[v] != nil
	}
	if !ok {
		if !errors.Is(err, farm.ErrNotFound) {
			m.rt.Fatalf("remove %s %v: %v", name, versions, err)
		}
		return
	}
	if err != nil {
		m.rt.Fatal(err)
	}
	if versions == nil {
		delete(m.now, name)
		return
	}
	p.Revision++
	for _, v := range versions {
		delete(p.Releases, v)
	}
}

// build claims a job of the lowest target, and perhaps fails it.
func (m *model) build() {
	m.lives++
	l, ok := m.claim("a", fmt.Sprintf("model-%p-%d", m, m.lives))
	if !ok {
		return
	}
	r := m.now[l.Package].Releases[l.Version]
	if r.Jobs[m.targets[0]].State != farm.Queued {
		m.rt.Fatalf("claimed %+v, which is %s", l, r.Jobs[m.targets[0]].State)
	}
	r.Jobs[m.targets[0]] = modelJob{State: farm.Leased}
	if m.chance(50) {
		return
	}
	e := m.ending("a", l)
	e.Failure = farm.Failure{Cause: farm.CompilerError}
	if _, err := m.FinishFailed(m.t.Context(), e); err != nil {
		m.rt.Fatal(err)
	}
	r.Jobs[m.targets[0]] = modelJob{State: farm.Failed}
	if j, ok := r.Jobs[m.targets[1]]; ok && j.State == farm.Waiting {
		r.Jobs[m.targets[1]] = modelJob{State: farm.Queued}
	}
}

// compare holds the database to the model.
func (m *model) compare() {
	got := map[string]*modelProject{}
	all, err := m.KnownProjects(m.t.Context(), modelNames())
	m.must(err)
	for name, k := range all {
		p := &modelProject{Life: m.life(name), Revision: k.Revision, Display: k.Display, Spellings: k.Spellings, Serial: k.Serial,
			Releases: map[string]*modelRelease{}}
		for _, r := range k.Releases {
			n := &modelRelease{r.Raw, r.Yanked, r.Released, map[int64]modelJob{}}
			for _, j := range r.Jobs {
				n.Jobs[j.Target] = modelJob{j.State, j.Reason, j.Waits}
			}
			p.Releases[r.Version] = n
		}
		got[name] = p
	}
	if diff := cmp.Diff(m.now, got); diff != "" {
		m.rt.Fatalf("the database is not what the model is:\n%s", diff)
	}
}

// TestAgreementsAgainstAModel: whatever is agreed on, late or in time, removed, made
// again and built meanwhile, the rows are what the model is.
func TestAgreementsAgainstAModel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	targets := []int64{w.targetID, w.second()}
	rapid.Check(t, func(rt *rapid.T) {
		w.must(w.exec(`delete from packages`))
		m := &model{world: w, rt: rt, targets: targets, now: map[string]*modelProject{}, seen: map[string]snapshot{}}
		m.look()
		for range rapid.IntRange(5, 30).Draw(rt, "steps") {
			switch rapid.IntRange(0, 9).Draw(rt, "step") {
			case 0:
				m.removeByHand()
			case 1, 2, 3, 4, 5:
				m.build()
			case 6:
				m.look()
			default:
				m.agreeSome()
			}
			m.compare()
		}
		list, err := m.Contradictions(t.Context())
		m.must(err)
		for _, c := range list {
			// The plans here are drawn blindly, so some tell nobody that what they wait for is over.
			if !strings.HasSuffix(c, "waits for a target whose job has ended or is not there") {
				rt.Error(c)
			}
		}
	})
}
