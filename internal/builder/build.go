package builder

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"pinwheel/internal/farm"
	"pinwheel/internal/linkage"
	"pinwheel/internal/pep"
	"pinwheel/internal/pip"
	"pinwheel/internal/proc"
	"pinwheel/internal/proxy"
)

// Mode is how a build is fenced in.
type Mode string

// The modes. In both the build has a user of its own when we are root, its own
// session, a clean environment, and nothing of it is left running.
const (
	Bwrap Mode = "bwrap" // bubblewrap: own namespaces, an allow-list of the file system
	None  Mode = "none"  // not fenced: for machines without user namespaces
)

// ParseMode reads a mode's name.
func ParseMode(s string) (Mode, error) {
	switch m := Mode(s); m {
	case Bwrap, None:
		return m, nil
	}
	return "", fmt.Errorf("sandbox %q: want bwrap or none", s)
}

// Build is one release to build.
type Build struct {
	Package        string // name, in any spelling
	Version        string // PEP 440
	IndexURL       string // simple/ of the index that has the sdist
	ExtraIndexURLs []string
	Root           string     // the userland to build in: a folder's, with bubblewrap only; HostRoot or empty: the machine's own
	Python         pip.Python // as pip.Find gives it, or Ask for another root
	Mode           Mode
	User           proc.User // proc.BuildUser()
	Limits         farm.Limits
	Recipe         farm.Recipe // how this build differs; its time is that of Limits
	Epoch          time.Time   // SOURCE_DATE_EPOCH of the build; zero: the same for all
	SkipImports    bool        // do not import the wheel's modules after the build

	proveTime time.Duration // for importing them; 0: proveTime

	// Proxy is the way to the network; nil is one of the build's own, without a
	// cache. Helper is a program whose main begins with Inside, linked statically if
	// Python runs in another root; empty is this one.
	Proxy  *proxy.Proxy
	Helper string

	// Dir is a folder of the caller's that User can enter; it is made if it
	// is missing. One build at a time works there. The wheel is left in
	// Dir/out, ours to read; the caller removes Dir.
	Dir string

	// LogPath is where the capped log is left, raw as the build wrote it,
	// head and tail kept.
	LogPath string

	// Live, if any, gets the log as it is written. It must not block and is
	// not called again after an error.
	Live io.Writer

	// Now tells the time of day for the record; nil is time.Now.
	Now func() time.Time

	// Known is what earlier builds of this root, Python and user found out; nil: all
	// is asked anew.
	Known *Known

	// System is where the build's Debian packages are told from; nil is the machine's own.
	System *linkage.System
}

// Result is how a build ended.
type Result struct {
	Outcome    farm.Outcome
	Failure    farm.Failure // of a failed build
	Excerpt    string       // of a failed build's log: at most 2,000 bytes of farm.Clean text
	Wheels     []string     // paths below Dir/out; exactly one if built, else none
	Log        farm.File    // of the log at LogPath
	LogWritten int64        // bytes that the build wrote; more than Log.Size if it was capped
	Record     farm.Record
}

// Run builds. An error is our own fault, never the package's: the machine is
// not fit (no compiler, no sandbox), a file cannot be written, or ctx ended.
// Then nothing is left of the build, neither log nor wheel.
func Run(ctx context.Context, b Build) (Result, error) {
	r, err := b.run(ctx)
	if err != nil {
		return Result{}, fmt.Errorf("build %s: %w", b.requirement(), err)
	}
	return r, nil
}

func (b Build) requirement() string { return b.Package + "==" + b.Version }

func (b Build) run(ctx context.Context) (r Result, err error) {
	if err := b.check(); err != nil {
		return Result{}, err
	}
	b.Limits = b.Limits.Fill()
	b.Limits.Memory = cmp.Or(b.Recipe.Memory, b.Limits.Memory) // as a lease has it already
	x, err := openBox(b)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, x.remove()) }()
	compiler, err := b.Known.preflight(ctx, x)
	if err != nil {
		return Result{}, err
	}
	end, err := b.pipWheel(ctx, x)
	if err != nil {
		return Result{}, b.Known.doubt(ctx, x, err)
	}
	if r, err = b.judge(x, end); err != nil {
		return Result{}, err
	}
	r.Record.Compiler = compiler
	if r.Outcome == farm.OutcomeBuilt && !b.SkipImports {
		r.Record.Imports = b.prove(ctx, x, r.Wheels[0])
	}
	b.link(ctx, &r)
	return r, nil
}

// check refuses what would turn into options of pip's command line.
func (b Build) check() error {
	if !pep.ValidName(b.Package) {
		return fmt.Errorf("%q is not a project's name (PEP 508)", b.Package)
	}
	if _, err := pep.ParseVersion(b.Version); err != nil {
		return err
	}
	if _, err := ParseMode(string(b.Mode)); err != nil {
		return err
	}
	if b.Mode == None && strings.HasPrefix(b.Python.Version, "2.") { // it cannot run the supervisor
		return fmt.Errorf("use Python %s: it builds in the sandbox bwrap only", b.Python.Version)
	}
	if err := b.Recipe.Check(); err != nil { // before the fence's own programs get its environment
		return fmt.Errorf("this slave does not take the recipe: %w", err)
	}
	if !filepath.IsAbs(b.Dir) || !filepath.IsAbs(b.LogPath) {
		return errors.New("the folder and the log need absolute paths")
	}
	return nil
}

// Check says whether builds can be made here: it sets the sandbox up with a
// build's own flags and compiles and links an extension module in it. It
// returns the compiler's name for itself. Package, version and log are not
// looked at. The error names the remedy.
func Check(ctx context.Context, b Build) (compiler string, err error) {
	x, err := openBox(b)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, x.remove()) }()
	if err := x.opens(b.Helper); err != nil {
		return "", err
	}
	return x.preflight(ctx, true)
}

func (b Build) now() time.Time {
	if b.Now != nil {
		return b.Now()
	}
	return time.Now()
}
