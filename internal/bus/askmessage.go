package bus

import (
	"time"

	"pinwheel/internal/farm"
)

// Look asks for the farm as it is.
type Look struct{ Head }

// Snapshot is the farm of one moment, as far as people look at it. Lists are bounded;
// what is left out is counted.
type Snapshot struct {
	Head
	Error   string    `json:"error"`   // why it is refused; else empty
	At      time.Time `json:"at"`      // by the farm's clock, its database's
	Version string    `json:"version"` // of the master that answers

	Packages   int64      `json:"packages"`
	Releases   int64      `json:"releases"`
	Wheels     int64      `json:"wheels"`
	WheelBytes int64      `json:"wheel_bytes"`
	NotYet     int64      `json:"not_yet"`    // of the waiting jobs: for a build requirement
	Counted    *time.Time `json:"counted_at"` // of the numbers of jobs, packages, releases and wheels; null: now

	Targets  []TargetNow  `json:"targets"`  // the lowest Python first
	Slaves   []SlaveNow   `json:"slaves"`   // by name, without those that were revoked
	Builds   []BuildNow   `json:"builds"`   // under way, the longest first
	Failures []FailureNow `json:"failures"` // by cause and detail, the most jobs first
	Left     int64        `json:"left_out"` // slaves, builds and groups of failures that the lists have no room for

	Pace    Pace       `json:"pace"`
	Ingest  IngestNow  `json:"ingest"`
	Publish PublishNow `json:"publish"`
}

// TargetNow is the queue of one target.
type TargetNow struct {
	Target   string           `json:"target"`
	Jobs     map[string]int64 `json:"jobs"`     // by state
	Next     []QueuedNow      `json:"next"`     // the first few in the order of claims
	Unserved int64            `json:"unserved"` // queued jobs that no live slave takes
}

// QueuedNow is a job that is next.
type QueuedNow struct {
	Package  string        `json:"package"`
	Version  string        `json:"version"`
	Priority farm.Priority `json:"priority"` // its word
	Since    time.Time     `json:"since"`
}

// SlaveNow is a slave as its last beat told.
type SlaveNow struct {
	Name      string     `json:"name"`
	Machine   string     `json:"machine"`
	Paused    bool       `json:"paused"`
	PausedWhy string     `json:"paused_why"` // empty: nobody has paused it, or nobody said why
	Faults    int        `json:"faults"`     // of its own, since a build last ended by itself
	LastSeen  *time.Time `json:"last_seen"`  // null: never
	Memory    int64      `json:"memory"`     // bytes; 0: unknown
	Pulse     farm.Pulse `json:"pulse"`
}

// BuildNow is a build under way.
type BuildNow struct {
	Build    int64     `json:"build"`
	Job      int64     `json:"job"`
	Package  string    `json:"package"`
	Version  string    `json:"version"`
	Target   string    `json:"target"`
	Slave    string    `json:"slave"`
	Since    time.Time `json:"since"`
	Deadline time.Time `json:"deadline"` // it is lost then, unless the slave is heard before
}

// FailureNow is what failed for one cause with one detail.
type FailureNow struct {
	Cause   farm.Cause `json:"cause"`
	Detail  string     `json:"detail"`
	Hint    string     `json:"hint"` // of the example
	Jobs    int64      `json:"jobs"`
	Week    int64      `json:"last_7_days"`
	Package string     `json:"package"` // the newest example
	Version string     `json:"version"`
	Target  string     `json:"target"`
	Build   int64      `json:"build"` // of the example, for its log; 0: none has ended
	At      time.Time  `json:"at"`
}

// Pace is how much the farm gets done: minutes of the last hour, this one last.
type Pace struct {
	Built  []int64 `json:"built"`
	Failed []int64 `json:"failed"`
	Lost   []int64 `json:"lost"`
	Span   int64   `json:"seconds"` // that the minutes really cover; less than an hour when more ended than are looked at
}

// IngestNow is how the farm stands to the upstream.
type IngestNow struct {
	Source  string     `json:"source"` // changelog, serials, none; empty: nothing was followed yet
	Serial  int64      `json:"serial"`
	Moved   *time.Time `json:"moved_at"` // when the serial last did; null: never
	Asked   *time.Time `json:"asked_at"` // when the upstream last answered; null: never
	Trouble string     `json:"trouble"`
	Reading int64      `json:"reading"`        // projects that are to be read
	Oldest  int64      `json:"oldest_seconds"` // since the first of those was asked for that changed
}

// PublishNow is what is left to be written of the site.
type PublishNow struct {
	Pages  int64 `json:"pages"`
	Oldest int64 `json:"oldest_seconds"` // since the first of them was to be written
}

// LogAsk asks for a piece of a build's log.
type LogAsk struct {
	Head
	Build  int64 `json:"build"`
	Offset int64 `json:"offset"` // of the piece in the text, bytes
}

// LogPart is a piece of a log, or says that the build is under way: then its log is
// heard as it is written, on the slave's own subject.
type LogPart struct {
	Head
	Error   string     `json:"error"` // why it is refused; else empty
	Build   int64      `json:"build"`
	Job     int64      `json:"job"`
	Package string     `json:"package"`
	Version string     `json:"version"`
	Target  string     `json:"target"`
	Slave   string     `json:"slave"`
	Outcome string     `json:"outcome"` // empty: it is under way
	Cause   farm.Cause `json:"cause"`
	Detail  string     `json:"detail"`
	Hint    string     `json:"hint"`
	Data    []byte     `json:"data"` // as it was written, control characters too
	More    bool       `json:"more"` // there is more behind Data
}

// What a Steer can want.
const (
	SteerPause    = "pause"
	SteerResume   = "resume"
	SteerAbort    = "abort"
	SteerQuit     = "quit"
	SteerRequeue  = "requeue"
	SteerPriority = "priority"
	SteerSkip     = "skip"
)

// Steer is what an operator wants done. It is done once for each time it is said; who
// gets no answer looks first whether it was.
type Steer struct {
	Head
	Do       string        `json:"do"`                 // pause, resume, abort, quit: a slave; requeue, priority, skip: jobs
	Slave    string        `json:"slave"`              // of the first four
	Package  string        `json:"package"`            // of the others: normalized (PEP 503)
	Version  string        `json:"version"`            // empty: all
	Target   string        `json:"target"`             // empty: all
	Cause    farm.Cause    `json:"cause"`              // of requeue: only jobs that failed for it; without a package, all of them
	Priority farm.Priority `json:"priority,omitempty"` // of priority and requeue: its word
	Reason   string        `json:"reason"`             // of skip
}

// Steered is what came of it.
type Steered struct {
	Head
	Error string `json:"error"` // why it was not done; else empty
	Said  string `json:"said"`  // what was, in words
	Audit int64  `json:"audit"` // by which it can be taken back; 0: it is not of that kind
}
