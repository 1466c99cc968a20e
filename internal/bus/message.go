package bus

import (
	"time"

	"pinwheel/internal/farm"
)

// Protocol is the version of the messages of this package. Both sides refuse
// another one in words: a changed meaning needs a new number, a new optional
// field does not.
const Protocol = 1

// Head is embedded in every message. Senders need not fill it in.
type Head struct {
	Protocol int `json:"protocol"`
}

// ServedTarget is a target that a slave builds for, and what is true there.
type ServedTarget struct {
	Target farm.Target `json:"target"`
	Facts  farm.Facts  `json:"facts"`

	Packages []string `json:"packages,omitempty"` // Debian packages that are installed for this target, beside those of Hello.Packages; sorted, each once
}

// Hello is the first thing a slave says after each start.
type Hello struct {
	Head
	Version string         `json:"version"` // of the program
	Targets []ServedTarget `json:"targets"`
	Held    []string       `json:"held"`    // tokens of leases that it builds, or has finished and not reported
	Asking  string         `json:"asking"`  // Request that got no answer yet and will be put again; its lease stays
	Machine string         `json:"machine"` // "Raspberry Pi 4 Model B"
	OS      string         `json:"os"`      // "Debian GNU/Linux 12 (bookworm)"
	Memory  int64          `json:"memory"`  // bytes

	Packages []string `json:"packages,omitempty"` // Debian packages that are installed for each of its targets, sorted, each once
	Broken   []Broken `json:"broken,omitempty"`   // targets that it was told to serve and cannot
}

// Broken is a target that a slave does not serve, though it should.
type Broken struct {
	Root string `json:"root"` // the folder of its userland
	Why  string `json:"why"`  // in one line, with the remedy
}

// Welcome is the master's answer to Hello: the settings of this farm.
type Welcome struct {
	Head
	Error    string        `json:"error"`    // why it is refused; else empty
	HTTP     string        `json:"http"`     // base URL of uploads and site
	Index    string        `json:"index"`    // the farm's own simple/ (PEP 503)
	Upstream string        `json:"upstream"` // the index that builds use
	Beat     time.Duration `json:"beat"`     // between two beats
	Lease    time.Duration `json:"lease"`    // length of a lease
	Drop     []string      `json:"drop"`     // of Held: no longer this slave's, abandon them
	Now      time.Time     `json:"now"`      // by the farm's clock, its database's; zero: not told
}

// Next asks for a job.
type Next struct {
	Head
	Request string        `json:"request"` // random; a repeat gets the same lease
	Targets []farm.Target `json:"targets"` // that it can build for now
	Held    []string      `json:"held"`    // as in Hello
}

// NextReply brings a job; without a lease there is nothing yet, ask again.
type NextReply struct {
	Head
	Error string      `json:"error"` // why it is refused; else empty
	Lease *farm.Lease `json:"lease"` // null: nothing yet
}

// Beat renews the leases held and says how the slave is.
type Beat struct {
	Head
	Held        []string `json:"held"`        // as in Hello; these are renewed
	Asking      string   `json:"asking"`      // as in Hello
	Leaving     bool     `json:"leaving"`     // the last beat: what is not held is free at once
	Doing       string   `json:"doing"`       // "building numpy 1.26.4", for people
	Load        float64  `json:"load"`        // of the last minute
	Temperature float64  `json:"temperature"` // °C; 0 when unknown
	MemoryFree  int64    `json:"memory_free"` // bytes
	DiskFree    int64    `json:"disk_free"`   // bytes

	Machine   string   `json:"machine,omitempty"`   // as in Hello
	Throttled []string `json:"throttled,omitempty"` // what a Raspberry Pi's firmware does against heat or a weak supply: "under-voltage"
	Unfit     string   `json:"unfit,omitempty"`     // why no job is asked for: "hot: 84.3 °C, over 80"; empty: it is fit
}

// BeatReply says what to go on with.
type BeatReply struct {
	Head
	Error  string   `json:"error"`  // why it is refused; else empty
	Abort  []string `json:"abort"`  // tokens whose build is to end now
	Paused bool     `json:"paused"` // ask for no further job

	Now time.Time `json:"now"` // as in Welcome
}

// Report is the end of a build. It is repeated, byte for byte, until it is
// accepted; between the repeats the slave uploads what the master needs.
type Report struct {
	Head
	Token   string       `json:"token"`              // of the lease
	Job     int64        `json:"job"`                // of the lease
	Outcome farm.Outcome `json:"outcome"`            // "built" or "failed"
	Failure farm.Failure `json:"failure"`            // of a failed build
	Excerpt string       `json:"excerpt"`            // what of the log explains it, at most MaxExcerpt
	Wheels  []farm.File  `json:"wheels"`             // of a good build
	Log     farm.File    `json:"log"`                // zero: there is none
	LogData []byte       `json:"log_data,omitempty"` // all of Log, where it is at most MaxLogInside: then nobody has to ask for it
	Record  farm.Record  `json:"record"`
}

// ReportReply asks for files, or ends the report.
type ReportReply struct {
	Head
	Error    string `json:"error"`    // why it is refused; else empty
	Accepted bool   `json:"accepted"` // it is in the database: forget the job
	Reason   string `json:"reason"`   // why it did not count: "stale lease", "rejected: …"
	Need     []Need `json:"need"`     // upload these, then report again
}

// Need is one file that the master lacks, and where to PUT it.
type Need struct {
	SHA256 string `json:"sha256"`
	URL    string `json:"url"`
	Token  string `json:"token"` // bound to lease, size and SHA-256
}

// The orders that Control can carry.
const (
	DoPause  = "pause"  // ask for no further job
	DoResume = "resume" // the end of a pause
	DoAbort  = "abort"  // end the build of the lease Token
	DoQuit   = "quit"   // end the program when nothing is being built
)

// Control is an order to one slave. It is not answered: the next beat shows
// whether it arrived.
type Control struct {
	Head
	Do    string `json:"do"`    // pause, resume; abort (one build); quit (when nothing is being built)
	Token string `json:"token"` // of the lease, for abort
}

// LogChunk is a piece of a build's log while it is written.
type LogChunk struct {
	Head
	Job    int64  `json:"job"`
	Offset int64  `json:"offset"` // of Data in what was written, bytes
	Missed int64  `json:"missed"` // bytes before Data that were left out, because more was written than is sent live
	Data   []byte `json:"data"`   // at most MaxLogChunk
}

// Event says that something changed, for whoever watches. Events may be lost;
// the database is the truth.
type Event struct {
	Head
	Kind    string    `json:"kind"` // one word: it becomes a part of the subject
	Package string    `json:"package"`
	Version string    `json:"version"`
	Target  string    `json:"target"`
	Slave   string    `json:"slave"`
	Detail  string    `json:"detail"`
	At      time.Time `json:"at"`
}
