package farm

import "time"

// Sdist is the source that a release is built from, as the upstream names it.
type Sdist struct {
	Filename string `json:"filename"`
	URL      string `json:"url"`
	SHA256   string `json:"sha256"` // hex
	Size     int64  `json:"size"`   // bytes; 0 when the upstream does not say
}

// Limits bound one build. Zero means the default.
type Limits struct {
	Timeout  time.Duration `json:"timeout"`   // wall clock
	LogLimit int64         `json:"log_limit"` // bytes of log that are kept
}

// The defaults of Limits.
const (
	DefaultTimeout  = 30 * time.Minute
	DefaultLogLimit = 10 << 20
)

// Fill returns l with the defaults in its gaps.
func (l Limits) Fill() Limits {
	if l.Timeout <= 0 {
		l.Timeout = DefaultTimeout
	}
	if l.LogLimit <= 0 {
		l.LogLimit = DefaultLogLimit
	}
	return l
}

// Lease is one job given to one slave for a while.
type Lease struct {
	Token   string        `json:"token"`   // random; names this lease alone
	Job     int64         `json:"job"`     //
	Build   int64         `json:"build"`   // the row that records this attempt
	Package string        `json:"package"` // normalized name (PEP 503)
	Version string        `json:"version"` // normalized version (PEP 440)
	Target  Target        `json:"target"`  //
	Sdist   Sdist         `json:"sdist"`   //
	Limits  Limits        `json:"limits"`  //
	Length  time.Duration `json:"length"`  // renew at a third of it
}

// File is a file by its content.
type File struct {
	Name   string `json:"name"`   // as the slave calls it; the wheel's file name
	SHA256 string `json:"sha256"` // hex, lower case
	Size   int64  `json:"size"`   // bytes
}

// Record is what a slave tells of one build beside its wheels (design 6).
type Record struct {
	Seconds   float64   `json:"seconds"`        // of wall clock
	PeakRSS   int64     `json:"peak_rss_bytes"` // of the largest process
	Started   time.Time `json:"started"`
	Ended     time.Time `json:"ended"`
	Sandbox   string    `json:"sandbox"` // "bwrap" or "none"
	PythonVer string    `json:"python"`
	PipVer    string    `json:"pip"`
	Compiler  string    `json:"compiler"`
	OS        string    `json:"os"`
}
