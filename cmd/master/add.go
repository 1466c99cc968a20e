package main

import (
	"context"
	"fmt"
	"os/user"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pinwheel/internal/cli"
	"pinwheel/internal/farm"
	"pinwheel/internal/ingest"
	"pinwheel/internal/pep"
	"pinwheel/internal/pypi"
)

func newAdd() *cobra.Command {
	var set settings
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "add PACKAGE [VERSION...]",
		Short: "Ask the upstream for a package and queue its releases",
		Long: `add tells the farm what the upstream would have told it: that PACKAGE is there.
Without versions every release is queued, on every target. The index that is asked
is the one that the farm's master follows.`,
		Example: "  master add markupsafe 2.1.5",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, version, err := pep.ParsePin(args[0])
			if err != nil {
				return cli.Usage("%w", err)
			}
			if err := set.check(); err != nil {
				return err
			}
			versions := args[1:]
			if version != "" {
				versions = append(versions, version)
			}
			return visit(cmd, set, func(ctx context.Context, h *home, log zerolog.Logger) error {
				upstream, err := farmsUpstream(ctx, h.Store, set)
				if err != nil {
					return err
				}
				in := ingest.New(ingest.Config{Store: h.Store, Upstream: pypi.New(set.index(upstream)), Log: log})
				jobs, err := in.Add(ctx, ingest.Ask{Package: name, Versions: versions, Actor: actor(), Priority: farm.PriorityOperator})
				if err != nil {
					return notAdded(ctx, h.Store, err)
				}
				return printAdded(cmd, pep.NormalizeName(name), jobs, asJSON)
			})
		},
	}
	set.bind(cmd, "state-dir", "database-url", "upstream", "ingest-json", "ingest-contact")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printAdded(cmd *cobra.Command, name string, jobs []ingest.Job, asJSON bool) error {
	type row struct {
		Version string     `json:"version"`
		Target  string     `json:"target"`
		State   farm.State `json:"state"`
		Reason  string     `json:"reason"`
	}
	list := []row{}
	for _, j := range jobs {
		list = append(list, row(j))
	}
	if asJSON {
		return cli.JSON(cmd.OutOrStdout(), map[string]any{"schema": 1, "package": name, "jobs": list})
	}
	for _, j := range list {
		text := fmt.Sprintf("%s %s %s: %s", name, j.Version, j.Target, j.State)
		if j.Reason != "" {
			text += " (" + j.Reason + ")"
		}
		if err := cli.Say(cmd.OutOrStdout(), "%s", text); err != nil {
			return err
		}
	}
	return nil
}

// actor is who runs the command, for the audit trail.
func actor() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "unknown"
}
