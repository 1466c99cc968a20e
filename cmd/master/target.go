package main

import (
	"context"
	"fmt"
	"text/tabwriter"

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
	cmd.AddCommand(newTargetAdd(), newTargetList())
	return cmd
}

func newTargetAdd() *cobra.Command {
	var set settings
	var facts farm.Facts
	cmd := &cobra.Command{
		Use:   "add TARGET",
		Short: "Build for a target from now on",
		Long: `add makes a target of the farm: every release that is added from now on is queued
for it as well. What is true of its system and not given here is told by the first
slave that builds for it; of the Pythons of Debian 11, 12 and 13 on linux_armv7l it
is known.`,
		Example: "  master target add cp311-linux_armv7l --python 3.11.2 --glibc 2.36 --codename bookworm",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := farm.ParseTarget(args[0])
			if err != nil {
				return cli.Usage("%w", err)
			}
			return visit(cmd, set, func(ctx context.Context, h *home, _ zerolog.Logger) error {
				known, _ := farm.BuiltinFacts(t)
				return h.Store.AddTarget(ctx, t, facts.Fill(known))
			})
		},
	}
	set.stateFlag(cmd)
	cmd.Flags().StringVar(&facts.Python, "python", "", "its Python, 3.11.2 (default: told by the first slave)")
	cmd.Flags().StringVar(&facts.Glibc, "glibc", "", "its C library, 2.36 (default: told by the first slave)")
	cmd.Flags().StringVar(&facts.Codename, "codename", "", "its system, bookworm (default: told by the first slave)")
	return cmd
}

func newTargetList() *cobra.Command {
	var set settings
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the targets, lowest Python first",
		Long:    "list prints the farm's targets with what is known of their systems.",
		Example: "  master target list --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return visit(cmd, set, func(ctx context.Context, h *home, _ zerolog.Logger) error {
				rows, err := h.Store.Targets(ctx)
				if err != nil {
					return err
				}
				return printTargets(cmd, rows, asJSON)
			})
		},
	}
	set.stateFlag(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printTargets(cmd *cobra.Command, rows []store.TargetRow, asJSON bool) error {
	type row struct {
		Target farm.Target `json:"target"`
		farm.Facts
	}
	list := []row{}
	for _, r := range rows {
		list = append(list, row{r.Target, r.Facts})
	}
	if asJSON {
		return cli.JSON(cmd.OutOrStdout(), map[string]any{"schema": 1, "targets": list})
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TARGET\tPYTHON\tGLIBC\tSYSTEM")
	for _, r := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.Target, dash(r.Python), dash(r.Glibc), dash(r.Codename))
	}
	return w.Flush()
}

// dash stands where nothing is known.
func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
