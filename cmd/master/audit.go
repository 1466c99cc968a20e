package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pinwheel/internal/audit"
	"pinwheel/internal/cli"
	"pinwheel/internal/collect"
	"pinwheel/internal/depot"
	"pinwheel/internal/farm"
	"pinwheel/internal/publish"
	"pinwheel/internal/store"
	"pinwheel/internal/wheel"
)

func newAudit() *cobra.Command {
	var set settings
	var repair, full, asJSON bool
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Prove that database, depot and site agree",
		Long: `audit holds the database against itself, the depot's files and the site's files against
the database, and says what does not agree, a line each. It changes nothing, and a
master may run meanwhile. Exit status: 0 all agree, 1 something does not.

With --repair it makes them agree: it writes pages, links wheels anew, removes from
the site what no row asked for, and takes lost files of the depot back from the site
if those are good; a lost copy for armv6l is made again from its wheel. A file of the depot that no row names is taken out only when it is
a day old, since a file comes before its row, and is kept aside for one more day. What
cannot be mended is said to be lost, and the exit status is 1.`,
		Example: "  master audit --full\n  master audit --repair --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return visit(cmd, set, func(ctx context.Context, h *home, log zerolog.Logger) error {
				return runAudit(ctx, cmd, h, log, auditFlags{repair: repair, full: full, json: asJSON})
			})
		},
	}
	set.bind(cmd, "state-dir", "database-url", "depot-dir", "site-dir")
	cmd.Flags().BoolVar(&repair, "repair", false, "mend what can be mended")
	cmd.Flags().BoolVar(&full, "full", false, "read every byte of every file, not only names and sizes")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

type auditFlags struct{ repair, full, json bool }

func runAudit(ctx context.Context, cmd *cobra.Command, h *home, log zerolog.Logger, f auditFlags) error {
	bar := newProgress(cmd.ErrOrStderr())
	defer bar.clear()
	a, site, err := newAuditor(ctx, h, f, bar, log)
	if err != nil {
		return err
	}
	report, err := a.Check(ctx)
	if err != nil {
		return err
	}
	// What was found is said even when something stands in the way of mending it.
	var trouble error
	if f.repair && len(report.Findings) > 0 {
		report, trouble = a.Repair(ctx, site)
	}
	bar.clear()
	if err := printAudit(cmd.OutOrStdout(), report, f); err != nil {
		return err
	}
	if trouble == nil && report.Open() > 0 {
		return cli.ErrSilent
	}
	return trouble
}

// newAuditor makes nothing that is not there, unless it may repair.
func newAuditor(ctx context.Context, h *home, f auditFlags, bar *progress, log zerolog.Logger) (*audit.Auditor, audit.Site, error) {
	attended, err := h.Store.Attended(ctx)
	if err != nil {
		return nil, nil, err
	}
	open := depot.Look
	var site audit.Site
	if f.repair {
		open = depot.Open
		if site, err = h.publisher(bar, log); err != nil {
			return nil, nil, err
		}
	}
	files, err := open(h.set.DepotDir)
	if err != nil {
		return nil, nil, fmt.Errorf("%w; name the master's with --depot-dir", err)
	}
	return audit.New(audit.Config{
		Store: h.Store, Depot: files, SiteDir: h.set.SiteDir, Render: publish.Render, RenderRoot: publish.RenderRoot,
		Full: f.full, Attended: attended, Remake: remake(h.Store, files),
		Told: func(what string, done, all int64) {
			if all == 0 {
				bar.show("%d %s", done, what)
				return
			}
			bar.show("%d of %d %s", done, all, what)
		},
	}), site, nil
}

// remake makes a lost copy for armv6l again, from the wheel that it was made of.
func remake(st *store.Store, files *depot.Local) func(context.Context, farm.File) (bool, error) {
	return func(ctx context.Context, lost farm.File) (bool, error) {
		original, err := st.CopiedFrom(ctx, lost.Name)
		if errors.Is(err, farm.ErrNotFound) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if has, err := files.Has(original.SHA256, original.Size); err != nil || !has {
			return false, err
		}
		if err := files.Remove(lost.SHA256); err != nil { // a damaged one would be taken for it
			return false, err
		}
		made, err := collect.MakeCopy(ctx, depotForCollect{files}, original)
		if errors.Is(err, wheel.ErrNoCopy) {
			return false, nil // the original is damaged, which is a finding of its own
		}
		return err == nil && made.SHA256 == lost.SHA256, err
	}
}

func printAudit(out io.Writer, r audit.Report, f auditFlags) error {
	if f.json {
		return cli.JSON(out, map[string]any{"schema": 1, "agree": r.Open() == 0, "full": f.full, "packages": r.Packages,
			"files": r.Files, "young": r.Young, "pending": r.Pending, "findings": r.Findings})
	}
	for _, x := range r.Findings {
		mended := ""
		if x.Repaired {
			mended = " (repaired)"
		}
		cli.Say(out, "%s%s", cli.OneLine(x.String()), mended)
	}
	err := cli.Say(out, "%d packages, %d files in the depot: %s", r.Packages, r.Files, verdict(r))
	return err
}

func verdict(r audit.Report) string {
	switch open := r.Open(); {
	case len(r.Findings) == 0:
		return "all agree"
	case open == 0:
		return fmt.Sprintf("%d findings, all repaired", len(r.Findings))
	case open == len(r.Findings):
		return fmt.Sprintf("%d findings", open)
	default:
		return fmt.Sprintf("%d findings, %d of them repaired", len(r.Findings), len(r.Findings)-open)
	}
}
