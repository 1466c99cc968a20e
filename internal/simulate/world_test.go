package simulate

import (
	"math"
	"math/rand/v2"
	"time"

	"pinwheel/internal/farm"
)

// The reference's first run: 750,000 versions in 75 days of one Pi, of which hangs
// took 2 %, and 83 % of which became wheels. Its times are not told; half of all
// builds are taken to end within median, and the rest follows from the mean.
const (
	firstRun = 750_000
	piTime   = 75 * 24 * time.Hour
	hangTime = 0.02 // of all time
	success  = 0.83
	median   = 4 * time.Second
	pure     = 0.80 // of projects: one wheel serves all targets
	mostTime = 30 * time.Minute

	perProject = 7 // releases, in the mean; most have two or three, some have hundreds
	spread     = 1.4
)

// What is drawn of each thing; each has numbers of its own, so that one more use
// does not change the others.
const (
	drawSize = iota + 1
	drawPure
	drawBuild
	drawSlave
	drawAge
)

// world is what is to be built. All of it is drawn from seed and the number of the
// thing, never from the order in which it is asked for.
type world struct {
	seed     uint64
	versions int
	owner    []int32       // project by version, both counted from 0
	lives    time.Duration // of a slave, in the mean, until it dies
	hanging  float64       // part of the versions
}

func newWorld(seed uint64, versions int) *world {
	w := &world{seed: seed, versions: versions, lives: livesFor,
		hanging: hangTime * piTime.Seconds() / mostTime.Seconds() / firstRun}
	for project := int32(0); len(w.owner) < versions; project++ {
		mu := math.Log(perProject) - spread*spread/2
		n := 1 + int(math.Exp(mu+spread*w.draw(drawSize, int64(project)).NormFloat64()))
		// The largest is no more of a small world than of the whole: only so many of a
		// project are built at once, and it would be all that is left in the end.
		for range min(n, max(10, versions/500), versions-len(w.owner)) {
			w.owner = append(w.owner, project)
		}
	}
	return w
}

func (w *world) draw(kind uint64, id int64) *rand.Rand {
	return rand.New(rand.NewPCG(w.seed<<8|kind, uint64(id)))
}

// projects is how many there are.
func (w *world) projects() int { return int(w.owner[len(w.owner)-1]) + 1 }

// isPure says whether a version's wheel is for every platform. The farm's numbers,
// of projects and of versions, count from 1.
func (w *world) isPure(version int64) bool {
	return w.draw(drawPure, int64(w.owner[version-1])).Float64() < pure
}

// build is how one build of a version goes: the same way each time.
type build struct {
	takes time.Duration
	good  bool
	hangs bool
}

func (w *world) build(version int64, target int) build {
	r := w.draw(drawBuild, version)
	hangs := r.Float64() < w.hanging
	good := r.Float64() < success
	mean := (1 - hangTime) * piTime.Seconds() / firstRun
	sigma := math.Sqrt(2 * math.Log(mean/median.Seconds()))
	z := r.NormFloat64()
	for range target { // other targets are about as fast
		r.NormFloat64()
	}
	seconds := median.Seconds() * math.Exp(sigma*z+0.1*r.NormFloat64())
	return build{takes: time.Duration(seconds * float64(time.Second)), good: good && !hangs, hangs: hangs}
}

// within is how long it takes, and whether it is good, under a limit.
func (b build) within(limit time.Duration) (time.Duration, bool) {
	if b.hangs || b.takes > limit {
		return limit, false
	}
	return b.takes, b.good
}

// tries are the times of the builds that a job takes, and whether the last is good:
// what takes too long is tried once more, with more time.
func (w *world) tries(version int64, target int) (takes []time.Duration, good bool) {
	b := w.build(version, target)
	for _, limit := range []time.Duration{mostTime, farm.DefaultRetryPolicy().LongTimeout} {
		var d time.Duration
		d, good = b.within(limit)
		takes = append(takes, d)
		if d < limit {
			break
		}
	}
	return takes, good
}

// needed is what must be built if nothing is built in vain: every version on every
// target, but on the lowest alone if that gives a wheel for all.
type needed struct {
	jobs, builds, wheels int
	time                 time.Duration // of all builds
	again                time.Duration // of those of what took too long before
}

func (w *world) needed() (n needed) {
	for v := range int64(w.versions) {
		for target := range targets() {
			takes, good := w.tries(v+1, target)
			n.jobs, n.builds = n.jobs+1, n.builds+len(takes)
			for i, d := range takes {
				n.time += d
				if i > 0 {
					n.again += d
				}
			}
			if good {
				n.wheels++
			}
			if good && w.isPure(v+1) {
				break
			}
		}
	}
	return n
}
