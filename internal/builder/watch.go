package builder

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pinwheel/internal/farm"
)

// watchEvery is how often a build is looked at: a fast one takes some hundred MB of
// memory meanwhile.
const watchEvery = 250 * time.Millisecond

// crowded is on how many looks in a row a build may be at its limit of processes. It
// gets no more of them by then, and what goes on for longer is a fork bomb.
const crowded = 8

// shortFor is how long a machine that has too little memory waits for an exact count.
const shortFor = time.Second

// unseen is on how many looks in a row a build's processes may not be there to be looked at,
// half a minute: bwrap is as slow as the disk that it comes from. A build that begins unseen
// is one without limits.
const unseen = 120

// errUnseen says that nothing can be watched here.
var errUnseen = errors.New("no process of the build can be seen in /proc, so its limits cannot be held; mount /proc without hidepid")

// errShort says that the machine has no room for builds, and not because of this one.
var errShort = errors.New("this machine is short of memory")

// watch looks at a build as a whole: what all its processes and files take together,
// and what that leaves the machine. What the kernel bounds, process by process, are
// its bounds.
type watch struct {
	limits farm.Limits
	kin    kin
	disk   *diskWatch
	began  machine
	read   func() machine // as it is now
	sysv   *sysv

	peak   int64     // bytes of memory, the most that was seen
	crowds int       // looks in a row at the limit of processes
	blind  int       // looks in a row that saw no process
	exact  time.Time // no counting of pages before
	files  int64     // bytes of memory in files, when pages were last counted
	shmem  int64     // bytes of shared memory of the machine, at the last look
	grown  int64     // bytes that it has grown since pages were counted; what went meanwhile is not taken off

	pages beside[memory] // the counting of them
}

func (x *box) watch(l farm.Limits) *watch {
	began := readMachine()
	w := &watch{limits: l, kin: kin{mode: x.mode}, disk: newDiskWatch(x.dir, l.Disk), began: began, read: readMachine, shmem: began.shmem}
	if x.out != nil {
		w.sysv = &x.out.sysv
	}
	return w
}

// close ends what still looks at the build's processes.
func (w *watch) close() {
	w.disk.count.close()
	w.pages.close()
	w.kin.close()
}

// look says why a build that began with first must be ended; the zero Failure: it
// may go on. An error says that the machine is to blame, not the build.
func (w *watch) look(now time.Time, first int) (farm.Failure, error) {
	w.kin.first = first
	base, pids := w.kin.list()
	if base == "" {
		if w.blind++; w.blind >= unseen {
			return farm.Failure{}, errUnseen
		}
		return farm.Failure{}, nil
	}
	w.blind = 0
	if f, err := w.memory(now, base, pids); err != nil || f.Cause != "" {
		return f, err
	}
	over, full := w.disk.look(now, &w.kin)
	switch {
	case over.bytes > 0:
		return overDisk(over, w.limits.Disk), nil
	case full != "":
		return farm.Failure{Cause: farm.Disk, Detail: full}, nil
	case w.crowds >= crowded:
		return farm.Failure{Cause: farm.Crashed, Detail: fmt.Sprintf("went on at its limit of %d processes and threads", w.limits.Processes)}, nil
	}
	return farm.Failure{}, nil
}

// memory counts what the build has.
func (w *watch) memory(now time.Time, base string, pids []string) (farm.Failure, error) {
	u, shared := quickUsage(base, pids)
	switch w.crowds++; {
	case w.limits.Processes <= 0 || u.tasks < w.limits.Processes:
		w.crowds = 0
	case u.tasks > w.limits.Processes: // where the kernel does not count exactly
		w.crowds = crowded
	}
	m, objects := w.read(), w.sysv.look(now)
	if m.scarce() {
		keepFirstToEnd(base, pids)
	}
	u.memory += objects.kernel
	held := max(shared, devSize(base)+objects.shared)
	// Memory may also be in files that nobody maps: then the machine has more of it
	// than before, be it the build's or not.
	w.grown, w.shmem = w.grown+max(m.shmem-w.shmem, 0), m.shmem
	most := u.memory + max(held, w.files+w.grown)
	if c, ok := w.pages.take(); ok {
		c.own, c.files = c.own+objects.kernel, c.files+objects.shared
		if !c.whole { // too many files to be looked at: all that the machine has more of counts as its own
			c.files = max(c.files, m.shmem-w.began.shmem)
		}
		has := c.own + max(c.shared, c.files)
		w.files, w.exact = c.files, now.Add(10*c.took)
		w.peak = max(w.peak, has)
		return w.verdict(has, m)
	}
	switch {
	case w.pages.busy():
		if m.short() && time.Since(w.pages.began) > shortFor { // there is no time to be exact
			return w.shortage(most, m)
		}
	case !m.short() && (w.limits.Memory <= 0 || most <= w.limits.Memory || now.Before(w.exact)):
		w.peak = max(w.peak, u.memory+held)
	default:
		w.grown = 0
		w.pages.begin(countWithin, func(ctx context.Context) memory { return countMemory(ctx, base, pids) })
	}
	return farm.Failure{}, nil
}

// verdict judges what a build has, every page counted once.
func (w *watch) verdict(has int64, m machine) (farm.Failure, error) {
	if w.limits.Memory > 0 && has > w.limits.Memory {
		return farm.Failure{Cause: farm.OutOfMemory, Detail: farm.OverLimit + "of " + amount(w.limits.Memory),
			Hint: fmt.Sprintf("it had %s; a recipe with more memory", amount(has))}, nil
	}
	if !m.short() {
		return farm.Failure{}, nil
	}
	return w.shortage(has, m)
}

// shortage says who is to blame for a machine without memory.
func (w *watch) shortage(has int64, m machine) (farm.Failure, error) {
	// Half of what was there when it began: without the build there would be enough.
	if has >= w.began.free/2 {
		return farm.Failure{Cause: farm.OutOfMemory, Detail: "it left too little to the machine",
			Hint: fmt.Sprintf("it had %s; a slave with more memory", amount(has))}, nil
	}
	return farm.Failure{}, fmt.Errorf("%w: %s are left, and the build has only %s", errShort, amount(m.free), amount(has))
}

func overDisk(has count, limit int64) farm.Failure {
	return farm.Failure{Cause: farm.Disk, Detail: farm.OverLimit + "of " + amount(limit),
		Hint: fmt.Sprintf("its files took %s, %d of them", amount(has.bytes), has.files)}
}

// amount is a number of bytes for people: "1.3 GB", powers of 1,024 as in settings.
func amount(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.0f MB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.0f kB", float64(n)/(1<<10))
}
