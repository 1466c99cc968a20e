package farm

import (
	"fmt"
	"strings"
)

// Outcome is how a build ended, as the slave reports it.
type Outcome string

// The outcomes of a build.
const (
	OutcomeBuilt  Outcome = "built"
	OutcomeFailed Outcome = "failed"
)

// Cause says in one word why a build failed (design 2).
type Cause string

// The causes of failures.
const (
	MissingHeader    Cause = "missing-header"
	MissingLibrary   Cause = "missing-library"
	MissingTool      Cause = "missing-tool"
	CompilerError    Cause = "compiler-error"
	PythonSyntax     Cause = "python-syntax"
	NeedsNewerPython Cause = "needs-newer-python"
	BuildBackend     Cause = "build-backend"
	BuildRequirement Cause = "build-requirement"
	MetadataInvalid  Cause = "metadata-invalid"
	WrongWheel       Cause = "wrong-wheel"
	Rejected         Cause = "rejected"
	NoSdist          Cause = "no-sdist"
	Network          Cause = "network"
	Prompt           Cause = "prompt"
	OutOfMemory      Cause = "out-of-memory"
	Disk             Cause = "disk"
	Timeout          Cause = "timeout"
	LogLimit         Cause = "log-limit"
	Crashed          Cause = "crashed"
	SlaveLost        Cause = "slave-lost"
	SlaveFault       Cause = "slave-fault"
	UpstreamFault    Cause = "upstream-fault"
	Unknown          Cause = "unknown"
)

// Causes lists every cause.
func Causes() []Cause {
	return []Cause{MissingHeader, MissingLibrary, MissingTool, CompilerError, PythonSyntax,
		NeedsNewerPython, BuildBackend, BuildRequirement, MetadataInvalid, WrongWheel, Rejected,
		NoSdist, Network, Prompt, OutOfMemory, Disk, Timeout, LogLimit, Crashed, SlaveLost,
		SlaveFault, UpstreamFault, Unknown}
}

// ParseCause reads a cause's name; the error lists them.
func ParseCause(s string) (Cause, error) {
	if c := Cause(s); c.Valid() {
		return c, nil
	}
	var known []string
	for _, c := range Causes() {
		known = append(known, string(c))
	}
	return "", fmt.Errorf("%q: want one of %s", s, strings.Join(known, " "))
}

// Valid says whether c is one of Causes.
func (c Cause) Valid() bool {
	for _, k := range Causes() {
		if k == c {
			return true
		}
	}
	return false
}

// observed says whether only slave or master can know the cause, and no log.
func (c Cause) observed() bool {
	return c == Timeout || c == LogLimit || c == Rejected || c == SlaveLost
}

// Source says how a failure's cause was found. Empty: a slave that did not say.
type Source string

// The sources of causes.
const (
	FromBuilder Source = "builder" // who ran the build saw it
	FromLog     Source = "log"     // rules read it in the log
)

// PackageFault says whether the cause counts against the package. The others are
// faults of the slave, the network or the upstream: the job is tried again
// elsewhere.
func (c Cause) PackageFault() bool {
	switch c {
	case SlaveLost, SlaveFault, Disk, Network, UpstreamFault:
		return false
	}
	return true
}

// RefusedByFence begins the detail of a failure for the network that a build was not
// allowed to reach, before the host, or what the log says of a try past the proxy: that is
// the package's own fault.
const RefusedByFence = "refused by the fence"

// Fenced says whether a build failed because its fence refused it the network.
func (f Failure) Fenced() bool {
	return f.Cause == Network && strings.HasPrefix(f.Detail, RefusedByFence)
}

// Failure is why a build failed.
type Failure struct {
	Cause  Cause  `json:"cause"`
	Detail string `json:"detail"` // the thing itself: "ffi.h"
	Hint   string `json:"hint"`   // what would help: "apt: libffi-dev"; the link to a ticket may follow it
}
