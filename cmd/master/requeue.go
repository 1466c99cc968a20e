package main

import (
	"context"
	"fmt"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pinwheel/internal/cli"
	"pinwheel/internal/farm"
	"pinwheel/internal/pep"
	"pinwheel/internal/store"
)

func newRequeue() *cobra.Command {
	var set settings
	var sel store.Selector
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "requeue --package NAME [--version V] [--target T]",
		Short: "Send failed jobs back to the queue",
		Long: `requeue sends the failed jobs that are selected back to the head of the queue. A
built job is refused: its wheel is published, and a published file never changes.`,
		Example: "  master requeue --package lxml --version 5.2.1",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if sel == (store.Selector{}) {
				return cli.Usage("requeue: name at least one of --package, --version, --target")
			}
			if sel.Package != "" && !pep.ValidName(sel.Package) {
				return cli.Usage("%q is not a package name", sel.Package)
			}
			sel.Package = pep.NormalizeName(sel.Package)
			return visit(cmd, set, func(ctx context.Context, h *home, _ zerolog.Logger) error {
				return requeue(ctx, cmd, h.Store, sel, asJSON)
			})
		},
	}
	set.stateFlag(cmd)
	cmd.Flags().StringVar(&sel.Package, "package", "", "jobs of this package")
	cmd.Flags().StringVar(&sel.Version, "version", "", "jobs of this version")
	cmd.Flags().StringVar(&sel.Target, "target", "", "jobs on this target")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func requeue(ctx context.Context, cmd *cobra.Command, st *store.Store, sel store.Selector, asJSON bool) error {
	moved, err := st.Requeue(ctx, sel, farm.PriorityOperator, actor())
	if err != nil {
		return err
	}
	if len(moved) == 0 {
		return refusal(ctx, st, sel)
	}
	if asJSON {
		return cli.JSON(cmd.OutOrStdout(), map[string]any{"schema": 1, "requeued": moved})
	}
	for _, j := range moved {
		fmt.Fprintf(cmd.OutOrStdout(), "%s %s %s: queued\n", j.Package, j.Version, j.Target)
	}
	return nil
}

// refusal says why nothing was requeued.
func refusal(ctx context.Context, st *store.Store, sel store.Selector) error {
	jobs, err := st.Jobs(ctx, sel)
	if err != nil {
		return err
	}
	if len(jobs) == 0 {
		return fmt.Errorf("no job matches; `master add` makes one")
	}
	j := jobs[0]
	switch j.State {
	case farm.Built:
		return fmt.Errorf("%s %s on %s is built: its wheel is published, and a published file never changes", j.Package, j.Version, j.Target)
	case farm.Queued, farm.Leased:
		return fmt.Errorf("%s %s on %s is %s already", j.Package, j.Version, j.Target, j.State)
	}
	return fmt.Errorf("%s %s on %s is %s: %s", j.Package, j.Version, j.Target, j.State, j.Reason)
}
