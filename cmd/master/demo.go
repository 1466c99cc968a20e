package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pinwheel/internal/cli"
	"pinwheel/internal/farm"
	"pinwheel/internal/logging"
	"pinwheel/internal/pep"
	"pinwheel/internal/pip"
	"pinwheel/internal/proc"
	"pinwheel/internal/service"
)

// demoFlags are the settings of `master demo`.
type demoFlags struct {
	listen, python, upstream string
	timeout                  time.Duration
	keep, asJSON             bool
}

// defaultPackages are a C extension and pure Python.
func defaultPackages() []string { return []string{"markupsafe==2.1.5", "peppercorn"} }

func newDemo() *cobra.Command {
	var f demoFlags
	cmd := &cobra.Command{
		Use:   "demo [PACKAGE[==VERSION]...]",
		Short: "Run a whole farm here: build, publish, and let real pip install",
		Long: `demo starts a whole farm in one process (database, wire, slave), builds the packages
on this machine, publishes them, and lets pip install them from the farm into a fresh
environment. Without packages: ` + strings.Join(defaultPackages(), " ") + `. Exit status 0 only if
pip installed every one from the farm. Everything it made is removed at the end.`,
		Example: "  master demo --keep lxml==5.2.1 six",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = defaultPackages()
			}
			items, err := parseItems(args)
			if err != nil {
				return err
			}
			if f.timeout < time.Second {
				return cli.Usage("--timeout %s: want a second or more", f.timeout)
			}
			if err := (settings{Upstream: f.upstream, Listen: f.listen}).check(); err != nil {
				return err
			}
			log, err := demoLogger(cmd)
			if err != nil {
				return err
			}
			ctx, release := outliveTerminal(cmd.Context())
			defer release()
			drain, _, stop := service.Signals(ctx)
			defer stop()
			return f.run(drain, cmd, items, log)
		},
	}
	cmd.Flags().StringVar(&f.listen, "listen", "127.0.0.1:0", "`ADDRESS` of the site; port 0 is a free one")
	cmd.Flags().DurationVar(&f.timeout, "timeout", farm.DefaultTimeout, "how long one build may take; the demo does not try again with more, as a farm does")
	cmd.Flags().BoolVar(&f.keep, "keep", false, "go on serving until Ctrl-C")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print the table as JSON")
	cmd.Flags().StringVar(&f.python, "python", "", "the interpreter to build with (default: the first that the build user can run)")
	cmd.Flags().StringVar(&f.upstream, "upstream", "", "the index to build from, `URL` of its simple/ (default: the one that pip here uses)")
	return cmd
}

// outliveTerminal lets the demo clean up when its terminal is closed, or when
// nobody reads any more what it says: both would otherwise end it on the spot. Its
// context ends with the terminal.
func outliveTerminal(ctx context.Context) (context.Context, func()) {
	unread := make(chan os.Signal, 1) // never read: it is enough that somebody listens
	signal.Notify(unread, syscall.SIGPIPE)
	release := func() { signal.Stop(unread) }
	if signal.Ignored(syscall.SIGHUP) { // nohup
		return ctx, release
	}
	ctx, closed := signal.NotifyContext(ctx, syscall.SIGHUP)
	return ctx, func() { closed(); release() }
}

// demoLogger is quiet unless asked: the demo's own lines tell what happens.
func demoLogger(cmd *cobra.Command) (zerolog.Logger, error) {
	if cmd.Flags().Changed("log-level") {
		return cli.Logger(cmd)
	}
	return logging.New(cmd.ErrOrStderr(), "error", true)
}

// item is one package on its way through the demo.
type item struct {
	asked   string // as the caller wrote it
	name    string
	version string // as asked; empty: the newest
	job     int64

	phase   phase
	why     string   // of a failure, in plain words
	tail    []string // the log's last lines
	wheel   string
	sha256  string
	build   float64 // seconds
	install float64 // seconds
}

func parseItems(args []string) ([]*item, error) {
	var items []*item
	seen := map[string]bool{}
	for _, a := range args {
		name, version, err := pep.ParsePin(a)
		if err == nil && version != "" {
			_, err = pep.ParseVersion(version)
		}
		if err != nil {
			return nil, cli.Usage("%s: %w", a, err)
		}
		key := normal(name) + "==" + version
		if seen[key] {
			continue
		}
		seen[key] = true
		items = append(items, &item{asked: a, name: name, version: version})
	}
	return items, nil
}

func (i *item) fail(why string, tail ...string) {
	i.phase, i.why, i.tail = phaseFailed, cli.OneLine(why), tail
}

func (i *item) ended() bool { return i.phase == phaseFailed || i.phase == phaseDone }

// inFarm says that the farm has not yet done its part.
func (i *item) inFarm() bool {
	return !i.ended() && i.phase != phaseBuilt && i.phase != phaseInstalling
}

// run is the demo from the first to the last step. What it made is gone when it
// returns, whatever ended it.
func (f demoFlags) run(ctx context.Context, cmd *cobra.Command, items []*item, log zerolog.Logger) (err error) {
	user := proc.BuildUser()
	view := newView(cmd.ErrOrStderr())
	py, passed, err := pip.Find(ctx, f.python, user)
	for _, p := range passed {
		view.line("passed over: " + p)
	}
	if err != nil {
		return stoppedByUser(ctx, err)
	}
	dir, err := demoDir(user)
	if err != nil {
		return err
	}
	defer func() {
		if gone := dir.Remove(); gone != nil && err == nil {
			err = fmt.Errorf("clean up: %w", gone)
		}
	}()
	d, err := startDemo(ctx, f, dir.Path, py, user, view, log)
	if err != nil {
		return stoppedByUser(ctx, err)
	}
	defer d.close()
	if err := d.follow(ctx, items); err != nil {
		return stoppedByUser(ctx, err)
	}
	if err := d.print(cmd.OutOrStdout(), items, f.asJSON); err != nil {
		return err
	}
	if f.keep {
		d.keep(ctx, items)
	}
	if failed(items) {
		return cli.ErrSilent
	}
	return nil
}

// stoppedByUser says in plain words that Ctrl-C ended the demo; it was not done,
// so the exit status is 1.
func stoppedByUser(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return errors.New("stopped; everything it started is ended and removed")
	}
	return err
}

func failed(items []*item) bool {
	for _, i := range items {
		if i.phase != phaseDone {
			return true
		}
	}
	return false
}

// demoDir is a folder that the database's and the builds' users can enter. What
// killed demos left goes when the next one makes its own.
func demoDir(user proc.User) (*proc.TempDir, error) {
	pg, err := proc.PostgresUser()
	if err != nil {
		return nil, err
	}
	return proc.NewTempDir("pinwheel-demo-", pg, user)
}

// target is what the demo's one slave builds for.
func (d *demo) target() farm.Target { return d.py.Target() }
