package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pinwheel/internal/bus"
	"pinwheel/internal/cli"
	"pinwheel/internal/config"
	"pinwheel/internal/crash"
	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

func newRevoke() *cobra.Command {
	var set settings
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "revoke NAME",
		Short: "End the credentials of a slave at once",
		Long: `revoke ends the credentials of NAME for ever, also on connections that are open. What
the slave was building is free for others, and nothing that it still brings counts.
Enrolling the name again makes new credentials; the old ones stay dead.

An external NATS server has to be told: print nats-config again and let the server
read it. Until then it lets the slave in, and the farm gives it nothing.`,
		Example: "  master revoke pi-01 && master enroll pi-01 > pi-01.creds",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := farm.CheckSlaveName(args[0]); err != nil {
				return cli.Usage("%w", err)
			}
			return visit(cmd, set, func(ctx context.Context, h *home, log zerolog.Logger) error {
				freed, err := revoke(ctx, h, args[0])
				if err != nil {
					return err
				}
				if h.set.NATSURL != "" {
					log.Warn().Str("nats", config.Hide(h.set.NATSURL)).
						Msg("the external NATS server must be told: give it what `master nats-config` prints")
				}
				return printRevoked(cmd, args[0], freed, asJSON)
			})
		},
	}
	set.bind(cmd, "state-dir", "database-url", "nats-url")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// revoke ends the key first, then the row. A crash in between leaves a slave that
// can come in no more once the server reads the keys, at its next start at the
// latest, and a command that can be given again; the other way round the row
// could be enrolled anew, and nobody would know the old key.
func revoke(ctx context.Context, h *home, name string) ([]store.Freed, error) {
	row, err := h.Store.Slave(ctx, name)
	if err != nil {
		return nil, unknownSlave(err, name)
	}
	authority, err := bus.LoadAuthority(h.set.natsDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("revoke %s: the farm's keys are not in %s; name the master's with --state-dir", name, h.set.StateDir)
	}
	if err != nil {
		return nil, err
	}
	if err := authority.Revoke(row.PublicKey); err != nil {
		return nil, err
	}
	crash.At(crash.RevokeKey)
	freed, err := h.Store.RevokeSlave(ctx, name, row.PublicKey, actor())
	if err == nil {
		crash.At(crash.RevokeRow) // the order to the daemon went out with the commit
	}
	return freed, err
}

func printRevoked(cmd *cobra.Command, name string, freed []store.Freed, asJSON bool) error {
	if freed == nil {
		freed = []store.Freed{}
	}
	out := cmd.OutOrStdout()
	if asJSON {
		return cli.JSON(out, map[string]any{"schema": 1, "revoked": name, "freed": freed})
	}
	cli.Say(out, "%s is revoked", name)
	for _, f := range freed {
		cli.Say(out, "%s %s %s: queued", f.Package, f.Version, f.Target)
	}
	return nil
}

// unknownSlave names the remedy of a name that nobody has.
func unknownSlave(err error, name string) error {
	if errors.Is(err, farm.ErrNotFound) {
		return fmt.Errorf("nobody is enrolled as %s; `master slaves` lists who is", name)
	}
	return err
}
