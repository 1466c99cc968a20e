package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"pinwheel/internal/bus"
)

func newNATSConfig() *cobra.Command {
	var set settings
	var creds bool
	cmd := &cobra.Command{
		Use:   "nats-config",
		Short: "Print what an external NATS server must be told",
		Long: `nats-config prints a part of a nats-server's configuration file: the farm's operator
and accounts, whom it thereby lets in, and the limits that the embedded server has.
Include it, and add what is the server's own: its address, TLS, its log. After a
revocation print it again and let the server read it again; until then the server
lets the revoked in, though the farm gives them nothing.

With --creds it prints a credentials file for the master instead, for a daemon on
another host than the keys (serve --nats-creds). Whoever holds it is the master.`,
		Example: `  master nats-config > /etc/nats/pinwheel.conf    # include "pinwheel.conf" in nats-server.conf
  master serve --nats-url nats://nats.example:4222`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			authority, err := openAuthority(set)
			if err != nil {
				return err
			}
			if creds {
				text, err := authority.MasterCreds()
				if err != nil {
					return err
				}
				_, err = cmd.OutOrStdout().Write(text)
				return err
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), authority.Trust().ServerConfig())
			return err
		},
	}
	set.bind(cmd, "state-dir")
	cmd.Flags().BoolVar(&creds, "creds", false, "print credentials of the master instead")
	return cmd
}

// openAuthority makes the farm's keys if there are none: the server may be set
// up before the farm.
func openAuthority(set settings) (*bus.Authority, error) {
	if err := makeState(set.StateDir); err != nil {
		return nil, err
	}
	return (&home{set: set}).Authority()
}
