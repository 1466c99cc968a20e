package main

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pinwheel/internal/agent"
	"pinwheel/internal/builder"
	"pinwheel/internal/bus"
	"pinwheel/internal/cli"
	"pinwheel/internal/clock"
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
		Example: "  slave run --nats-url nats://farm.example:4222 --creds pi-01.creds\n" +
			"  slave run --config two.toml --target root=/ --target root=/var/cache/pinwheel/bookworm-armhf",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if set.NATSURL == "" || set.Creds == "" {
				return cli.Usage("run: --nats-url and --creds are needed; `master enroll NAME` prints credentials")
			}
			if err := bus.CheckURL(set.NATSURL); err != nil {
				return cli.Usage("--nats-url: %w", err)
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

// greetWithin is how long a start waits for the master's word; then it asks the neighbours
// without it, and tells what it found. Who is refused, for example for
// its protocol, ends before, and so its start has failed. A master that is away longer is no
// fault of the slave, which waits for it, started.
const greetWithin = 10 * time.Second

// gcPercent is how much garbage there may be, in percent of what is in use.
const gcPercent = 25

func (s settings) run(drain, abandon context.Context, mode builder.Mode, log zerolog.Logger) error {
	now, err := clock.Now()
	if err != nil {
		return err
	}
	trust, err := s.certificates(now, log)
	if err != nil {
		return err
	}
	// A slave mostly waits, beside builds that want the machine's memory: better to
	// collect often than to let four megabytes of garbage lie.
	debug.SetGCPercent(gcPercent)
	allow, deny, err := s.networks()
	if err != nil {
		return err
	}
	user := proc.BuildUser()
	targets, broken, err := s.serve(drain, mode, user, log)
	if err != nil {
		return err
	}
	vitals, boss := &service.Vitals{}, service.Supervised(log)
	defer boss.Feed(abandon, func(context.Context) error { return vitals.Check() })()
	d := doctor{set: s, mode: mode, now: now, python: targets[0].Python, trust: trust}
	interview(log, d.examineMachine(drain))
	ready := boss.ReadyWithin(drain, greetWithin, "looking for the farm at "+hidden(s.NATSURL))
	defer context.AfterFunc(drain, func() { boss.Stopping("the build under way ends, and is reported") })()
	// Wait: a slave that starts before its master is no error.
	greeting := d.awaitGreeting(drain, log, greetWithin, ready)
	conn, err := bus.Connect(drain, bus.Options{URL: s.NATSURL, CredsFile: s.Creds, Label: "slave", TLS: trust, Log: log, Wait: true})
	if err != nil {
		greeting.end()
		return err
	}
	defer conn.Close()
	defer greeting.end()
	d.conn = conn
	a, err := agent.New(drain, agent.Config{
		Conn: conn, StateDir: s.StateDir, Targets: targets, Broken: broken, Mode: mode, User: user, Version: cli.Version(), Log: log, Now: now,
		Allow: allow, Deny: deny, ProxyNames: s.Names, CacheDir: s.CacheDir,
		Fitness: s.fitness(), Observe: greeting.observe(drain), Certs: trust,
		Alive: func(within time.Duration) { vitals.Promise("talking to the master", within) },
	})
	if err != nil {
		return err
	}
	defer context.AfterFunc(drain, a.Drain)()
	return a.Run(abandon)
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
