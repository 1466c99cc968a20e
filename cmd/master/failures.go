package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pinwheel/internal/cli"
	"pinwheel/internal/store"
)

// failuresFlags are what a maintainer wrote.
type failuresFlags struct {
	sel    store.Selector
	limit  int
	asJSON bool
}

func newFailures() *cobra.Command {
	var set settings
	f := failuresFlags{limit: 6}
	var anew reclassifyFlags
	cmd := &cobra.Command{
		Use:   "failures",
		Short: "What has failed, by cause",
		Long: `failures groups the jobs that have failed by their cause and its detail, the largest
groups first: how many jobs they are, their share of all that have ended (built, failed,
or covered by another wheel), and how they came over the last fourteen days, today last;
"7 D" is the last seven days, and "BEFORE" the seven before. Below each stand what would
help, the targets, and the newest example with the command that prints its log.

With --reclassify it tells anew why jobs failed, by the rules as they are now, from the
excerpts that are kept of their logs: after a rule has changed, or to try one (--rules
FILE --dry-run). It prints how many went from which cause to which, and what the logs
say that no rule was written for. Words change, and no job is queued by it. Masters may run
meanwhile; what was done before it is interrupted stays, and is not done again.`,
		Example: `  master failures
  master failures --cause missing-header --limit 5
  master failures --reclassify --rules rules.tsv --dry-run`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if anew.reclassify || anew.dryRun {
				anew.json = f.asJSON
				return anew.run(cmd, set)
			}
			if f.asJSON && !cmd.Flags().Changed("limit") {
				f.limit = mostGroups
			}
			return visit(cmd, set, func(ctx context.Context, h *home, _ zerolog.Logger) error {
				return f.show(ctx, cmd, h.Store)
			})
		},
	}
	set.bind(cmd, "state-dir", "database-url", "rules")
	anew.bind(cmd)
	packageFlag(cmd, &f.sel.Package, "only failures of this package")
	targetFlag(cmd, &f.sel.Target, "only failures on this target")
	causeFlag(cmd, &f.sel.Cause, "only failures for this cause")
	limitFlag(cmd, &f.limit, mostGroups, "groups", "`NUMBER` of groups that are shown; with --json 1000, unless it is given")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print JSON")
	return cmd
}

// show prints the groups. That nothing is selected is a failure: a slip of the pen
// would else look like good news.
func (f *failuresFlags) show(ctx context.Context, cmd *cobra.Command, st *store.Store) error {
	if err := knownTarget(ctx, st, f.sel.Target); err != nil {
		return err
	}
	if f.sel.Package != "" {
		if _, err := knownPackage(ctx, st, f.sel.Package); err != nil {
			return err
		}
	}
	list, err := st.Failures(ctx, f.sel, f.limit)
	if err != nil {
		return err
	}
	if list.Failed == 0 && f.sel != (store.Selector{}) {
		return fmt.Errorf("no failed job matches%s, of %s that ended", given(cmd, "cause", "package", "target"), counted(list.Ended, "job", "jobs"))
	}
	if f.asJSON {
		return cli.JSON(cmd.OutOrStdout(), list)
	}
	printFailures(cmd.OutOrStdout(), list)
	return nil
}

// mostGroups is as many as anybody is told, and a program that asks for no number.
const mostGroups = 1000

// given are flags as they were given.
func given(cmd *cobra.Command, flags ...string) string {
	text := ""
	for _, name := range flags {
		if f := cmd.Flags().Lookup(name); f.Changed {
			text += " --" + name + " " + quoted(f.Value.String())
		}
	}
	return text
}

func printFailures(out io.Writer, f store.Failures) {
	t := teller{out: out, wide: tableWidth(out)}
	if f.Failed == 0 {
		t.line("nothing has failed, of %s that ended", counted(f.Ended, "job", "jobs"))
		return
	}
	t.line("%s of %s that ended failed (%s)", grouped(f.Failed), counted(f.Ended, "job", "jobs"), percent(f.Failed, f.Ended))
	t.line("%9s %7s  %-14s %7s %7s  %s", "JOBS", "SHARE", "LAST 14 DAYS", "7 D", "BEFORE", "CAUSE")
	t.line("%9s %7s  %s %7s %7s  %s", grouped(f.Failed), percent(f.Failed, f.Ended), bars(f.Days), grouped(f.Week), grouped(f.Before), "all")
	for _, g := range f.Groups {
		t.group(g, f.Ended)
	}
	if f.Others > 0 {
		t.line("and %s; --limit shows more", counted(f.Others, "smaller group", "smaller groups"))
	}
}

// group is a line of the table, and below it what one wants to know next.
func (t teller) group(g store.FailureGroup, ended int64) {
	what, detail := string(g.Cause), cli.OneLine(g.Detail)
	const left = 52 // of the columns before it
	beside := detail != "" && left+len(what)+2+len([]rune(detail)) <= cmp.Or(t.wide, 80)
	switch {
	case beside:
		what, detail = what+": "+detail, ""
	case t.wide > 0 && left+len(what) > t.wide: // a cause that is cut says nothing
		what, detail = "", strings.Join(named("", what, "", detail), ": ")
	}
	t.line("%9s %7s  %s %7s %7s  %s", grouped(g.Jobs), percent(g.Jobs, ended), bars(g.Days), grouped(g.Week), grouped(g.Before), what)
	if detail != "" {
		t.folded(11, detail)
	}
	t.folded(11, strings.Join(named("hint:", cli.OneLine(g.Hint), "", onTargets(g)), "; "))
	x := g.Example
	example := fmt.Sprintf("such as %s %s on %s", x.Package, x.Version, x.Target)
	if x.Build > 0 {
		example += fmt.Sprintf(": master log %d", x.Build)
	}
	t.folded(11, example)
}

// onTargets says where a group failed.
func onTargets(g store.FailureGroup) string {
	var parts []string
	names := byRank(slices.Collect(maps.Keys(g.Targets)))
	if len(names) == 1 {
		return "all on " + names[0]
	}
	heads, platform := shortened(names)
	for i, name := range names {
		parts = append(parts, fmt.Sprintf("%s on %s", grouped(g.Targets[name]), heads[i]))
	}
	if platform != "" {
		platform = " of " + platform
	}
	return strings.Join(parts, ", ") + platform
}

// named joins labels and values, those that are there.
func named(pairs ...string) (out []string) {
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			out = append(out, strings.TrimSpace(pairs[i]+" "+pairs[i+1]))
		}
	}
	return out
}

func percent(part, of int64) string {
	if of == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(part)/float64(of))
}
