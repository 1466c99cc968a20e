package ingest

import (
	"maps"
	"slices"
	"time"

	"pinwheel/internal/farm"
	"pinwheel/internal/pep"
	"pinwheel/internal/pypi"
	"pinwheel/internal/store"
)

// asks are the jobs that somebody named, and their priority. A version is known
// by its key (releaseKey).
type asks map[askKey]farm.Priority

type askKey struct {
	release string
	target  int64
}

// releases are those that were named on any target.
func (a asks) releases() map[string]bool {
	out := map[string]bool{}
	for k := range a {
		out[k.release] = true
	}
	return out
}

// agree decides what must change so that the rows of a project agree with the
// upstream's page; with no page, what must change because targets, live slaves or
// the policy did. It is a pure function: what it decided, once applied, it does
// not decide again. With follow, and of a project that is followed already, every
// release becomes a job on every target; else only the jobs that exist are looked
// after. Whatever the page holds, the database takes the rows.
func agree(known store.Known, p *pypi.Project, env Environment, follow bool) store.Agreement {
	return decide(known, p, env, follow, nil)
}

// decide is agree, but for releases that somebody named: then it looks at nothing
// else, and the project stays to be read. Who asks may be a command beside the
// daemon, which does not know by what policy the others were decided.
func decide(known store.Known, p *pypi.Project, env Environment, follow bool, named asks) store.Agreement {
	return newDecision(known, env, named).decide(p, follow)
}

// partly is agree, but what the page lacks stays as it was, and the project to be
// read: nobody knows yet whether it is gone or held back.
func partly(known store.Known, p *pypi.Project, env Environment, follow bool) store.Agreement {
	d := newDecision(known, env, nil)
	d.partly = true
	return d.decide(p, follow)
}

func (d *decision) decide(p *pypi.Project, follow bool) store.Agreement {
	known := d.known
	d.out.Unread = p == nil || d.named != nil || d.partly
	d.out.Facts = projectFacts(known, p, follow)
	if d.named != nil || d.partly {
		d.out.Facts.Serial, d.out.Facts.ETag = known.Serial, known.ETag
	}
	d.out.Page = known.ID != 0 && statusChanged(known.ProjectFacts, d.out.Facts)
	for _, it := range d.items(p) {
		d.release(it)
	}
	return d.out
}

// statusChanged says whether the page of a project shows it otherwise.
func statusChanged(was, is store.ProjectFacts) bool {
	return was.Status != is.Status || was.StatusReason != is.StatusReason || was.Display != is.Display
}

// decision is the making of one agreement.
type decision struct {
	known  store.Known
	env    Environment
	named  asks
	partly bool // what the page lacks stays
	skips  []skip
	held   map[string]bool // keys of the releases that the upstream says it holds back
	takers map[int64]taker // made when they are needed
	out    store.Agreement
}

func newDecision(known store.Known, env Environment, named asks) *decision {
	d := &decision{known: known, env: env, named: named, skips: skipsOf(env.Skips, known.Name), takers: map[int64]taker{}}
	d.held = heldKeys(known)
	d.out.Known = known
	d.out.Known.Releases = nil // not to be held until the commit: a project may have thousands
	return d
}

// item is a release to decide about: as the farm has it, and as it shall be.
type item struct {
	was   *store.KnownRelease // nil: the farm does not have it
	facts store.ReleaseFacts
	key   string
}

// items pairs the releases of the page with those of the farm, and gives up those
// that the page lacks and the upstream does not hold back. A quarantined page lists
// nothing, and that says nothing.
func (d *decision) items(p *pypi.Project) []item {
	var out []item
	if p == nil || p.Status == statusQuarantined {
		for i := range d.known.Releases {
			r := &d.known.Releases[i]
			out = append(out, item{was: r, facts: r.ReleaseFacts, key: releaseKey(r.Version)})
		}
		return out
	}
	have, wanted := d.have(), d.named.releases()
	seen := map[string]bool{}
	for _, r := range p.Releases {
		facts, key, ok := releaseFacts(p.Name, r)
		if !ok || seen[key] || d.named != nil && !wanted[key] || empty(r) && d.keeps(have[key]) {
			continue
		}
		seen[key] = true
		out = append(out, d.item(have[key], facts, key))
	}
	if d.named != nil {
		return out
	}
	for i := range d.known.Releases {
		r := &d.known.Releases[i]
		switch key := releaseKey(r.Version); {
		case have[key] == r && seen[key]:
		case have[key] == r && d.holds(r):
			out = append(out, d.heldBack(r, key))
		case have[key] == r && d.partly:
			out = append(out, item{was: r, facts: r.ReleaseFacts, key: key})
		default:
			d.out.Remove = append(d.out.Remove, r.ID)
		}
	}
	return out
}

// have finds the farm's releases by their key. Of two that are one by PEP 440,
// which an older farm could make, the one stays that has wheels.
func (d *decision) have() map[string]*store.KnownRelease {
	out := make(map[string]*store.KnownRelease, len(d.known.Releases))
	for i := range d.known.Releases {
		r := &d.known.Releases[i]
		key := releaseKey(r.Version)
		if other := out[key]; other == nil || built(r) && !built(other) {
			out[key] = r
		}
	}
	return out
}

func built(r *store.KnownRelease) bool {
	return slices.ContainsFunc(r.Jobs, func(j store.KnownJob) bool { return j.State == farm.Built })
}

// item lets the row's key stand, which people and pages know, and its time where
// the page does not tell one.
func (d *decision) item(was *store.KnownRelease, f store.ReleaseFacts, key string) item {
	untold := f.Released.IsZero() || f.Released.After(d.env.Now)
	if was == nil {
		if untold {
			f.Released = d.env.Now.Truncate(time.Microsecond)
		}
		return item{facts: f, key: key}
	}
	f.Version = was.Version
	if untold {
		f.Released = was.Released
	}
	if !sameFacts(was.ReleaseFacts, f) {
		d.out.Update = append(d.out.Update, store.KnownRelease{ID: was.ID, ReleaseFacts: f})
		d.out.Page = d.out.Page || was.Yanked != f.Yanked || was.YankReason != f.YankReason || was.Quarantined
	}
	return item{was: was, facts: f, key: key}
}

func sameFacts(a, b store.ReleaseFacts) bool {
	if !a.Released.Equal(b.Released) {
		return false
	}
	a.Released, b.Released = time.Time{}, time.Time{}
	return a == b
}

// release decides about the jobs of one release.
func (d *decision) release(it item) {
	cells, jobs := d.cells(it)
	plans := farm.Plan(cells)
	var add []store.NewJob
	for i, plan := range plans {
		job := jobs[i]
		awaited := awaited(cells, plans, i)
		fresh := store.NewJob{Target: cells[i].Target, Released: it.facts.Released, Planned: store.Planned(plan)}
		switch {
		case job == nil:
			add = append(add, fresh)
		case lostSource(it.facts, job.State):
			d.out.RemoveJobs = append(d.out.RemoveJobs, job.ID)
			if v := cells[i].Verdict; !cells[i].Retired {
				fresh.Planned = store.Planned{State: v.State, Why: v.Why, Reason: v.Reason, Priority: v.Priority}
				add = append(add, fresh)
			}
		case plan != cells[i].Job || awaited:
			d.out.Move = append(d.out.Move, store.JobMove{Job: job.ID, From: job.State, Planned: store.Planned(plan)})
		}
	}
	if it.was == nil {
		d.out.Add = append(d.out.Add, store.NewRelease{ReleaseFacts: it.facts, Jobs: add})
		return
	}
	for _, j := range add {
		j.Release = it.was.ID
		d.out.AddJobs = append(d.out.AddJobs, j)
	}
}

// awaited says whether another job begins to wait for the outcome of this one. Then
// it is held to what it was, though nothing of it changes: its outcome may be in the
// database by now, and nobody would tell the one that waits.
func awaited(cells []farm.Cell, plans []farm.Planned, i int) bool {
	for k, p := range plans {
		if p.Waits == cells[i].Target && p != cells[k].Job {
			return true
		}
	}
	return false
}

// lostSource says whether a job goes with what came of it, because the upstream
// took the last sdist away: what was never tried has nothing that could go.
func lostSource(f store.ReleaseFacts, s farm.State) bool {
	return f.Sdist.Filename == "" && s != farm.Waiting && s != farm.Skipped
}

// cells are the targets on which the release is, or shall be, a job; jobs are
// those that there are, each beside its cell.
func (d *decision) cells(it item) (cells []farm.Cell, jobs []*store.KnownJob) {
	old := it.jobs()
	renewed := it.was != nil && newSdist(it.was.Sdist, it.facts.Sdist)
	for _, t := range d.env.Targets {
		job := old[t.ID]
		delete(old, t.ID)
		asked, named := d.named[askKey{it.key, t.ID}]
		if job == nil && !named && (d.named != nil || !d.out.Facts.Followed) {
			continue
		}
		c := cellOf(t)
		c.Live, c.NewSdist = d.env.Live[t.ID], renewed
		byHand := named && asked <= farm.PriorityOperator
		if job != nil {
			c.Job = planned(job)
			c.Serves = d.serves(job)
			byHand = byHand || job.Priority <= farm.PriorityOperator
		}
		c.Verdict = farm.Decide(d.candidate(it, t, byHand), d.env.Policy)
		cells, jobs = append(cells, c), append(jobs, job)
	}
	for _, id := range slices.Sorted(maps.Keys(old)) {
		c := farm.Cell{Target: id}
		if i := slices.IndexFunc(d.env.Retired, func(t store.TargetRow) bool { return t.ID == id }); i >= 0 {
			c = cellOf(d.env.Retired[i])
			c.Serves = d.serves(old[id])
		}
		c.Retired, c.Job = true, planned(old[id])
		cells, jobs = append(cells, c), append(jobs, old[id])
	}
	return cells, jobs
}

// cellOf is a target's cell, of which no more is known; cells are in the order of
// store.Targets.
func cellOf(t store.TargetRow) farm.Cell {
	return farm.Cell{Target: t.ID, Name: t.Target.String(), Rank: t.Target.PythonRank()}
}

// jobs are those of the release, by target.
func (it item) jobs() map[int64]*store.KnownJob {
	if it.was == nil {
		return nil
	}
	out := make(map[int64]*store.KnownJob, len(it.was.Jobs))
	for i := range it.was.Jobs {
		out[it.was.Jobs[i].Target] = &it.was.Jobs[i]
	}
	return out
}

// serves are the targets whose pip takes the wheel of a job.
func (d *decision) serves(j *store.KnownJob) []int64 {
	if j.Wheel == "" {
		return nil
	}
	w, err := pep.ParseWheelName(j.Wheel)
	if err != nil {
		return nil
	}
	var out []int64
	for _, t := range d.env.Targets {
		takes := slices.ContainsFunc(w.Tags, func(tag pep.Tag) bool { _, ok := d.taker(t).rank[tag]; return ok })
		if takes && farm.PythonAllowed(j.WheelPython, python(t)) {
			out = append(out, t.ID)
		}
	}
	return out
}

// planned is what a job is, in the words of a plan.
func planned(j *store.KnownJob) farm.Planned {
	return farm.Planned{State: j.State, Why: j.Why, Reason: j.Reason, Priority: j.Priority, Waits: j.Waits}
}

// candidate is what the policy must know of a release on a target.
func (d *decision) candidate(it item, t store.TargetRow, byHand bool) farm.Candidate {
	f := it.facts
	c := farm.Candidate{
		Version: f.Version, HasSdist: f.Sdist.Filename != "", RequiresPython: f.RequiresPython, TargetPython: python(t),
		Yanked: f.Yanked, YankReason: f.YankReason,
		Quarantined: d.out.Facts.Status == statusQuarantined, QuarantineReason: d.out.Facts.StatusReason,
		New: d.env.Policy.IsNew(f.Released, d.env.Now), Wanted: d.known.Wanted, ByHand: byHand,
	}
	if !c.Quarantined && f.Quarantined {
		c.Quarantined, c.QuarantineReason = true, "the upstream holds the release back"
	}
	if f.Wheels != "" {
		c.UpstreamWheel = d.taker(t).choice(f.Wheels)
	}
	if s := d.skip(it, t); s != nil {
		c.SkipReason, c.SkipAuthor = s.Reason, s.Author
	}
	return c
}

// python is the target's full version where it is known, else its feature version.
func python(t store.TargetRow) string {
	if t.Facts.Python != "" {
		return t.Facts.Python
	}
	return t.Target.Python()
}

func (d *decision) taker(t store.TargetRow) taker {
	k, ok := d.takers[t.ID]
	if !ok {
		k = newTaker(t)
		d.takers[t.ID] = k
	}
	return k
}
