package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"pinwheel/internal/builder"
	"pinwheel/internal/cli"
	"pinwheel/internal/pip"
	"pinwheel/internal/proc"
	"pinwheel/internal/service"
)

// finding is what the doctor says of one thing.
type finding struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

func newDoctor() *cobra.Command {
	var set settings
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say whether this machine can build",
		Long: `doctor tries what a build needs, as the user that builds run under: a Python with pip
and venv, bubblewrap, a C compiler, space. Exit status 0: fit; 1: not, and what is
missing stands on a line that begins with BAD.`,
		Example: "  slave doctor\n  slave doctor --python /usr/bin/python3 --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := cli.Logger(cmd); err != nil { // it logs nothing, but says what is wrong
				return err
			}
			// A probe under way cleans up after itself when it is told to stop.
			ctx, _, stop := service.Signals(cmd.Context())
			defer stop()
			list := examine(ctx, set.Python, set.StateDir)
			if ctx.Err() != nil {
				return errors.New("interrupted")
			}
			return report(cmd, list, asJSON)
		},
	}
	set.bind(cmd, "state-dir", "python")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// examine tries each thing; what depends on a thing that is missing is not tried.
func examine(ctx context.Context, python, stateDir string) []finding {
	user := proc.BuildUser()
	py, passed, err := pip.Find(ctx, python, user)
	list := []finding{verdict("python", err, fmt.Sprintf("%s %s, pip %s, target %s", py.Path, py.Version, py.Pip, py.Target()))}
	for _, p := range passed {
		list = append(list, finding{Name: "passed over", OK: true, Detail: p})
	}
	fence := builder.Probe(ctx, user)
	list = append(list, verdict("bwrap", fence, "passes a probe run"))
	if err == nil {
		mode := builder.Bwrap
		if fence != nil {
			mode = builder.None
		}
		cc, err := compiler(ctx, py, user, mode)
		list = append(list, verdict("compiler", err, cc))
	}
	return append(list, space(stateDir))
}

// compiler compiles and links an extension module as a build would, in the
// sandbox if there is one.
func compiler(ctx context.Context, py pip.Python, user proc.User, mode builder.Mode) (string, error) {
	dir, err := proc.SharedTempDir("pinwheel-doctor-", user)
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	return builder.Check(ctx, builder.Build{Dir: filepath.Join(dir, "b"), Mode: mode, User: user, Python: py})
}

func verdict(name string, err error, good string) finding {
	if err != nil {
		return finding{Name: name, Detail: cli.OneLine(err.Error())}
	}
	return finding{Name: name, OK: true, Detail: good}
}

// wantSpace is what a build of some size and its log need, in bytes.
const wantSpace = 2 << 30

// space looks where dir is, or would be made.
func space(dir string) finding {
	for dir != "/" && dir != "." {
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			break
		}
		dir = filepath.Dir(dir)
	}
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return verdict("space", fmt.Errorf("%s: %w", dir, err), "")
	}
	free := int64(st.Bavail) * int64(st.Bsize)
	detail := fmt.Sprintf("%.1f GB free in %s, want %.1f", float64(free)/1e9, dir, float64(wantSpace)/1e9)
	return finding{Name: "space", OK: free >= wantSpace, Detail: detail}
}

func report(cmd *cobra.Command, list []finding, asJSON bool) error {
	fit := true
	for _, f := range list {
		fit = fit && f.OK
	}
	if asJSON {
		if err := cli.JSON(cmd.OutOrStdout(), map[string]any{"schema": 1, "fit": fit, "findings": list}); err != nil {
			return err
		}
	} else {
		for _, f := range list {
			fmt.Fprintf(cmd.OutOrStdout(), "%-4s %-12s %s\n", map[bool]string{true: "ok", false: "BAD"}[f.OK], f.Name, f.Detail)
		}
	}
	if !fit {
		return cli.ErrSilent
	}
	return nil
}
