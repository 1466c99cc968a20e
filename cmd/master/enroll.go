package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pinwheel/internal/bus"
	"pinwheel/internal/cli"
	"pinwheel/internal/crash"
	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

func newEnroll() *cobra.Command {
	var set settings
	var role string
	cmd := &cobra.Command{
		Use:   "enroll NAME",
		Short: "Print credentials for a slave, a monitor or an operator",
		Long: `enroll makes credentials for NAME and prints the credentials file. It is the only
copy: whoever holds it is NAME. The keys that sign them are in the state directory of
the farm's master; the first enroll of a new farm makes them.

A slave builds. A monitor may look at the farm with pinwheel-monitor, and change nothing.
An operator may steer it there, and stands by NAME in the audit trail.`,
		Example: "  master enroll pi-01 > pi-01.creds\n  master enroll anna --role operator > anna.creds",
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
				if _, err = cmd.OutOrStdout().Write(creds); err != nil {
					// The row stands, and nobody has its key: the name is taken for nothing.
					return fmt.Errorf("print the credentials of %s, which are lost: %w; run `master revoke %s`, then enroll it again",
						args[0], err, args[0])
				}
				return nil
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
	authority, err := enrollAuthority(ctx, h, name)
	if err != nil {
		return nil, err
	}
	creds, public, err := authority.Enroll(name, role)
	if err != nil {
		return nil, err
	}
	if err := h.Store.EnrollSlave(ctx, name, role, public, actor()); err != nil {
		return nil, err
	}
	// The other way round a name that turns out to be taken had two keys.
	crash.At(crash.EnrollRow)
	return creds, nil
}

// enrollAuthority makes the farm's keys only where nobody can have others: a
// farm that was served or has somebody enrolled has its keys, and what is signed
// with new ones no server takes.
func enrollAuthority(ctx context.Context, h *home, name string) (*bus.Authority, error) {
	authority, err := bus.LoadAuthority(h.set.natsDir())
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
		return authority, err
	}
	served, err := h.Store.Settled(ctx, store.UpstreamSetting)
	if err != nil {
		return nil, err
	}
	enrolled, err := h.Store.Slaves(ctx)
	if err != nil {
		return nil, err
	}
	if served != "" || len(enrolled) > 0 {
		return nil, fmt.Errorf("enroll %s: the farm's keys are not in %s; name the master's folder with --state-dir, or if they are lost, start serve, which makes new ones",
			name, h.set.StateDir)
	}
	return h.Authority()
}
