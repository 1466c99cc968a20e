package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"pinwheel/internal/cli"
	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

func newMigrate() *cobra.Command {
	var set settings
	var check bool
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database's schema to this program's version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if set.DatabaseURL == "" {
				return migrateEmbedded(cmd, set)
			}
			if check {
				return checkSchema(cmd, set.DatabaseURL)
			}
			from, to, err := store.Migrate(cmd.Context(), set.DatabaseURL)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "schema version %d, was %d\n", to, from)
			return nil
		},
	}
	set.stateFlag(cmd)
	cmd.Flags().BoolVar(&check, "check", false, "change nothing; exit status 1 if there is something to do")
	return cmd
}

func checkSchema(cmd *cobra.Command, dsn string) error {
	have, want, err := store.CheckSchema(cmd.Context(), dsn)
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "schema version %d, this program wants %d\n", have, want)
	if have != want {
		return fmt.Errorf("%w: run `master migrate`", farm.ErrSchema)
	}
	return nil
}

// migrateEmbedded needs no more than opening: the embedded database is brought
// up to date whenever it is started.
func migrateEmbedded(cmd *cobra.Command, set settings) error {
	log, err := cli.Logger(cmd)
	if err != nil {
		return err
	}
	h, err := visitHome(cmd.Context(), set, log)
	if err != nil {
		return err
	}
	defer h.Close()
	fmt.Fprintln(cmd.OutOrStdout(), "the embedded database is up to date")
	return nil
}
