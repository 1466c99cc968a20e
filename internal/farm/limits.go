package farm

import (
	"cmp"
	"strings"
	"time"
)

// Limits bound one build. Zero means the default.
type Limits struct {
	Timeout   time.Duration `json:"timeout"`          // wall clock
	LogLimit  int64         `json:"log_limit"`        // bytes of log that are kept
	Memory    int64         `json:"memory,omitempty"` // bytes, of all its processes together; 0: what the machine has
	Disk      int64         `json:"disk"`             // bytes, of all its files together, nameless ones too
	FileSize  int64         `json:"file_size"`        // bytes, of each file; default: as disk
	Processes int           `json:"processes"`        // at once; each thread counts, as the kernel does it
	OpenFiles int           `json:"open_files"`       // of each process
}

// The defaults of Limits: more than builds of popular packages take, and less than
// a small machine can bear.
const (
	DefaultTimeout   = 30 * time.Minute
	DefaultLogLimit  = 10 << 20
	DefaultDisk      = 10 << 30
	DefaultProcesses = 1024
	DefaultOpenFiles = 4096
)

// Fill returns l with the defaults in its gaps. Less than nothing is a gap.
func (l Limits) Fill() Limits {
	l.Timeout = positive(l.Timeout, DefaultTimeout)
	l.LogLimit = positive(l.LogLimit, DefaultLogLimit)
	l.Memory = max(l.Memory, 0)
	l.Disk = positive(l.Disk, DefaultDisk)
	l.FileSize = positive(l.FileSize, l.Disk)
	l.Processes = positive(l.Processes, DefaultProcesses)
	l.OpenFiles = positive(l.OpenFiles, DefaultOpenFiles)
	return l
}

func positive[T cmp.Ordered](n, otherwise T) T {
	var zero T
	if n > zero {
		return n
	}
	return otherwise
}

// OverLimit begins the detail of a failure that a limit of the build's own made.
const OverLimit = "more than its limit "

// OverLimit says whether a build took more than it may have, so that it would do so
// anywhere: then a full disk is not the slave's.
func (f Failure) OverLimit() bool { return strings.HasPrefix(f.Detail, OverLimit) }

// Over returns l with its gaps filled from m.
func (l Limits) Over(m Limits) Limits {
	l.Timeout = cmp.Or(l.Timeout, m.Timeout)
	l.LogLimit = cmp.Or(l.LogLimit, m.LogLimit)
	l.Memory = cmp.Or(l.Memory, m.Memory)
	l.Disk = cmp.Or(l.Disk, m.Disk)
	l.FileSize = cmp.Or(l.FileSize, m.FileSize)
	l.Processes = cmp.Or(l.Processes, m.Processes)
	l.OpenFiles = cmp.Or(l.OpenFiles, m.OpenFiles)
	return l
}

// For returns l, which is what a job has learnt, for a build with this recipe on a farm
// whose builds have the limits m. The recipe's time and memory stand in the place of the
// farm's; what was learnt gives more time, and never less.
func (l Limits) For(r Recipe, m Limits) Limits {
	m = m.Fill()
	l.Timeout = max(l.Timeout, cmp.Or(r.Timeout, m.Timeout))
	l.Memory = cmp.Or(r.Memory, l.Memory)
	return l.Over(m)
}
