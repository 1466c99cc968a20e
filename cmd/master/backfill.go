package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pinwheel/internal/cli"
	"pinwheel/internal/ingest"
	"pinwheel/internal/service"
	"pinwheel/internal/store"
)

func newBackfill() *cobra.Command {
	b := &backfill{tick: time.Second}
	cmd := &cobra.Command{
		Use:   "backfill",
		Short: "Queue everything that the upstream has",
		Long: `backfill compares the upstream's list of names with what the farm knows, reads every
project that is new or has changed, and queues its releases. With --from it reads the
names of a file instead, one on a line; what stands after a # is a comment.

A running master does the work, beside the events that it follows, and backfill shows
how far it is; without one it does the work itself. It may be interrupted and killed at
any time: the same command goes on where it was, and so does a master that starts.
What could not be read is tried again by the master, in its own time.`,
		Example: "  master backfill\n  master backfill --from names.txt\n  master backfill --no-wait",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b.out, b.view = cmd.OutOrStdout(), newFillView(cmd.ErrOrStderr())
			if err := b.prepare(cmd.InOrStdin()); err != nil {
				return err
			}
			return visit(cmd, b.set, b.run)
		},
	}
	b.set.bind(cmd, "state-dir", "database-url", "upstream", "ingest-requests", "ingest-json", "ingest-contact")
	cmd.Flags().StringVar(&b.from, "from", "", "read the names of `FILE` only, - is stdin")
	cmd.Flags().BoolVar(&b.noWait, "no-wait", false, "leave the work to the master, and do not wait for it")
	cmd.Flags().BoolVar(&b.asJSON, "json", false, "print one JSON object at the end")
	return cmd
}

// backfill is one run of the command.
type backfill struct {
	set            settings
	from           string
	noWait, asJSON bool
	tick           time.Duration // between two looks at how far it is
	out            io.Writer
	view           *fillView

	names    []string // of --from
	bad      int      // lines of --from that are no names
	upstream string
	st       *store.Store
	log      zerolog.Logger
	walk     int64 // without --from
	attended bool  // a master does the work
	now      fillState
	followed int64 // names of --from that the farm follows already
}

// prepare refuses what cannot be meant, before anything is opened.
func (b *backfill) prepare(stdin io.Reader) error {
	if err := b.set.check(); err != nil {
		return err
	}
	if b.set.Requests < 1 || b.set.Requests > mostRequests {
		return cli.Usage("--ingest-requests %d: want 1 to %d", b.set.Requests, mostRequests)
	}
	if b.from == "" {
		return nil
	}
	list, err := readNames(b.from, stdin)
	if err != nil {
		return cli.Usage("--from: %w", err)
	}
	b.names, b.bad = list.names, list.bad
	if len(b.names) == 0 {
		if list.bad == 0 {
			return cli.Usage("--from %s: it names no project; want one name on a line", b.from)
		}
		return cli.Usage("--from %s: no line of it is the name of a project, the first is %s", b.from, list.troubles[0])
	}
	for _, text := range list.troubles {
		b.view.say("%s", text)
	}
	if more := list.bad - len(list.troubles); more > 0 {
		b.view.say("and %s more lines that are no names", grouped(int64(more)))
	}
	return nil
}

func (b *backfill) run(ctx context.Context, h *home, log zerolog.Logger) (err error) {
	b.st, b.log = h.Store, b.view.logger(log)
	defer b.view.clear()
	if b.upstream, err = farmsUpstream(ctx, b.st, b.set); err != nil {
		return err
	}
	if b.attended, err = b.st.Attended(ctx); err != nil {
		return err
	}
	if err := b.ask(ctx); err != nil {
		return err
	}
	if b.noWait {
		return b.leave()
	}
	working, end := context.WithCancel(ctx)
	defer end()
	err = service.RunAll(working,
		service.Part{Name: "backfill", Run: b.work},
		service.Part{Name: "backfill", Run: func(ctx context.Context) error {
			err := b.watch(ctx)
			if err == nil {
				end() // the only good end of both
			}
			return err
		}},
	)
	b.view.clear()
	if err == nil {
		err = ctx.Err()
	}
	if err != nil && ctx.Err() != nil {
		return b.interrupted()
	}
	if err != nil {
		return err
	}
	return b.report(context.WithoutCancel(ctx))
}

// ask puts what is wanted where every master finds it: nothing that comes after it
// can forget it.
func (b *backfill) ask(ctx context.Context) error {
	if b.from != "" {
		wanted, err := b.st.Want(ctx, b.names, actor())
		if err != nil {
			return err
		}
		b.now = fillState{listed: int64(len(b.names)), chosen: wanted.Chosen, begun: true}
		b.followed = wanted.Followed
		return nil
	}
	w, err := b.st.AskWalk(ctx, ingest.WalkBackfill, actor())
	if err != nil {
		return err
	}
	b.walk = w.ID
	if age := time.Since(w.Began); age > time.Minute || w.Listed != nil {
		b.view.say("going on with the backfill that began %s ago", span(age))
	}
	return nil
}

// leave ends a command that waits for nothing.
func (b *backfill) leave() error {
	if b.asJSON {
		return cli.JSON(b.out, b.result(nil))
	}
	who := "a running master does it"
	if !b.attended {
		who = "it begins when a master runs"
	}
	cli.Say(b.out, "asked for; %s, and `master status` says how far it is", who)
	return nil
}

// work reads from the upstream for as long as no master does.
func (b *backfill) work(ctx context.Context) error {
	for ctx.Err() == nil {
		attended, err := b.st.Attended(ctx)
		if err == nil && !attended {
			if err := b.workAlone(ctx); err != nil {
				return err
			}
		}
		service.Sleep(ctx, b.tick) // a database that is away is told of by the watch
	}
	return ctx.Err()
}

// workAlone follows quietly until a master begins to attend: that one must not
// wait for hours behind us, for it hears the events.
func (b *backfill) workAlone(ctx context.Context) error {
	cfg, err := b.followConfig(ctx)
	if err != nil {
		return err
	}
	working, end := context.WithCancel(ctx)
	defer end()
	return service.RunAll(working,
		service.Part{Name: "follow", Run: ingest.NewFollower(cfg).Run},
		service.Part{Name: "attended", Run: func(ctx context.Context) error {
			for service.Sleep(ctx, b.tick) {
				if attended, err := b.st.Attended(ctx); err == nil && attended {
					end()
				}
			}
			return ctx.Err()
		}},
	)
}

// followConfig follows as the farm's master does. Its policy is not asked for
// again: another one would have all jobs planned anew, and back when serve starts.
func (b *backfill) followConfig(ctx context.Context) (ingest.FollowConfig, error) {
	at, err := b.st.Following(ctx)
	if err != nil {
		return ingest.FollowConfig{}, err
	}
	cfg := b.set.following(b.st, b.upstream, b.log)
	cfg.Quiet = true
	if policy, ok := ingest.PlannedPolicy(at.Fingerprint); ok {
		cfg.Policy = policy
	}
	return cfg, nil
}

// interruption is the end that a signal made, in words of its own.
type interruption struct{ error }

func (b *backfill) interrupted() error {
	goes := "nothing is lost, the same command goes on"
	if b.attended {
		goes = "the master goes on, the same command shows how far it is"
	}
	if !b.now.begun {
		return interruption{errors.New("interrupted while the list of names was read; " + goes)}
	}
	return interruption{fmt.Errorf("interrupted with %s of %s read; %s", grouped(b.now.read()), projects(b.now.chosen), goes)}
}
