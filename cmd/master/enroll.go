package main

import (
	"context"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pinwheel/internal/cli"
	"pinwheel/internal/farm"
)

func newEnroll() *cobra.Command {
	var set settings
	var role string
	cmd := &cobra.Command{
		Use:   "enroll NAME",
		Short: "Print credentials for a slave",
		Long: `enroll makes credentials for NAME and prints the credentials file. It is the only
copy: whoever holds it is NAME.`,
		Example: "  master enroll pi-01 > pi-01.creds",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := farm.CheckSlaveName(args[0]); err != nil {
				return cli.Usage("%w", err)
			}
			r, err := farm.ParseRole(role)
			if err != nil {
				return cli.Usage("%w", err)
			}
			return visit(cmd, set, func(ctx context.Context, h *home, _ zerolog.Logger) error {
				creds, err := enroll(ctx, h, args[0], r)
				if err != nil {
					return err
				}
				_, err = cmd.OutOrStdout().Write(creds)
				return err
			})
		},
	}
	set.stateFlag(cmd)
	cmd.Flags().StringVar(&role, "role", "slave", "slave, monitor or operator")
	return cmd
}

// enroll makes credentials, and gives them out only when the row stands: a name
// that is taken must not get a second key.
func enroll(ctx context.Context, h *home, name string, role farm.Role) ([]byte, error) {
	authority, err := h.Authority()
	if err != nil {
		return nil, err
	}
	creds, public, err := authority.Enroll(name, role)
	if err != nil {
		return nil, err
	}
	return creds, h.Store.EnrollSlave(ctx, name, role, public)
}
