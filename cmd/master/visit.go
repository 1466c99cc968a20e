package main

import (
	"context"
	"errors"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pinwheel/internal/cli"
	"pinwheel/internal/service"
)

// visit is the frame of the commands that work on a farm's state for a moment:
// logger, signals, state, and their end.
func visit(cmd *cobra.Command, set settings, do func(ctx context.Context, h *home, log zerolog.Logger) error) error {
	log, err := cli.Logger(cmd)
	if err != nil {
		return err
	}
	ctx, _, stop := service.Signals(cmd.Context())
	defer stop()
	h, err := visitHome(ctx, set, log)
	if err != nil {
		return interrupted(ctx, err)
	}
	defer h.Close()
	return interrupted(ctx, do(ctx, h, log))
}

// interrupted says in one word what a signal made of a command; the error of
// whatever was under way is of no use to anybody.
func interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return errors.New("interrupted")
	}
	return err
}
