package main

import (
	"context"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pinwheel/internal/cli"
	"pinwheel/internal/store"
)

// listing is what a command that prints rows of the farm's state lists.
type listing[T any] struct {
	Key  string // of the rows in the JSON object
	Rows func(context.Context, *store.Store) ([]T, error)
	Head []string         // of the table, see columns
	Line func(T) []string // the same columns
}

// newListing makes cmd print a listing: as a table, or as JSON, where no rows are
// an empty list.
func newListing[T any](cmd *cobra.Command, l listing[T]) *cobra.Command {
	var set settings
	var asJSON bool
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return visit(cmd, set, func(ctx context.Context, h *home, _ zerolog.Logger) error {
			rows, err := l.Rows(ctx, h.Store)
			if err != nil {
				return err
			}
			if asJSON {
				return cli.JSON(cmd.OutOrStdout(), map[string]any{"schema": 1, l.Key: append([]T{}, rows...)})
			}
			var lines [][]string
			for _, r := range rows {
				lines = append(lines, l.Line(r))
			}
			newTeller(cmd.OutOrStdout()).table(columns(l.Head...), lines)
			return nil
		})
	}
	set.stateFlag(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// dash stands where nothing is known.
func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
