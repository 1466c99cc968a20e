package main

import (
	"context"

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
		return err
	}
	defer h.Close()
	return do(ctx, h, log)
}
