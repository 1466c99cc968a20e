package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pinwheel/internal/agent"
	"pinwheel/internal/atomicfile"
	"pinwheel/internal/builder"
	"pinwheel/internal/cli"
	"pinwheel/internal/config"
	"pinwheel/internal/farm"
	"pinwheel/internal/pep"
	"pinwheel/internal/pip"
	"pinwheel/internal/proc"
	"pinwheel/internal/service"
)

// buildFlags are the settings of `slave build`.
type buildFlags struct {
	settings
	indexURL, logFile string
	limits            limitFlags
	network           string
	root              string
	asJSON            bool
}

func newBuild() *cobra.Command {
	var f buildFlags
	cmd := &cobra.Command{
		Use:   "build PACKAGE==VERSION",
		Short: "Build one wheel here, in the farm's sandbox",
		Long: `build does what a job does, without a farm: one pip wheel in the sandbox. The wheel
is left in the current folder; after a failure there is none. Exit status 0: built;
1: failed. A fault of this machine is told as the cause slave-fault in JSON.`,
		Example: "  slave build markupsafe==2.1.5 --timeout 5m --memory 1G --json\n" +
			"  slave build markupsafe==2.1.5 --root /var/cache/pinwheel/bookworm-armhf",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, version, err := f.check(args[0])
			if err != nil {
				return err
			}
			log, err := cli.Logger(cmd)
			if err != nil {
				return err
			}
			drain, _, stop := service.Signals(cmd.Context())
			defer stop()
			err = f.build(drain, cmd, name, version, log)
			if err != nil && drain.Err() != nil {
				return errors.New("interrupted; nothing is left of the build")
			}
			return err
		},
	}
	f.bind(cmd, "python", "sandbox", "allow-network", "deny-network", "proxy-names", "cache-dir", "tls-ca")
	fl := cmd.Flags()
	fl.StringVar(&f.root, "root", "", "build in the userland below `DIR` (default: the machine's own)")
	fl.StringVar(&f.indexURL, "index-url", "", "the index to build from (default: the one that pip here uses)")
	f.limits.bind(cmd)
	fl.StringVar(&f.network, "network", farm.NetworkPublic, "what the build may reach beside what pip takes from the index: `KIND` is public, index (nothing) or none (nor the index, once the wheel is being built)")
	fl.StringVar(&f.logFile, "log", "", "also write the log to `FILE`")
	fl.BoolVar(&f.asJSON, "json", false, "print JSON")
	return cmd
}

func (f buildFlags) check(requirement string) (name, version string, err error) {
	name, version, err = pep.ParsePin(requirement)
	if err != nil {
		return "", "", cli.Usage("%w", err)
	}
	if version == "" {
		return "", "", cli.Usage("%q: want PACKAGE==VERSION, no version is given", requirement)
	}
	if _, err := pep.ParseVersion(version); err != nil {
		return "", "", cli.Usage("%q: want PACKAGE==VERSION: %w", requirement, err)
	}
	if u, err := url.Parse(f.indexURL); f.indexURL != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		return "", "", cli.Usage("--index-url %q: want a URL that starts with http:// or https://", config.Hide(f.indexURL))
	}
	if _, _, err := f.networks(); err != nil {
		return "", "", err
	}
	if _, err := farm.ParseNetwork(f.network); err != nil || f.network == "" {
		return "", "", cli.Usage("--network %q: want one of %s", f.network, strings.Join(farm.Networks(), ", "))
	}
	if err := checkRoot(f.root); err != nil {
		return "", "", cli.Usage("--%w", err)
	}
	if err := f.limits.check(); err != nil {
		return "", "", err
	}
	return name, version, nil
}

// build prepares a private folder, builds in it, and brings the wheel out.
func (f buildFlags) build(ctx context.Context, cmd *cobra.Command, name, version string, log zerolog.Logger) (err error) {
	var target any // not known yet
	defer func() { err = f.blame(ctx, cmd, outcome{name, version, target}, err) }()
	b, dir, err := f.prepare(ctx, name, version, log)
	if err != nil {
		return err
	}
	defer dir.Remove()
	defer b.Proxy.Close()
	target = b.Python.Target()
	if !f.asJSON {
		b.Live = cmd.ErrOrStderr()
	}
	res, err := builder.Run(ctx, b)
	if err != nil {
		return err
	}
	if f.logFile != "" {
		if err := atomicfile.Copy(b.LogPath, f.logFile, 0o644); err != nil {
			return fmt.Errorf("write the log: %w", err)
		}
	}
	return f.tell(cmd, b, res)
}

// places tries the folders that the wheel and the log will be left in: a build
// that cannot bring anything out is time lost.
func (f buildFlags) places() error {
	if err := writable("."); err != nil {
		return fmt.Errorf("the wheel is left in the current folder: %w; go to one that can be written", err)
	}
	if f.logFile == "" {
		return nil
	}
	if err := writable(filepath.Dir(f.logFile)); err != nil {
		return fmt.Errorf("--log %s: %w", f.logFile, err)
	}
	return nil
}

func writable(dir string) error {
	probe, err := os.CreateTemp(dir, ".pinwheel-*")
	if err != nil {
		return err
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// prepare settles the world of the build: interpreter, sandbox, index, folder.
func (f buildFlags) prepare(ctx context.Context, name, version string, log zerolog.Logger) (builder.Build, *proc.TempDir, error) {
	var none builder.Build
	if err := f.places(); err != nil {
		return none, nil, err
	}
	mode, err := parseMode(f.Sandbox)
	if err != nil {
		return none, nil, err
	}
	user := proc.BuildUser()
	w := wanted{root: f.root, python: f.Python}
	if err := w.fits(mode); err != nil {
		return none, nil, err
	}
	target, err := findTarget(ctx, w, user, log)
	if err != nil {
		return none, nil, err
	}
	if err := fence(ctx, mode, user); err != nil {
		return none, nil, err
	}
	index := f.indexURL
	if index == "" {
		if index, err = upstream(ctx, target, user); err != nil {
			return none, nil, err
		}
	}
	way, err := f.way(target.Python, log)
	if err != nil {
		return none, nil, err
	}
	dir, err := proc.NewTempDir("pinwheel-build-", user)
	if err != nil {
		way.Close()
		return none, nil, err
	}
	return builder.Build{
		Proxy: way, Recipe: farm.Recipe{Network: f.network},
		Package: name, Version: version, IndexURL: index, Root: target.Root, Python: target.Python, Mode: mode, User: user,
		Dir: filepath.Join(dir.Path, "b"), LogPath: filepath.Join(dir.Path, "log"),
		Limits: f.limits.limits(),
	}, dir, nil
}

// upstream is the index that pip on this machine uses, whatever the root is.
func upstream(ctx context.Context, t agent.Target, user proc.User) (string, error) {
	if t.Root == builder.HostRoot {
		return pip.Upstream(ctx, t.Python)
	}
	host, _, err := pip.Find(ctx, "", user)
	if err != nil {
		return "", fmt.Errorf("ask this machine's pip for its index: %w; or name one with --index-url", err)
	}
	return pip.Upstream(ctx, host)
}

// outcome is what a build is of, in the form that results are printed in.
type outcome struct {
	name, version string
	target        any // nil: not known
}

func (o outcome) of(res builder.Result) map[string]any {
	return map[string]any{
		"schema": 1, "outcome": res.Outcome, "cause": res.Failure.Cause, "detail": res.Failure.Detail, "hint": res.Failure.Hint,
		"package": pep.NormalizeName(o.name), "version": o.version, "target": o.target,
		"wheel": nil, "sha256": nil, "sdist": nil,
		"seconds": res.Record.Seconds, "peak_rss_bytes": res.Record.PeakRSS, "imports": res.Record.Imports,
	}
}

// blame also prints an error as JSON, where that is wanted: whoever reads it is told of a
// machine that is not fit as of every other outcome. Wrong use is not one, nor is an
// interruption.
func (f buildFlags) blame(ctx context.Context, cmd *cobra.Command, o outcome, err error) error {
	if err == nil || !f.asJSON || ctx.Err() != nil || errors.Is(err, cli.ErrSilent) || cli.IsUsage(err) {
		return err
	}
	failed := builder.Result{Outcome: farm.OutcomeFailed, Failure: farm.Failure{Cause: farm.SlaveFault, Detail: cli.OneLine(err.Error())}}
	return errors.Join(err, cli.JSON(cmd.OutOrStdout(), o.of(failed)))
}

// tell brings the wheel out and prints the result.
func (f buildFlags) tell(cmd *cobra.Command, b builder.Build, res builder.Result) error {
	out := outcome{b.Package, b.Version, b.Python.Target()}.of(res)
	if s := res.Record.Sdist; s.URL != "" {
		out["sdist"] = map[string]any{"url": s.URL, "sha256": s.SHA256}
	}
	if res.Outcome == farm.OutcomeBuilt {
		name := filepath.Base(res.Wheels[0])
		if err := atomicfile.Copy(res.Wheels[0], name, 0o644); err != nil {
			return fmt.Errorf("bring out the wheel: %w", err)
		}
		sum, err := hashFile(name)
		if err != nil {
			return err
		}
		out["wheel"], out["sha256"] = name, sum
	}
	if f.asJSON {
		if err := cli.JSON(cmd.OutOrStdout(), out); err != nil {
			return err
		}
	} else {
		f.say(cmd, res, out)
	}
	if res.Outcome != farm.OutcomeBuilt {
		return cli.ErrSilent
	}
	return nil
}

func (f buildFlags) say(cmd *cobra.Command, res builder.Result, out map[string]any) {
	if res.Outcome == farm.OutcomeBuilt {
		fmt.Fprintf(cmd.OutOrStdout(), "built %s in %.1f s\n", out["wheel"], res.Record.Seconds)
		sayImports(cmd.OutOrStdout(), res.Record.Imports)
		return
	}
	fmt.Fprintf(cmd.OutOrStdout(), "failed: %s %s", res.Failure.Cause, res.Failure.Detail)
	if res.Failure.Hint != "" {
		fmt.Fprintf(cmd.OutOrStdout(), " (%s)", res.Failure.Hint)
	}
	fmt.Fprintln(cmd.OutOrStdout())
}

// sayImports tells what of the wheel could not be imported.
func sayImports(out io.Writer, i *farm.Imports) {
	if i == nil {
		return
	}
	for _, f := range i.Findings {
		fmt.Fprintf(out, "%s: import %s: %s (%s)\n", f.Severity, f.Entry, f.Message, f.Code)
	}
}

// hashFile is the SHA-256 of a file, in hex.
func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
