package main

import (
	"context"
	"fmt"
	"io"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pinwheel/internal/cli"
	"pinwheel/internal/farm"
	"pinwheel/internal/service"
	"pinwheel/internal/store"
)

func newMigrate() *cobra.Command {
	var set settings
	var check bool
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database's schema to this program's version",
		Long: `migrate brings the schema of the database to this program's version. Two at once do
no harm: one waits for the other. The embedded database (without --database-url) is
also migrated whenever it is started.`,
		Example: `  master migrate --database-url postgres://pinwheel@db.example/pinwheel
  master migrate --check`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := set.checkDatabase(); err != nil {
				return err
			}
			log, err := cli.Logger(cmd)
			if err != nil {
				return err
			}
			ctx, _, stop := service.Signals(cmd.Context())
			defer stop()
			do := migrate
			if check {
				do = checkSchema
			}
			return interrupted(ctx, do(ctx, cmd.OutOrStdout(), set.fill(), log))
		},
	}
	set.stateFlag(cmd)
	cmd.Flags().BoolVar(&check, "check", false, "change nothing; exit status 1 if there is something to do")
	return cmd
}

// migrate makes the embedded database if there is none; an external one must be
// there.
func migrate(ctx context.Context, out io.Writer, set settings, log zerolog.Logger) error {
	h := &home{set: set}
	defer h.Close()
	dsn, err := h.database(ctx, log, true)
	if err != nil {
		return err
	}
	from, to, err := store.Migrate(ctx, dsn)
	if err != nil {
		return unanswered(err)
	}
	_, err = fmt.Fprintf(out, "schema version %d, was %d\n", to, from)
	return err
}

// checkSchema writes nothing, so it does not make a database either.
func checkSchema(ctx context.Context, out io.Writer, set settings, log zerolog.Logger) error {
	h := &home{set: set}
	defer h.Close()
	dsn, err := h.database(ctx, log, false)
	if err != nil {
		return err
	}
	have, want, err := store.CheckSchema(ctx, dsn)
	if err != nil {
		return unanswered(err)
	}
	if _, err := fmt.Fprintf(out, "schema version %d, this program wants %d\n", have, want); err != nil {
		return err
	}
	if have < want { // the previous binary works on a newer schema
		return fmt.Errorf("%w: run `master migrate`", farm.ErrSchema)
	}
	return nil
}
