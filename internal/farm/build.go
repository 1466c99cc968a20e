package farm

import "time"

// Sdist is the source that a release is built from, as the upstream names it.
type Sdist struct {
	Filename string `json:"filename"`
	URL      string `json:"url"`
	SHA256   string `json:"sha256"` // hex
	Size     int64  `json:"size"`   // bytes; 0 when the upstream does not say
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
	Release time.Time     `json:"release"` // when the upstream published it; zero: not told
	Limits  Limits        `json:"limits"`  //
	Recipe  Recipe        `json:"recipe"`  // how this build differs from all others
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
	PeakRSS   int64     `json:"peak_rss_bytes"` // of all its processes together, looked at four times a second
	Started   time.Time `json:"started"`
	Ended     time.Time `json:"ended"`
	Sandbox   string    `json:"sandbox"` // "bwrap" or "none"
	PythonVer string    `json:"python"`
	PipVer    string    `json:"pip"`
	Compiler  string    `json:"compiler"`
	OS        string    `json:"os"`
	Recipe    Recipe    `json:"recipe,omitzero"` // that was applied
	Sdist     Sdist     `json:"sdist,omitzero"`  // that pip took, as it came
	// Requires is what pip took from indexes beside it: what the build requires.
	Requires []Requirement `json:"requires,omitempty"`
	Contacts []Contact     `json:"contacts,omitempty"` // past the indexes
	// Env is of the environment what tells one build from another; a recipe's is in Recipe.
	Env       map[string]string `json:"environment,omitempty"`
	Imports   *Imports          `json:"imports,omitempty"`   // of the wheel's modules; null: not tried
	CauseFrom Source            `json:"cause_from"`          // how the failure's cause was found: "builder", "log"; empty: not told
	ELF       []ELF             `json:"elf,omitempty"`       // of a wheel that was built: its ELF files, as the master saw them once it accepted the wheel
	Libraries []Library         `json:"libraries,omitempty"` // that these need and the wheel does not bring, with the Debian packages of the slave's system
}
