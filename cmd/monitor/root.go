package main

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"pinwheel/internal/bus"
	"pinwheel/internal/cli"
	"pinwheel/internal/farm"
	"pinwheel/internal/monitor"
	"pinwheel/internal/service"
)

// wish is what one call is to do.
type wish struct {
	once, asJSON, demo bool
}

func newRoot() *cobra.Command {
	var set settings
	var w wish
	root := cli.Root("monitor", "The dashboard of a wheel build farm",
		`monitor shows a farm as it works: the queue of each target, slaves, builds under way
with their logs, failures and events. With the credentials of an operator it also
steers: pause, resume, abort and quit slaves, requeue, skip, change priorities; each is
asked for twice and stands in the audit trail. Those of a monitor may only look.

Where there is no screen to draw on (TERM=dumb, a pipe) it prints the farm once, then a
line for each event. --once prints it and ends, --once --json for scripts. --demo shows
an invented farm. When the farm cannot be reached, what was seen last is shown as stale,
and the connection is sought until it is there again.

Settings come from flags, then from PINWHEEL_* variables (PINWHEEL_NATS_URL for
--nats-url), then from one file (--config). NO_COLOR=1 turns colours off. Exit status:
0 done, 1 failed, 2 wrong usage.`)
	root.Example = "  monitor --nats-url nats://farm.example:4222 --creds anna.creds\n" +
		"  monitor --once --json\n  monitor --demo"
	root.RunE = func(cmd *cobra.Command, _ []string) error {
		if w.asJSON && !w.once {
			return cli.Usage("--json goes with --once")
		}
		if err := set.check(w.demo); err != nil {
			return err
		}
		log, err := cli.Logger(cmd)
		if err != nil {
			return err
		}
		ctx, _, stop := service.Signals(cmd.Context())
		defer stop()
		err = w.run(ctx, set, cmd.OutOrStdout(), log)
		if ctx.Err() != nil {
			if w.once {
				return errors.New("interrupted")
			}
			return nil // whoever looks on ends it so
		}
		return err
	}
	set.bind(root)
	root.Flags().BoolVar(&w.once, "once", false, "print the farm as it is, and end")
	root.Flags().BoolVar(&w.asJSON, "json", false, "with --once: print JSON")
	root.Flags().BoolVar(&w.demo, "demo", false, "show an invented farm")
	root.AddCommand(newConfig())
	return root
}

// invented is how many slaves the farm of --demo has.
const invented = 20

func (w wish) run(ctx context.Context, set settings, out io.Writer, log zerolog.Logger) error {
	screen := !w.once && drawable(out, os.Getenv("TERM"))
	cfg := monitor.Config{Every: set.Every, Now: time.Now, ASCII: !unicode(os.LookupEnv)}
	if w.demo {
		cfg.Source = monitor.NewDemo(time.Now, invented)
		return w.show(ctx, cfg, out, screen)
	}
	if screen || w.once {
		log = zerolog.Nop() // the screen tells the same, or the one error does
	}
	opts, err := set.options(log)
	if err != nil {
		return err
	}
	opts.Background = !w.once
	conn, err := bus.Connect(ctx, opts)
	if err != nil {
		return err
	}
	defer conn.Close()
	if role := conn.Identity().Role; role != farm.RoleMonitor && role != farm.RoleOperator {
		return errors.New("the credentials are of a " + string(role) + "; `master enroll NAME --role monitor` makes some that may look")
	}
	cfg.Source = monitor.NewWire(conn, set.where())
	return w.show(ctx, cfg, out, screen)
}

func (w wish) show(ctx context.Context, cfg monitor.Config, out io.Writer, screen bool) error {
	switch {
	case w.once:
		return monitor.Once(ctx, cfg, out, columns(out), w.asJSON)
	case screen:
		return monitor.Run(ctx, cfg, monitor.Screen{In: os.Stdin, Out: out, Env: os.Environ()})
	}
	return monitor.Plain(ctx, cfg, out, columns(out))
}

// drawable says whether there is a screen on which lines can be changed.
func drawable(out io.Writer, kind string) bool {
	return cli.IsTerminal(out) && cli.IsTerminal(os.Stdin) && kind != "" && kind != "dumb"
}

// columns is how wide lines may be: a terminal's width, and wide where none is.
func columns(out io.Writer) int {
	if f, ok := out.(*os.File); ok {
		if wide, _, err := term.GetSize(int(f.Fd())); err == nil && wide > 0 {
			return wide
		}
	}
	return 140
}

// unicode says whether the terminal's language is written in UTF-8: by the first of the
// variables that is set, as the C library does. Where none is, it is believed.
func unicode(lookup func(string) (string, bool)) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v, ok := lookup(name); ok && v != "" {
			v = strings.ToUpper(v)
			return strings.Contains(v, "UTF-8") || strings.Contains(v, "UTF8")
		}
	}
	return true
}
