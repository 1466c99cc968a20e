package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"pinwheel/internal/cli"
	"pinwheel/internal/farm"
	"pinwheel/internal/pep"
	"pinwheel/internal/wheel"
)

// checkFlags are what `master check` is asked.
type checkFlags struct {
	as, job, target, glibc string
	asJSON                 bool
}

func newCheck() *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "check WHEEL --for PACKAGE==VERSION --target TARGET",
		Short: "Verify a wheel as an upload is verified",
		Long: `check runs the verification that every upload meets, without a farm. Exit status 0:
accepted; 1: rejected.`,
		Example: "  master check markupsafe-2.1.5-cp311-cp311-linux_armv7l.whl --for markupsafe==2.1.5 --target cp311-linux_armv7l",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			want, err := f.expect()
			if err != nil {
				return err
			}
			report, err := f.verify(cmd.Context(), args[0], want)
			if err != nil {
				return err
			}
			return f.print(cmd, args[0], report)
		},
	}
	cmd.Flags().StringVar(&f.as, "as", "", "the file name it would be uploaded under (default: its own)")
	cmd.Flags().StringVar(&f.job, "for", "", "the job, `PACKAGE==VERSION`")
	cmd.Flags().StringVar(&f.target, "target", "", "the job's target, for example cp311-linux_armv7l")
	cmd.Flags().StringVar(&f.glibc, "glibc", "", "the target's C library, 2.36 (default: the built-in facts of cp39, cp311 and cp313 on linux_armv7l)")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print JSON")
	return cmd
}

func (f checkFlags) expect() (wheel.Expect, error) {
	if f.job == "" || f.target == "" {
		return wheel.Expect{}, cli.Usage("check: --for PACKAGE==VERSION and --target are needed")
	}
	name, version, err := pep.ParsePin(f.job)
	if err != nil {
		return wheel.Expect{}, cli.Usage("%w", err)
	}
	v, err := pep.ParseVersion(version)
	if err != nil {
		return wheel.Expect{}, cli.Usage("--for %s: want PACKAGE==VERSION: %w", f.job, err)
	}
	t, err := farm.ParseTarget(f.target)
	if err != nil {
		return wheel.Expect{}, cli.Usage("%w", err)
	}
	if f.glibc != "" {
		if _, err := pep.ParseVersion(f.glibc); err != nil {
			return wheel.Expect{}, cli.Usage("--glibc %q: want a version such as 2.36", f.glibc)
		}
	}
	return wheel.Expect{Name: pep.NormalizeName(name), Version: v, Target: t}, nil
}

func (f checkFlags) verify(ctx context.Context, path string, want wheel.Expect) (wheel.Report, error) {
	file, err := os.Open(path)
	if err != nil {
		return wheel.Report{}, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return wheel.Report{}, err
	}
	if !info.Mode().IsRegular() {
		return wheel.Report{}, errors.New(path + " is not a file")
	}
	name := f.as
	if name == "" {
		name = filepath.Base(path)
	}
	return wheel.Verify(ctx, file, info.Size(), name, want)
}

func (f checkFlags) print(cmd *cobra.Command, path string, r wheel.Report) error {
	out := cmd.OutOrStdout()
	if f.asJSON {
		err := cli.JSON(out, map[string]any{
			"schema": 1, "accepted": r.Accepted, "findings": orEmpty(r.Findings), "tags": orEmpty(r.Tags),
			"elf": nil, "armv6l": nil, // their inspection is not built yet
		})
		if err != nil {
			return err
		}
	} else {
		for _, x := range r.Findings {
			fmt.Fprintf(out, "%s: %s: %s\n", x.Severity, x.Code, cli.OneLine(x.Message))
		}
		fmt.Fprintf(out, "%s: %s\n", filepath.Base(path), map[bool]string{true: "accepted", false: "rejected"}[r.Accepted])
	}
	if !r.Accepted {
		return cli.ErrSilent
	}
	return nil
}

// orEmpty prints as [] where JSON would say null.
func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
