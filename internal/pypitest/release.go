package pypitest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"pinwheel/internal/pep"
)

// Kind is what happens when an sdist is built.
type Kind string

const (
	Pure          Kind = "pure"           // makes a py3-none-any wheel
	Extension     Kind = "extension"      // compiles one C file; the wheel has the interpreter's own tag
	ARMv6         Kind = "armv6"          // the same, and on 32-bit ARM for ARMv6 with VFPv2, which Debian's compiler does not do by itself
	NearlyARMv6   Kind = "nearly-armv6"   // the same, but for the files that the compiler begins and ends each library with
	Fails         Kind = "fails"          // the compiler misses ffi.h
	Hangs         Kind = "hangs"          // says so and sleeps (15 minutes at most)
	Prompts       Kind = "prompts"        // asks a question on stdin
	Floods        Kind = "floods"         // writes Megabytes of log, then makes a good wheel
	Daemon        Kind = "daemon"         // leaves a process behind (see Daemons) that holds pip's stdout, then makes a good wheel
	DaemonHolds   Kind = "daemon-holds"   // the same, but it holds the build's stdout: pip itself never ends
	Network       Kind = "network"        // needs an answer from Address for its wheel
	WrongName     Kind = "wrong-name"     // makes a wheel of another project
	WrongTag      Kind = "wrong-tag"      // makes a wheel for another system
	NoWheel       Kind = "no-wheel"       // names a wheel that it has not written
	UnsoundRecord Kind = "unsound-record" // makes a wheel whose RECORD has a false hash
)

// Kinds returns all kinds.
func Kinds() []Kind {
	return []Kind{
		Pure, Extension, ARMv6, NearlyARMv6, Fails, Hangs, Prompts, Floods, Daemon, DaemonHolds,
		Network, WrongName, WrongTag, NoWheel, UnsoundRecord,
	}
}

// Release describes one version of a project. Only Name and Version must be given.
type Release struct {
	Name, Version  string
	Kind           Kind // default: Pure
	Summary        string
	RequiresDist   []string // as in METADATA: "peppercorn>=0.5"
	RequiresPython string
	Yanked         bool
	YankReason     string

	// Formats are the endings of its sdists, in the order of the page; default: .tar.gz alone. Also .zip.
	Formats []string
	// NoSdist: only Wheels are published.
	NoSdist bool
	// File is the path of an sdist that somebody else made: it is served as it is, under its own name.
	File string
	// Wheels are the tags of wheels (always of pure content) that are published beside the sdist: "py3-none-any".
	Wheels []string
	// Hollow: its files are a few bytes that only look like files by name, size and hash. The version may be any text
	// that fits into a file name, as old ones are: "2.0-beta", "dev-r12".
	Hollow bool
	// Modules are the sources that its wheel holds, by path. Default: a module named like the project.
	Modules map[string]string

	Uploaded  time.Time // default: a time in 2024 or later that grows from release to release
	Address   string    // Network: what it asks; default: /outside/NAME-VERSION of the server
	Megabytes int       // Floods: how much; default 50
}

// Module is the name under which the default modules of a project are imported.
func Module(name string) string {
	return strings.ReplaceAll(pep.NormalizeName(name), "-", "_")
}

// complete checks a description and fills in the defaults.
func (r Release) complete(base string) (Release, error) {
	if r.Hollow {
		return r.completeHollow()
	}
	v, err := pep.ParseVersion(r.Version)
	switch {
	case !pep.ValidName(r.Name):
		return r, fmt.Errorf("add %q: not a valid project name (PEP 508)", r.Name)
	case err != nil:
		return r, fmt.Errorf("add %s==%s: %w", r.Name, r.Version, err)
	case v.String() != r.Version:
		return r, fmt.Errorf("add %s==%s: write the version as %s", r.Name, r.Version, v)
	case r.NoSdist && len(r.Wheels) == 0:
		return r, fmt.Errorf("add %s==%s: neither sdist nor wheel", r.Name, r.Version)
	}
	r.Kind = cmp.Or(r.Kind, Pure)
	if !slices.Contains(Kinds(), r.Kind) {
		return r, fmt.Errorf("add %s==%s: unknown kind %q, want one of %q", r.Name, r.Version, r.Kind, Kinds())
	}
	r.Summary = cmp.Or(r.Summary, "A story of the kind "+string(r.Kind))
	if r.Kind == Network { // nowhere else: the server's port would make every sdist differ from run to run
		r.Address = cmp.Or(r.Address, fmt.Sprintf("%s/outside/%s-%s", base, Module(r.Name), r.Version))
	}
	r.Megabytes = cmp.Or(r.Megabytes, 50)
	if len(r.Formats) == 0 {
		r.Formats = []string{".tar.gz"}
	}
	if r.Modules == nil {
		r.Modules = r.defaultModules()
	}
	return r, nil
}

func (r Release) defaultModules() map[string]string {
	module := Module(r.Name)
	source := fmt.Sprintf("version = %q\n", r.Version)
	switch r.Kind {
	case Extension, ARMv6, NearlyARMv6:
		source += fmt.Sprintf("from _%s import answer\n", module)
	}
	return map[string]string{module + ".py": source}
}

// metadata is PKG-INFO of the sdist and METADATA of its wheels.
func (r Release) metadata() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "Metadata-Version: 2.1\nName: %s\nVersion: %s\nSummary: %s\n", r.Name, r.Version, r.Summary)
	if r.RequiresPython != "" {
		fmt.Fprintf(&b, "Requires-Python: %s\n", r.RequiresPython)
	}
	for _, dep := range r.RequiresDist {
		fmt.Fprintf(&b, "Requires-Dist: %s\n", dep)
	}
	return []byte(b.String())
}
