package main

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"pinwheel/internal/cli"
	"pinwheel/internal/farm"
	"pinwheel/internal/pep"
	"pinwheel/internal/wheel"
)

// checkFlags are what `master check` is asked.
type checkFlags struct {
	as, job, target, glibc string
	vouches, asJSON        bool
}

func newCheck() *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "check WHEEL --for PACKAGE==VERSION --target TARGET",
		Short: "Verify a wheel as an upload is verified",
		Long: `check runs the verification that every upload meets, without a farm. Exit status 0:
accepted; 1: rejected.

It also shows what the ELF files in the wheel say of themselves: for which machine they
are, which versions of the C and C++ libraries and which other libraries they need. Of a
wheel for linux_armv7l it says whether it is proven to run on an ARMv6, as in a Pi Zero:
then the farm offers a copy of it to armv6l.`,
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
	cmd.Flags().BoolVar(&f.vouches, "vouches-armv6", false, "as if the target vouched for its compiler (see target add)")
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
	known, _ := farm.BuiltinFacts(t)
	return wheel.Expect{
		Name: pep.NormalizeName(name), Version: v, Target: t, Glibc: cmp.Or(f.glibc, known.Glibc), VouchesARMv6: f.vouches,
	}, nil
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
			"elf": orEmpty(r.ELF), "armv6l": proofOf(r),
		})
		if err != nil {
			return err
		}
	} else {
		for _, x := range r.Findings {
			cli.Say(out, "%s: %s: %s", x.Severity, x.Code, cli.OneLine(x.Message))
		}
		for _, x := range r.ELF {
			cli.Say(out, "elf: %s", elfLine(x))
		}
		if p := r.ARMv6; p != nil {
			cli.Say(out, "armv6l: %s: %s", map[bool]string{true: "proven", false: "not proven"}[p.Proven], cli.OneLine(p.Reason))
		}
		cli.Say(out, "%s: %s", filepath.Base(path), map[bool]string{true: "accepted", false: "rejected"}[r.Accepted])
	}
	if !r.Accepted {
		return cli.ErrSilent
	}
	return nil
}

// proofOf is of a wheel for another machine that nothing is proven.
func proofOf(r wheel.Report) farm.Proof {
	if r.ARMv6 == nil {
		return farm.Proof{Reason: "the wheel is not for linux_armv7l, or nothing could be read of it"}
	}
	return *r.ARMv6
}

// elfLine is what an ELF file says of itself, for people.
func elfLine(x farm.ELF) string {
	words := []string{x.Path + ":"}
	say := func(what, value string) {
		if value != "" {
			words = append(words, strings.TrimSpace(what+" "+value)+",")
		}
	}
	say("", x.Machine)
	if a := x.ARM; a != nil {
		say("ARM", a.CPU)
		say("", a.FP)
		say("", map[string]string{"no": ""}[a.SIMD])
		say("attributes:", a.Problem)
	}
	say("GOARM", x.Go)
	say("GLIBC", x.GLIBC)
	say("GLIBCXX", x.GLIBCXX)
	say("CXXABI", x.CXXABI)
	say("needs", strings.Join(x.Needed, " "))
	say("rpath", cmp.Or(x.RunPath, x.RPath))
	say("", x.Problem)
	return cli.OneLine(strings.TrimSuffix(strings.Join(words, " "), ","))
}

// orEmpty prints as [] where JSON would say null.
func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
