package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pinwheel/internal/cli"
	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

func newStatus() *cobra.Command {
	var set settings
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "The farm now: jobs by target and state, wheels, slaves",
		Long: `status counts what the database holds: packages, releases and wheels, the jobs of
each target by state, the pages still to be written, and says of each slave when it
was last heard and what it does.`,
		Example: "  master status\n  master status --json --state-dir /var/lib/pinwheel",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return visit(cmd, set, func(ctx context.Context, h *home, _ zerolog.Logger) error {
				st, err := h.Store.Status(ctx)
				if err != nil {
					return err
				}
				if asJSON {
					return cli.JSON(cmd.OutOrStdout(), st)
				}
				return printStatus(cmd.OutOrStdout(), st)
			})
		},
	}
	set.stateFlag(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printStatus(out io.Writer, st store.Status) error {
	fmt.Fprintf(out, "%d packages, %d releases, %d wheels (%.1f MB), %d pages to write\n",
		st.Packages, st.Releases, st.Wheels, float64(st.WheelBytes)/1e6, st.StalePages)
	fmt.Fprintln(out, "follows: only packages added by hand (no source of events is configured)")
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "\nTARGET")
	for _, s := range farm.States() {
		fmt.Fprintf(w, "\t%s", s)
	}
	fmt.Fprintln(w)
	for _, t := range slices.Sorted(maps.Keys(st.Jobs)) {
		fmt.Fprint(w, t)
		for _, s := range farm.States() {
			fmt.Fprintf(w, "\t%d", st.Jobs[t][string(s)])
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w, "\nSLAVE\tLAST SEEN\tDOING")
	for _, s := range st.Slaves {
		if s.Role != farm.RoleSlave || s.Revoked {
			continue // they have nothing to do
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", s.Name, ago(s.LastSeen), dash(s.Doing))
	}
	return w.Flush()
}

func ago(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return time.Since(*t).Round(time.Second).String() + " ago"
}
