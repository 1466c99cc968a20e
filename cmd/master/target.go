package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pinwheel/internal/cli"
	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

func newTarget() *cobra.Command {
	cmd := &cobra.Command{
		Use: "target", Short: "The platforms that the farm builds for", Args: cobra.NoArgs,
		Long: `A target is where a wheel runs: an ABI tag and a platform tag, for example
cp311-linux_armv7l for Python 3.11 on a 32-bit Raspberry Pi.`,
	}
	cmd.AddCommand(newTargetAdd(), newTargetList(), newTargetRetire())
	return cmd
}

func newTargetAdd() *cobra.Command {
	var set settings
	var facts farm.Facts
	var vouches bool
	cmd := &cobra.Command{
		Use:   "add TARGET",
		Short: "Build for a target from now on",
		Long: `add makes a target of the farm: every release that is added from now on is queued
for it as well. What is true of its system and not given here is told by the first
slave that builds for it; of the Pythons of Debian 11, 12 and 13 on linux_armv7l it
is known. A target that was retired is one again, with the jobs that it had. In a
state directory that is not there yet, the first target begins a new farm.

Wheels of linux_armv7l are offered to armv6l, as in a Pi Zero, too, if each of their
files says in its attributes that an ARMv6 is enough. --vouches-armv6 says for the
compiler of this target that it makes no other code, as Raspberry Pi OS's and
Raspbian's do and Debian's does not: it stands in where a sound file says nothing, never
against what one says, nor for what is broken or hidden in archives. --vouches-armv6=false takes that back for wheels to come.`,
		Example: `  master target add cp311-linux_armv7l --python 3.11.2 --glibc 2.36 --codename bookworm
  master target add cp311-linux_armv7l --vouches-armv6`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := farm.ParseTarget(args[0])
			if err != nil {
				return cli.Usage("%w", err)
			}
			if vouches && t.Platform != "linux_armv7l" {
				return cli.Usage("--vouches-armv6 is for targets of linux_armv7l, and %s is none", t)
			}
			return begin(cmd, set, func(ctx context.Context, h *home, _ zerolog.Logger) error {
				known, _ := farm.BuiltinFacts(t)
				err := h.Store.AddTarget(ctx, t, facts.Fill(known), actor())
				if err == nil && cmd.Flags().Changed("vouches-armv6") {
					err = h.Store.VouchARMv6(ctx, t, vouches, actor())
				}
				return err
			})
		},
	}
	set.stateFlag(cmd)
	cmd.Flags().StringVar(&facts.Python, "python", "", "its Python, 3.11.2 (default: told by the first slave)")
	cmd.Flags().StringVar(&facts.Glibc, "glibc", "", "its C library, 2.36 (default: told by the first slave)")
	cmd.Flags().StringVar(&facts.Codename, "codename", "", "its system, bookworm (default: told by the first slave)")
	cmd.Flags().BoolVar(&vouches, "vouches-armv6", false, "its compiler makes code for ARMv6 with VFPv2 only")
	return cmd
}

// targetLine is one row of `target list`.
type targetLine struct {
	Target farm.Target `json:"target"`
	farm.Facts
	Retired bool `json:"retired"`
	Vouches bool `json:"vouches_armv6"` // its compiler makes code for ARMv6 only
}

func newTargetList() *cobra.Command {
	return newListing(&cobra.Command{
		Use:     "list",
		Short:   "List the targets, lowest Python first",
		Long:    "list prints the farm's targets, the retired too, with what is known of their systems.",
		Example: "  master target list --json",
	}, listing[targetLine]{
		Key:  "targets",
		Rows: targetLines,
		Head: []string{"TARGET", "STATE", "PYTHON", "GLIBC", "SYSTEM"},
		Line: func(l targetLine) []string {
			state := "active"
			if l.Retired {
				state = "retired"
			}
			return []string{l.Target.String(), state, dash(l.Python), dash(l.Glibc), dash(l.Codename)}
		},
	})
}

func targetLines(ctx context.Context, st *store.Store) ([]targetLine, error) {
	rows, err := st.AllTargets(ctx)
	var list []targetLine
	for _, r := range rows {
		list = append(list, targetLine{r.Target, r.Facts, !r.Active, r.VouchesARMv6})
	}
	return list, err
}

func newTargetRetire() *cobra.Command {
	var set settings
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "retire TARGET",
		Short: "Build for a target no more",
		Long: `retire makes the farm build for TARGET no more: it gets no new jobs, and those that
wait in the queue are given to nobody. Builds under way may finish, and its wheels
stay where they are. target add brings it back with the jobs that it had.`,
		Example: "  master target retire cp39-linux_armv7l",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := farm.ParseTarget(args[0])
			if err != nil {
				return cli.Usage("%w", err)
			}
			return visit(cmd, set, func(ctx context.Context, h *home, _ zerolog.Logger) error {
				r, err := h.Store.RetireTarget(ctx, t, actor())
				if errors.Is(err, farm.ErrNotFound) {
					return fmt.Errorf("%s is not one of this farm's targets; `master target list` lists them", t)
				}
				if err != nil {
					return err
				}
				return printRetired(cmd, t, r, asJSON)
			})
		},
	}
	set.stateFlag(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printRetired(cmd *cobra.Command, t farm.Target, r store.Retired, asJSON bool) error {
	if asJSON {
		return cli.JSON(cmd.OutOrStdout(), map[string]any{"schema": 1, "retired": t, "queued": r.Queued, "leased": r.Leased})
	}
	err := cli.Say(cmd.OutOrStdout(), "%s is retired: %d queued jobs are given to nobody, %d builds under way may finish",
		t, r.Queued, r.Leased)
	return err
}
