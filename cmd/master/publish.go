package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pinwheel/internal/cli"
	"pinwheel/internal/depot"
	"pinwheel/internal/farm"
	"pinwheel/internal/pep"
	"pinwheel/internal/publish"
	"pinwheel/internal/store"
)

func newPublish() *cobra.Command {
	var set settings
	var all bool
	cmd := &cobra.Command{
		Use:   "publish [--all | PACKAGE...]",
		Short: "Write pages of the site again",
		Long: `publish writes the pages of the packages again, with --all those of the whole site, and
with neither what is to be written anyway. Pages that are as they should be are not
touched. A running master does the writing; publish then waits for it.`,
		Example: "  master publish --all\n  master publish markupsafe",
		RunE: func(cmd *cobra.Command, args []string) error {
			if all && len(args) > 0 {
				return cli.Usage("publish: either --all or packages")
			}
			names, err := packageNames(args)
			if err != nil {
				return err
			}
			return visit(cmd, set, func(ctx context.Context, h *home, log zerolog.Logger) error {
				if err := knownPackages(ctx, h.Store, names); err != nil {
					return err
				}
				bar := newProgress(cmd.ErrOrStderr())
				defer bar.clear()
				return publishNow(ctx, h, names, all, bar, log)
			})
		},
	}
	set.bind(cmd, "state-dir", "database-url", "depot-dir", "site-dir")
	cmd.Flags().BoolVar(&all, "all", false, "every page, and remove what no row names")
	return cmd
}

func packageNames(args []string) ([]string, error) {
	var names []string
	for _, a := range args {
		if !pep.ValidName(a) {
			return nil, cli.Usage("%q is not a package name", a)
		}
		names = append(names, pep.NormalizeName(a))
	}
	return names, nil
}

func knownPackages(ctx context.Context, st *store.Store, names []string) error {
	for _, name := range names {
		_, err := st.Page(ctx, name)
		if errors.Is(err, farm.ErrNotFound) {
			return fmt.Errorf("this farm has no package %s; `master add %s` adds it", name, name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// publishNow marks what is to be written, and lets the daemon write it or writes
// it itself. If a daemon begins meanwhile, both write: the site's locks let one
// after the other, and the second finds all as it should be.
func publishNow(ctx context.Context, h *home, names []string, all bool, bar *progress, log zerolog.Logger) error {
	attended, err := h.Store.Attended(ctx)
	if err != nil {
		return err
	}
	if attended && len(names) > 0 {
		err = h.Store.MarkStale(ctx, names)
	} else if attended && all {
		_, err = h.Store.MarkAllStale(ctx)
	}
	if err != nil {
		return err
	}
	if attended {
		return waiting{st: h.Store, names: names, bar: bar, stall: time.Minute, rootStall: 2 * time.Minute}.wait(ctx)
	}
	p, err := h.publisher(bar, log)
	if err != nil {
		return err
	}
	if all {
		return p.WriteAll(ctx)
	}
	if len(names) > 0 {
		err = h.Store.MarkStale(ctx, names)
	}
	return errors.Join(err, p.WriteStale(ctx, names...))
}

// publisher is for writing without a daemon.
func (h *home) publisher(bar *progress, log zerolog.Logger) (*publish.Publisher, error) {
	files, err := depot.Open(h.set.DepotDir)
	if err != nil {
		return nil, err
	}
	return publish.New(publish.Config{
		Store: h.Store, Depot: files, SiteDir: h.set.SiteDir, Log: log,
		Told: func(done, all int) { bar.show("%d of %d pages", done, all) },
	})
}

// waiting waits for pages that the daemon writes.
type waiting struct {
	st    *store.Store
	names []string // nil: all, and the root index
	bar   *progress

	stall     time.Duration // without a page being written: something is wrong
	rootStall time.Duration // the same when only the root index is left, which is up to a minute late
}

// wait returns when everything is written that is stale now. What becomes stale
// later is somebody else's: a busy farm always has such pages.
func (w waiting) wait(ctx context.Context) error {
	since, err := w.st.Now(ctx)
	if err != nil {
		return err
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var before store.Unwritten
	for moved := time.Now(); ; {
		left, err := w.st.Unwritten(ctx, w.names, since)
		if err != nil {
			return err
		}
		if left.Pages == 0 && !left.Root {
			return nil
		}
		if left.Pages != before.Pages || left.Root != before.Root {
			moved, before = time.Now(), left
		}
		if err := w.stalled(left, time.Since(moved)); err != nil {
			return err
		}
		w.show(left)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func (w waiting) show(left store.Unwritten) {
	if left.Pages > 0 {
		w.bar.show("%d pages left", left.Pages)
		return
	}
	w.bar.show("the root index is left: it is written once a minute")
}

func (w waiting) stalled(left store.Unwritten, d time.Duration) error {
	if left.Pages > 0 && d > w.stall {
		return fmt.Errorf("%d pages are not written (%s); the master's log says why", left.Pages, strings.Join(left.First, ", "))
	}
	if left.Pages == 0 && d > w.rootStall {
		return errors.New("the root index is not written; the master's log says why")
	}
	return nil
}
