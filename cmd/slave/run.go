package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pinwheel/internal/agent"
	"pinwheel/internal/builder"
	"pinwheel/internal/bus"
	"pinwheel/internal/cli"
	"pinwheel/internal/pip"
	"pinwheel/internal/proc"
	"pinwheel/internal/service"
)

func newRun() *cobra.Command {
	var set settings
	cmd := &cobra.Command{
		Use:   "run --nats-url URL --creds FILE",
		Short: "Build for a farm until told to stop",
		Long: `run asks the master for jobs and builds them. The first SIGINT or SIGTERM lets the
build under way finish and be reported; the second ends it at once. Finished work
stays on disk until the master has it.`,
		Example: "  slave run --nats-url nats://farm.example:4222 --creds pi-01.creds",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if set.NATSURL == "" || set.Creds == "" {
				return cli.Usage("run: --nats-url and --creds are needed; `master enroll NAME` prints credentials")
			}
			mode, err := parseMode(set.Sandbox)
			if err != nil {
				return err
			}
			log, err := cli.Logger(cmd)
			if err != nil {
				return err
			}
			drain, abandon, stop := service.Signals(cmd.Context())
			defer stop()
			err = set.run(drain, abandon, mode, log)
			if drain.Err() != nil {
				return nil // it was told to stop, however far it had come
			}
			return err
		},
	}
	set.bind(cmd)
	return cmd
}

func parseMode(s string) (builder.Mode, error) {
	m, err := builder.ParseMode(s)
	if err != nil {
		return "", cli.Usage("--sandbox: %w", err)
	}
	return m, nil
}

func (s settings) run(drain, abandon context.Context, mode builder.Mode, log zerolog.Logger) error {
	user := proc.BuildUser()
	py, err := findPython(drain, s.Python, user, log)
	if err != nil {
		return err
	}
	if err := fit(drain, mode, user, py); err != nil {
		return err
	}
	// Wait: a slave that starts before its master is no error.
	conn, err := bus.Connect(drain, bus.Options{URL: s.NATSURL, CredsFile: s.Creds, Label: "slave", Log: log, Wait: true})
	if err != nil {
		return err
	}
	defer conn.Close()
	a, err := agent.New(drain, agent.Config{
		Conn: conn, StateDir: s.StateDir, Python: py, Mode: mode, User: user, Version: cli.Version(), Log: log,
	})
	if err != nil {
		return err
	}
	defer context.AfterFunc(drain, a.Drain)()
	return a.Run(abandon)
}

// fit refuses to start where no build could succeed, or where builds could not be
// fenced and nobody said that this is wanted.
func fit(ctx context.Context, mode builder.Mode, user proc.User, py pip.Python) error {
	if err := fence(ctx, mode, user); err != nil {
		return err
	}
	_, err := compiler(ctx, py, user, mode)
	return err
}

// fence tries bwrap, if it is wanted.
func fence(ctx context.Context, mode builder.Mode, user proc.User) error {
	if mode != builder.Bwrap {
		return nil
	}
	err := builder.Probe(ctx, user)
	if err != nil && !strings.Contains(err.Error(), "--sandbox=none") {
		return fmt.Errorf("%w; --sandbox=none builds without a fence", err)
	}
	return err
}

// findPython says which interpreters were passed over, and why: it is rarely
// the one that the operator thinks of.
func findPython(ctx context.Context, explicit string, user proc.User, log zerolog.Logger) (pip.Python, error) {
	py, passed, err := pip.Find(ctx, explicit, user)
	for _, p := range passed {
		log.Warn().Msg("passed over: " + p)
	}
	if err != nil {
		return pip.Python{}, err
	}
	log.Info().Str("python", py.Path).Str("target", py.Target().String()).Msg("builds with")
	return py, nil
}
