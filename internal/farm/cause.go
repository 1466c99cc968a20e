package farm

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

// Valid says whether c is one of Causes.
func (c Cause) Valid() bool {
	for _, k := range Causes() {
		if k == c {
			return true
		}
	}
	return false
}

// PackageFault says whether the cause counts against the package. The others
// are faults of the slave or the upstream: the job is tried again elsewhere.
func (c Cause) PackageFault() bool {
	return c != SlaveLost && c != SlaveFault && c != UpstreamFault
}

// Failure is why a build failed.
type Failure struct {
	Cause  Cause  `json:"cause"`
	Detail string `json:"detail"` // the thing itself: "ffi.h"
	Hint   string `json:"hint"`   // what would help: "apt: libffi-dev"
}
