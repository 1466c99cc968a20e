package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pinwheel/internal/cli"
	"pinwheel/internal/farm"
	"pinwheel/internal/pep"
	"pinwheel/internal/store"
)

func newRemove() *cobra.Command {
	var set settings
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "remove PACKAGE [VERSION...]",
		Short: "Take a package or some of its versions down",
		Long: `remove tells the farm what the upstream would have told it: that PACKAGE, or these
versions of it, are gone. Jobs end, builds under way too, and wheels leave page and
site. Their file names are never used again, not even for another wheel.`,
		Example: "  master remove markupsafe 2.1.5",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, version, err := pep.ParsePin(args[0])
			if err != nil {
				return cli.Usage("%w", err)
			}
			versions := args[1:]
			if version != "" {
				versions = append(versions, version)
			}
			return visit(cmd, set, func(ctx context.Context, h *home, _ zerolog.Logger) error {
				r, err := h.Store.Remove(ctx, pep.NormalizeName(name), versions, actor())
				if errors.Is(err, farm.ErrNotFound) {
					return fmt.Errorf("%w; nothing was removed", err)
				}
				if err != nil {
					return err
				}
				return printRemoved(cmd, r, asJSON)
			})
		},
	}
	set.stateFlag(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printRemoved(cmd *cobra.Command, r store.Removed, asJSON bool) error {
	out := cmd.OutOrStdout()
	if asJSON {
		return cli.JSON(out, map[string]any{"schema": 1, "package": r.Package, "versions": r.Versions,
			"wheels": r.Wheels, "jobs": r.Jobs, "aborted": r.Aborted})
	}
	cli.Say(out, "%s: %d versions, %d jobs, %d wheels removed; %d builds told to stop",
		r.Package, len(r.Versions), r.Jobs, len(r.Wheels), r.Aborted)
	for _, w := range r.Wheels {
		cli.Say(out, "%s", w)
	}
	return nil
}
