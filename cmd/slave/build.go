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
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

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
	timeout           time.Duration
	logLimit          config.Size
	asJSON            bool
}

func newBuild() *cobra.Command {
	f := buildFlags{logLimit: farm.DefaultLogLimit}
	cmd := &cobra.Command{
		Use:   "build PACKAGE==VERSION",
		Short: "Build one wheel here, in the farm's sandbox",
		Long: `build does what a job does, without a farm: one pip wheel in the sandbox. The wheel
is left in the current folder; after a failure there is none. Exit status 0: built;
1: failed.`,
		Example: "  slave build markupsafe==2.1.5 --timeout 5m --json",
		Args:    cobra.ExactArgs(1),
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
	f.bind(cmd, "python", "sandbox")
	fl := cmd.Flags()
	fl.StringVar(&f.indexURL, "index-url", "", "the index to build from (default: the one that pip here uses)")
	fl.DurationVar(&f.timeout, "timeout", farm.DefaultTimeout, "wall clock limit, for example 90s")
	fl.Var(&f.logLimit, "log-limit", "bytes of log that are kept, for example 10M")
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
	if f.timeout <= 0 {
		return "", "", cli.Usage("--timeout %s: want more than nothing", f.timeout)
	}
	if f.logLimit <= 0 {
		return "", "", cli.Usage("--log-limit %s: want more than nothing", &f.logLimit)
	}
	return name, version, nil
}

// build prepares a private folder, builds in it, and brings the wheel out.
func (f buildFlags) build(ctx context.Context, cmd *cobra.Command, name, version string, log zerolog.Logger) error {
	b, err := f.prepare(ctx, name, version, log)
	if err != nil {
		return err
	}
	defer os.RemoveAll(filepath.Dir(b.Dir))
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
func (f buildFlags) prepare(ctx context.Context, name, version string, log zerolog.Logger) (builder.Build, error) {
	var none builder.Build
	if err := f.places(); err != nil {
		return none, err
	}
	mode, err := parseMode(f.Sandbox)
	if err != nil {
		return none, err
	}
	user := proc.BuildUser()
	py, err := findPython(ctx, f.Python, user, log)
	if err != nil {
		return none, err
	}
	if err := fence(ctx, mode, user); err != nil {
		return none, err
	}
	index := f.indexURL
	if index == "" {
		if index, err = pip.Upstream(ctx, py); err != nil {
			return none, err
		}
	}
	dir, err := proc.SharedTempDir("pinwheel-build-", user)
	if err != nil {
		return none, err
	}
	return builder.Build{
		Package: name, Version: version, IndexURL: index, Python: py, Mode: mode, User: user,
		Dir: filepath.Join(dir, "b"), LogPath: filepath.Join(dir, "log"),
		Limits: farm.Limits{Timeout: f.timeout, LogLimit: int64(f.logLimit)},
	}, nil
}

// tell brings the wheel out and prints the result.
func (f buildFlags) tell(cmd *cobra.Command, b builder.Build, res builder.Result) error {
	out := map[string]any{
		"schema": 1, "outcome": res.Outcome, "cause": res.Failure.Cause, "detail": res.Failure.Detail, "hint": res.Failure.Hint,
		"package": pep.NormalizeName(b.Package), "version": b.Version, "target": b.Python.Target(),
		"wheel": nil, "sha256": nil, "sdist": nil, // what pip took is not recorded yet
		"seconds": res.Record.Seconds, "peak_rss_bytes": res.Record.PeakRSS,
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
		return
	}
	fmt.Fprintf(cmd.OutOrStdout(), "failed: %s %s", res.Failure.Cause, res.Failure.Detail)
	if res.Failure.Hint != "" {
		fmt.Fprintf(cmd.OutOrStdout(), " (%s)", res.Failure.Hint)
	}
	fmt.Fprintln(cmd.OutOrStdout())
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
