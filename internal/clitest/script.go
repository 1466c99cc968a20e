package clitest

import (
	"errors"
	"maps"
	"os"
	"os/exec"
	ossignal "os/signal" // signal is a command of scripts
	"path/filepath"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"pinwheel/internal/farmtest"
	"pinwheel/internal/pypitest"
)

// Params say what Run runs.
type Params struct {
	Dir      string            // of the scripts, *.txtar
	Programs map[string]string // by name: the program's path; empty is the test itself
	Commands map[string]func(s *Script, args []string)
}

// Script is one script that runs.
type Script struct {
	*testscript.TestScript // of the command under way
	testing.TB
	Place *Place

	env       *testscript.Env // during Setup
	processes map[string]*process
	gate      *gate
	index     *pypitest.Server
	nobody    bool
	kept      map[any]any
}

// scriptKey is where a Script stands among testscript's values.
type scriptKey struct{}

// Run runs each script as a parallel subtest. Beside testscript's own commands
// there are those of this package (see standard) and of the params. Variables: S
// is the script's Place, PINWHEEL_STATE_DIR lies below it so that no command can
// touch the machine's own; PYTHON, CC, TARGET, ABI and MACHINE are this machine's.
func Run(t *testing.T, p Params) {
	t.Helper()
	testscript.Run(t, testscript.Params{
		Dir:                 p.Dir,
		Setup:               func(env *testscript.Env) error { return setup(env, p) },
		Cmds:                commands(p.Commands),
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
		Condition: func(c string) (bool, error) {
			if c == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, errors.New("no such condition")
		},
	})
}

func setup(env *testscript.Env, p Params) error {
	tb := env.T().(testing.TB)
	s := &Script{TB: tb, Place: newPlace(tb), env: env, processes: map[string]*process{}, kept: map[any]any{}}
	// Before the place is looked at: cleanups run in reverse.
	tb.Cleanup(s.end)
	// Programs inherit what is ignored, and tests may be run by nohup: a program must
	// hear that its terminal was closed.
	hup := make(chan os.Signal, 1)
	ossignal.Notify(hup, syscall.SIGHUP)
	tb.Cleanup(func() { ossignal.Stop(hup) })
	for name, path := range p.Programs {
		if err := s.Place.install(name, path); err != nil {
			return err
		}
	}
	for name, value := range map[string]string{
		"S": s.Place.Dir, "TMPDIR": s.Place.Tmp, "PATH": s.Place.Bin + ":" + os.Getenv("PATH"),
		"PINWHEEL_STATE_DIR": filepath.Join(s.Place.Dir, "state"),
	} {
		env.Setenv(name, value)
	}
	env.Values[scriptKey{}] = s
	s.describe()
	return nil
}

// describe gives the script the words for this machine.
func (s *Script) describe() {
	py := farmtest.Python(s.TB)
	cc, err := exec.LookPath("cc")
	if err == nil {
		// The file itself, so that a script can hide it: before it are links.
		cc, err = filepath.EvalSymlinks(cc)
	}
	if err != nil {
		s.TB.Fatalf("scripts need a C compiler: %v", err)
	}
	target := py.Target()
	for name, value := range map[string]string{
		"PYTHON": py.Path, "CC": cc, "TARGET": target.String(), "ABI": target.ABI, "MACHINE": target.Platform,
	} {
		s.SetVar(name, value)
	}
}

// SetVar sets a variable of the script, in Setup and in commands.
func (s *Script) SetVar(name, value string) {
	if s.TestScript != nil {
		s.TestScript.Setenv(name, value)
		return
	}
	s.env.Setenv(name, value)
}

// Var is the value of a variable of the script.
func (s *Script) Var(name string) string { return s.TestScript.Getenv(name) }

// Keep keeps a value of a program's own commands, from one to the next.
func (s *Script) Keep(key, value any) { s.kept[key] = value }

// Kept is the value that was kept.
func (s *Script) Kept(key any) any { return s.kept[key] }

// Upstream is the index that the script has started.
func (s *Script) Upstream() *pypitest.Server {
	if s.index == nil {
		s.Fail("upstream FILE comes first")
	}
	return s.index
}

// Fail ends the script; both of the embedded have the like.
func (s *Script) Fail(format string, args ...any) { s.TestScript.Fatalf(format, args...) }

// Must ends the script unless err is nil.
func (s *Script) Must(err error) { s.TestScript.Check(err) }

// end kills what a script that failed left running.
func (s *Script) end() {
	for name, p := range s.processes {
		s.TB.Errorf("%s was still running; it wrote:\n%s%s", name, p.stdout.String(), p.stderr.String())
		if err := p.kill(); err != nil {
			s.TB.Error(err)
		}
	}
	if s.gate != nil {
		s.gate.close()
	}
}

// commands gives each command the Script that it works for.
func commands(more map[string]func(*Script, []string)) map[string]func(*testscript.TestScript, bool, []string) {
	all := standard()
	maps.Copy(all, more)
	out := map[string]func(*testscript.TestScript, bool, []string){}
	for name, do := range all {
		out[name] = func(ts *testscript.TestScript, neg bool, args []string) {
			if neg {
				ts.Fatalf("! %s means nothing", name)
			}
			s := ts.Value(scriptKey{}).(*Script)
			s.TestScript = ts
			do(s, args)
		}
	}
	return out
}
