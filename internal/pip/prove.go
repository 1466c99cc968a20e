package pip

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pinwheel/internal/proc"
)

//go:embed imports.py
var importScript string

// Proof is one thing to prove: that pip really installs a release from an
// index, and that it can be imported.
type Proof struct {
	Python   Python
	User     proc.User // who runs it: an import is foreign code
	Package  string
	Version  string
	Index    string // simple/ of the index that must have it
	Upstream string // simple/ of the index for dependencies; "" leaves them and the import out
	Dir      string // a folder of ours that User can enter
}

// Result is what pip did.
type Result struct {
	Seconds  float64  // of the install from Index alone, without dependencies
	URL      string   // of the file that pip took
	SHA256   string   // hex, of that file
	Imported []string // modules, empty if the package has none
}

// prover is a proof under way in its own folder.
type prover struct {
	Proof
	dir  string
	env  []string
	pip  string   // the venv's pip version
	base []string // argv of the venv's pip
}

// Prove makes a fresh venv, installs the release from Index alone, then its
// dependencies from Index and Upstream, then imports its top-level modules.
// The order matters: as equals, Upstream's manylinux wheels would win over the
// farm's. The error names the step that broke, with pip's last lines.
func Prove(ctx context.Context, p Proof) (Result, error) {
	dir, err := os.MkdirTemp(p.Dir, "proof-")
	if err != nil {
		return Result{}, fmt.Errorf("prove %s: %w", p.requirement(), err)
	}
	r, err := p.in(ctx, dir)
	if gone := os.RemoveAll(dir); gone != nil && err == nil {
		err = fmt.Errorf("clean up after the proof: %w", gone)
	}
	if err != nil {
		return Result{}, fmt.Errorf("prove %s: %w", p.requirement(), err)
	}
	return r, nil
}

func (p Proof) requirement() string { return p.Package + "==" + p.Version }

func (p Proof) in(ctx context.Context, dir string) (Result, error) {
	bundle, err := p.Python.CopyBundle(dir)
	if err != nil {
		return Result{}, err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return Result{}, err
	}
	if err := p.User.Chown(dir); err != nil {
		return Result{}, err
	}
	v := &prover{Proof: p, dir: dir, env: p.Python.CleanEnv(dir, bundle)}
	v.env = append(v.env, "TMPDIR="+dir)
	return v.steps(ctx)
}

func (v *prover) steps(ctx context.Context) (r Result, err error) {
	if err := v.makeVenv(ctx); err != nil {
		return r, err
	}
	if r, err = v.install(ctx); err != nil {
		return r, err
	}
	if v.Upstream == "" {
		return r, nil
	}
	if err := v.dependencies(ctx); err != nil {
		return r, err
	}
	r.Imported, err = v.imports(ctx)
	return r, err
}

func (v *prover) makeVenv(ctx context.Context) error {
	venv := filepath.Join(v.dir, "venv")
	python := filepath.Join(venv, "bin", "python")
	if _, err := v.run(ctx, v.Python.Path, "-m", "venv", venv); err != nil {
		return fmt.Errorf("make a venv: %w", err)
	}
	out, err := v.run(ctx, python, "-c", "import pip; print(pip.__version__)")
	if err != nil {
		return fmt.Errorf("make a venv: %w", err)
	}
	v.pip, v.base = strings.TrimSpace(out), []string{python, "-m", "pip"}
	return nil
}

// install is the one step that is timed.
func (v *prover) install(ctx context.Context) (Result, error) {
	report := filepath.Join(v.dir, "report.json")
	args := []string{"install", "--no-deps", "--no-cache-dir", "--index-url", v.Index}
	reports := hasReport(v.pip)
	if reports {
		args = append(args, "--report", report)
	}
	started := time.Now()
	out, err := v.runPip(ctx, append(args, v.requirement())...)
	r := Result{Seconds: time.Since(started).Seconds()}
	if err != nil {
		return r, fmt.Errorf("install from %s: %w", v.Index, err)
	}
	if reports {
		r.URL, r.SHA256, err = readReport(report)
	} else {
		r.URL, r.SHA256, err = v.takeAgain(ctx, out)
	}
	return r, err
}

func (v *prover) dependencies(ctx context.Context) error {
	_, err := v.runPip(ctx, "install", "--no-cache-dir", "--index-url", v.Index,
		"--extra-index-url", v.Upstream, v.requirement())
	if err != nil {
		return fmt.Errorf("install its dependencies: %w", err)
	}
	return nil
}

func (v *prover) imports(ctx context.Context) ([]string, error) {
	answer, err := nameless()
	if err != nil {
		return nil, err
	}
	defer answer.Close()
	c := v.command(v.base[0], "-c", importScript, v.Package)
	c.extra = answer
	if _, err := c.combined(ctx); err != nil {
		return nil, fmt.Errorf("import it: %w", err)
	}
	var said struct {
		Imported []string
		Failed   map[string]string
	}
	if err := json.Unmarshal([]byte(tail(answer)), &said); err != nil {
		return nil, errors.New("import it: Python ended without a word")
	}
	return said.Imported, importError(said.Failed)
}

func importError(failed map[string]string) error {
	var all []string
	for name, why := range failed {
		all = append(all, name+": "+lastLines(why))
	}
	if all == nil {
		return nil
	}
	slices.Sort(all)
	return fmt.Errorf("import %s", strings.Join(all, "; "))
}

func (v *prover) runPip(ctx context.Context, args ...string) (string, error) {
	return v.run(ctx, append(slices.Clone(v.base), args...)...)
}

func (v *prover) run(ctx context.Context, argv ...string) (string, error) {
	return v.command(argv...).combined(ctx)
}

func (v *prover) command(argv ...string) command {
	return command{argv: argv, env: v.env, dir: v.dir, user: v.User}
}
