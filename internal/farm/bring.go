package farm

import "pinwheel/internal/pep"

// OpenJob is a job that has not ended, as others may wait for what it brings.
type OpenJob struct {
	ID      int64
	Target  int64
	Release int64
	Version string // as the upstream or as PEP 440 writes it
	State   State
	Waits   int64           // waiting for the outcome on this target; 0: not that
	Lacks   pep.Requirement // waiting for a wheel of this; no name: not that
}

// Bringer finds a job that may bring a wheel for a requirement on a target, so that
// waiting for it is not for ever: one that is queued or leased, be it one that takes
// the requirement or one that such a job waits for in turn. Jobs that wait for each
// other bring nothing, nor does failed, the job that asks. ok is false when there is
// none. It is a pure function of the open jobs of packages, by normalized name.
func Bringer(r pep.Requirement, target, failed int64, open func(name string) ([]OpenJob, error)) (j OpenJob, ok bool, err error) {
	b := bringing{open: open, seen: map[int64]bool{failed: true}}
	return b.of(r, target)
}

type bringing struct {
	open func(string) ([]OpenJob, error)
	seen map[int64]bool // whatever could be reached from there was looked at
}

func (b bringing) of(r pep.Requirement, target int64) (OpenJob, bool, error) {
	jobs, err := b.open(r.Name)
	if err != nil {
		return OpenJob{}, false, err
	}
	for _, j := range jobs {
		if j.Target != target || !r.Takes(j.Version) {
			continue
		}
		if leaf, ok, err := b.from(j, jobs); ok || err != nil {
			return leaf, ok, err
		}
	}
	return OpenJob{}, false, nil
}

// from follows what a job waits for. siblings are the open jobs of its package.
func (b bringing) from(j OpenJob, siblings []OpenJob) (OpenJob, bool, error) {
	if b.seen[j.ID] {
		return OpenJob{}, false, nil
	}
	b.seen[j.ID] = true
	switch {
	case j.State != Waiting:
		return j, true, nil
	case j.Lacks.Name != "":
		return b.of(j.Lacks, j.Target)
	}
	for _, s := range siblings {
		if s.Release == j.Release && s.Target == j.Waits {
			return b.from(s, siblings)
		}
	}
	return OpenJob{}, false, nil // its plan is about to queue it, or to end it
}
