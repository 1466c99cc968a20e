package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pinwheel/internal/bus"
	"pinwheel/internal/certs"
	"pinwheel/internal/cli"
	"pinwheel/internal/clock"
	"pinwheel/internal/service"
)

// level is how bad a finding is.
type level string

// The levels.
const (
	fine    level = "ok"
	warning level = "warning" // it works, though not as well as it could
	problem level = "problem" // no job can be done, or none is asked for
)

// finding is what the doctor says of one thing.
type finding struct {
	Name   string `json:"name"`
	Level  level  `json:"level"`
	Detail string `json:"detail"`
	Remedy string `json:"remedy"` // empty: nothing is to be done, or the detail says it

	// Of a finding about one target: its root, and what it is, if that is known.
	Root   string `json:"root,omitempty"`
	Target string `json:"target,omitempty"`
}

func newDoctor() *cobra.Command {
	var set settings
	var d doctor
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say whether this machine can build",
		Long: `doctor tries what a build needs, as the user that builds run under: a Python with pip
and venv, bubblewrap, a C compiler, space, a clock that is right, heat and supply, names
that can be looked up, the upstream, and the master by NATS and HTTP. It needs no master:
what it does not know of one, it does not ask. Where master and upstream are, the slave of
this state folder was told at its last hello. Each line is ok, a warning or a problem, with
the remedy; in JSON those about one target have its root, and the target if it is known.
Exit status 0: fit; 1: there is a problem.`,
		Example: `  slave doctor
  slave doctor --python /usr/bin/python3 --json
  slave doctor --nats-url nats://farm.example:4222 --creds pi-01.creds --master-url http://farm.example:7070`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := cli.Logger(cmd); err != nil { // it logs nothing, but says what is wrong
				return err
			}
			if err := d.settle(set); err != nil {
				return err
			}
			// A probe under way cleans up after itself when it is told to stop.
			ctx, _, stop := service.Signals(cmd.Context())
			defer stop()
			list := d.examine(ctx)
			if ctx.Err() != nil {
				return errors.New("interrupted")
			}
			return report(cmd.OutOrStdout(), list, asJSON)
		},
	}
	set.bind(cmd)
	cmd.Flags().StringVar(&d.masterURL, "master-url", "", "base `URL` of the master's site (default: as it told this slave last)")
	cmd.Flags().StringVar(&d.upstream, "upstream", "", "`URL` of the index that builds use (default: as the master told last, else the one that pip here uses)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// settle takes the settings that are not the doctor's own.
func (d *doctor) settle(set settings) (err error) {
	if set.NATSURL != "" {
		if err := bus.CheckURL(set.NATSURL); err != nil {
			return cli.Usage("--nats-url: %w", err)
		}
	}
	for flag, text := range map[string]string{"--master-url": d.masterURL, "--upstream": d.upstream} {
		if text != "" && !isWebURL(text) {
			return cli.Usage("%s %q: want a URL that starts with http:// or https://", flag, hidden(text))
		}
	}
	d.set = set
	if d.targets, err = set.wanted(); err != nil {
		return err
	}
	if d.mode, err = parseMode(set.Sandbox); err != nil {
		return err
	}
	if d.now, err = clock.Now(); err != nil {
		return err
	}
	d.trust, err = set.certificates(d.now, zerolog.Nop())
	if errors.Is(err, certs.ErrHalf) {
		return err
	}
	d.trustTrouble = err // a finding like others
	return nil
}

// interview is what doctor says at the start of a slave, in its log.
func interview(log zerolog.Logger, list []finding) {
	for _, f := range list {
		event := map[level]func() *zerolog.Event{fine: log.Info, warning: log.Warn, problem: log.Error}[f.Level]()
		for _, field := range [][2]string{{"root", f.Root}, {"target", f.Target}, {"remedy", f.Remedy}} {
			if field[1] != "" {
				event = event.Str(field[0], field[1])
			}
		}
		event.Str("detail", f.Detail).Msg("doctor: " + f.Name + " " + string(f.Level))
	}
}

func report(out io.Writer, list []finding, asJSON bool) error {
	fit := true
	for _, f := range list {
		fit = fit && f.Level != problem
	}
	if asJSON {
		if err := cli.JSON(out, map[string]any{"schema": 1, "fit": fit, "findings": list}); err != nil {
			return err
		}
	} else {
		for _, f := range list {
			fmt.Fprintf(out, "%-7s  %-11s  %s\n", f.Level, f.Name, f.Detail)
			if f.Remedy != "" {
				fmt.Fprintf(out, "%-7s  %-11s  remedy: %s\n", "", "", f.Remedy)
			}
		}
	}
	if !fit {
		return cli.ErrSilent
	}
	return nil
}
