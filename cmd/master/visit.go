package main

import (
	"context"
	"errors"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pinwheel/internal/cli"
	"pinwheel/internal/service"
)

// visitor is what a command does with a farm's state.
type visitor func(ctx context.Context, h *home, log zerolog.Logger) error

// visit is the frame of the commands that work on a farm's state for a moment:
// logger, signals, state, and their end. The farm must be there: a new one in a
// folder whose name was mistyped would answer that all is well.
func visit(cmd *cobra.Command, set settings, do visitor) error {
	return visitState(cmd, set, false, do)
}

// begin is visit for what a farm may begin with: it makes the state that is not
// there. Beside it only serve, demo, migrate and nats-config do.
func begin(cmd *cobra.Command, set settings, do visitor) error {
	return visitState(cmd, set, true, do)
}

func visitState(cmd *cobra.Command, set settings, create bool, do visitor) error {
	if err := set.checkDatabase(); err != nil {
		return err
	}
	log, err := cli.Logger(cmd)
	if err != nil {
		return err
	}
	ctx, _, stop := service.Signals(cmd.Context())
	defer stop()
	h, err := visitHome(ctx, set, create, log)
	if err != nil {
		return interrupted(ctx, err)
	}
	defer h.Close()
	return interrupted(ctx, do(ctx, h, log))
}

// interrupted says in one word what a signal made of a command; the error of
// whatever was under way is of no use to anybody.
func interrupted(ctx context.Context, err error) error {
	var told interruption
	if err != nil && ctx.Err() != nil && !errors.As(err, &told) {
		return errors.New("interrupted")
	}
	return err
}
