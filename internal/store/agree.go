package store

import (
	"time"

	"pinwheel/internal/farm"
)

// ProjectFacts is what the upstream says of a project as a whole.
type ProjectFacts struct {
	Name         string // normalized (PEP 503)
	Display      string // as its owner spells it now
	Status       string // PEP 792
	StatusReason string
	Serial       int64  // of the answer; 0: the index has no serials
	ETag         string // of the answer
	Followed     bool   // every release becomes a job, not only those named by hand
}

// ReleaseFacts is one release as the upstream tells it.
type ReleaseFacts struct {
	Version        string // normalized (PEP 440); a legacy version as written
	Raw            string
	Released       time.Time
	Yanked         bool
	YankReason     string
	RequiresPython string
	Sdist          farm.Sdist // zero: none
	Wheels         string     // tags of the upstream's wheels that a Linux could take, sorted, separated by blanks
	// Quarantined: the upstream holds the release back, and tells nothing else of it;
	// its wheels are withheld. A release to be added never is.
	Quarantined bool
}

// Known is what the farm holds of a project: a decision is made from it, and
// Agree refuses the decision if it has changed since.
type Known struct {
	ProjectFacts
	ID        int64 // 0: the farm does not know the project
	Revision  int64
	Spellings []string
	Wanted    bool // asked for, missed, needed or listed
	Read      time.Time
	Releases  []KnownRelease

	// Held are the versions that the upstream announced as quarantined, and has not
	// cleared since, as it spells them.
	Held []string
	// Heard is the serial up to which all that the changelog tells is known, Held too;
	// 0: there is no changelog.
	Heard int64
	// Announced is the serial up to which the worklist wants the project read.
	Announced int64
}

// KnownRelease is a release with its jobs.
type KnownRelease struct {
	ID int64
	ReleaseFacts
	Jobs []KnownJob
}

// KnownJob is what decides about a job.
type KnownJob struct {
	ID       int64
	Target   int64
	State    farm.State
	Why      farm.Why
	Reason   string
	Priority farm.Priority
	Waits    int64 // the target whose outcome it waits for; 0: none
	// Wheel is the file name of a built job's wheel, if it is for every platform
	// (…-none-any), and WheelPython the Pythons that it requires (PEP 345), which the
	// upstream may not tell; else empty.
	Wheel       string
	WheelPython string
}

// Agreement is what makes the rows of one project agree with the upstream. It
// was decided on Known; its zero lists change nothing.
type Agreement struct {
	Known Known        // ID, Revision and the name count
	Facts ProjectFacts // as they shall be
	Gone  bool         // the project is no more: everything of it goes

	Add        []NewRelease // releases that the farm does not have
	Update     []KnownRelease
	AddJobs    []NewJob // of releases that the farm has
	Move       []JobMove
	RemoveJobs []int64 // with builds and wheels; those under way are aborted
	Remove     []int64 // releases, likewise

	Page bool // a yank or the status changed: the page is to be written again

	// Actor is a person who asked for it, and Action what for, for the audit trail; no
	// actor: nobody did, no action: "add".
	Actor, Action string
	Skip          []Skip // that the actor says with it, in place of what was said of the same
	Unskip        []Skip // that are taken back with it; also those that Skip replaces

	// Unread says that the upstream was not asked (a plan over what is known): the
	// time when the project was last read stays.
	Unread bool
}

// NewRelease is a release to be, with its jobs; their Release is not read.
type NewRelease struct {
	ReleaseFacts
	Jobs []NewJob
}

// NewJob is a job to be.
type NewJob struct {
	Release  int64
	Target   int64
	Released time.Time // the release's; zero: now
	Planned
}

// JobMove changes a job, if it still is as Known said.
type JobMove struct {
	Job  int64
	From farm.State
	Planned
}

// Planned is what shall become of a job.
type Planned struct {
	State    farm.State
	Why      farm.Why
	Reason   string
	Priority farm.Priority
	Waits    int64 // state waiting: the target whose outcome decides
}

// Agreed is what became of a batch.
type Agreed struct {
	// Changed are the projects, by name, that are not what their Known says any
	// more: nothing of theirs was written, they are to be decided again.
	Changed  []string
	Queued   int64 // jobs that can be claimed now and could not before
	Releases int64 // added
	Removed  int64 // releases removed
	Aborted  int64 // builds told to stop
	Audit    int64 // the row of the audit trail, of the last project with an actor
}
