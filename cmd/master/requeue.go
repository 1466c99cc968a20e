package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pinwheel/internal/cli"
	"pinwheel/internal/farm"
	"pinwheel/internal/pep"
	"pinwheel/internal/store"
)

// requeueFlags are what a maintainer wrote.
type requeueFlags struct {
	sel                      store.Selector
	match, since             string
	priority                 farm.Priority
	fullLogs, dryRun, asJSON bool
}

func newRequeue() *cobra.Command {
	var set settings
	f := requeueFlags{priority: farm.PriorityOperator}
	cmd := &cobra.Command{
		Use:   "requeue SELECTORS",
		Short: "Send failed jobs back to the queue",
		Long: `requeue sends the jobs back to the queue that all selectors pick: those that have
failed and, of a --package, without --failed, --cause and --match, those that were told
to wait. They are moved at once or not at all; the number that is printed takes them back (undo).
--dry-run shows the same and changes nothing.

--match searches the excerpt that is kept of the log of each job's newest build, in
RE2's syntax, where ^ and $ are the ends of lines; with --full-logs, the whole logs, which
are read from the depot one after the other. --since takes a duration such as 36h
or a day such as 2026-01-31, and picks what failed since then.

Left alone, and counted, are jobs of what the upstream holds back, of what a maintainer
skipped, and of retired targets. A built job is refused: its wheel is published, and a
published file never changes. Many jobs at once are better sent with --priority backlog:
else they go before every new release.`,
		Example: `  master requeue --package lxml --version 5.2.1
  master requeue --cause missing-header --match 'ffi\.h' --dry-run
  master requeue --failed --slave pi-07 --since 36h --priority backlog`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			wish, search, err := f.wish(time.Now())
			if err != nil {
				return err
			}
			wish.Words = selectorWords(cmd)
			return visit(cmd, set, func(ctx context.Context, h *home, _ zerolog.Logger) error {
				if f.fullLogs {
					return f.inLogs(ctx, cmd, h, wish)
				}
				return requeue(ctx, cmd, h.Store, wish, search, f.asJSON)
			})
		},
	}
	set.bind(cmd, "state-dir", "database-url", "depot-dir")
	f.bind(cmd)
	return cmd
}

func (f *requeueFlags) bind(cmd *cobra.Command) {
	flags := cmd.Flags()
	packageFlag(cmd, &f.sel.Package, "jobs of this package")
	versionFlag(cmd, &f.sel.Version, "jobs of this version")
	targetFlag(cmd, &f.sel.Target, "jobs on this target")
	flags.BoolVar(&f.sel.Failed, "failed", false, "only jobs that have failed")
	causeFlag(cmd, &f.sel.Cause, "only jobs that failed for this cause")
	textFlag(cmd, &f.match, "match", "only failed jobs whose excerpt of the log matches this `REGEX`")
	flags.BoolVar(&f.fullLogs, "full-logs", false, "with --match: search the whole logs")
	slaveFlag(cmd, &f.sel.Slave, "jobs whose newest build was this slave's")
	textFlag(cmd, &f.since, "since", "jobs that failed since this `TIME`: 36h, or 2026-01-31")
	priorityFlag(cmd, &f.priority, "of the jobs: operator, new, wanted or backlog")
	flags.BoolVar(&f.dryRun, "dry-run", false, "change nothing, and show what would be")
	flags.BoolVar(&f.asJSON, "json", false, "print JSON")
}

// inLogs is requeue by what the whole logs say.
func (f *requeueFlags) inLogs(ctx context.Context, cmd *cobra.Command, h *home, wish store.Requeue) error {
	logs, err := openLogs(h.set.DepotDir, f.match)
	if err != nil {
		return err
	}
	err = requeue(ctx, cmd, h.Store, wish, logs.match, f.asJSON)
	return cmp.Or(logs.tell(cmd.ErrOrStderr()), err)
}

// fewNamed is how many jobs are named of those that are moved.
const fewNamed = 10

// wish reads the flags; what is wrong with them is wrong use.
func (f *requeueFlags) wish(now time.Time) (store.Requeue, matcher, error) {
	w := store.Requeue{Selector: f.sel, Priority: f.priority, DryRun: f.dryRun, Actor: actor(), Few: fewNamed}
	if f.sel == (store.Selector{}) && f.match == "" && f.since == "" {
		return w, nil, cli.Usage("requeue: name at least one of --package, --version, --target, --failed, --cause, --match, --slave, --since")
	}
	var err error
	if w.Since, err = parseSince(f.since, now); err != nil {
		return w, nil, cli.Usage("--since %w", err)
	}
	if f.match == "" {
		if f.fullLogs {
			return w, nil, cli.Usage("requeue: --full-logs goes with --match")
		}
		return w, nil, nil
	}
	w.Failed = true // of what did not fail, nothing is to be searched
	search, err := excerpts(f.match)
	if err != nil {
		return w, nil, cli.Usage("--match %w", err)
	}
	return w, search, nil
}

// parseSince reads how long ago, or since which day.
func parseSince(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	at, err := time.ParseInLocation("2006-01-02", s, now.Location())
	if d, bad := time.ParseDuration(s); bad == nil {
		at, err = now.Add(-d), nil
	}
	switch {
	case err != nil:
		return at, fmt.Errorf("%q: want a duration such as 36h or 90m, or a day such as 2026-01-31", s)
	case at.After(now):
		return at, fmt.Errorf("%q is yet to come: want a time that is past", s)
	}
	return at, nil
}

// selectors are the flags that say which jobs are meant, and what becomes of them.
func selectors() []string {
	return []string{"cause", "failed", "full-logs", "match", "package", "priority", "since", "slave", "target", "version"}
}

// selectorWords are the selectors as they were given, for the audit trail.
func selectorWords(cmd *cobra.Command) string {
	var words []string
	for _, name := range selectors() {
		switch f := cmd.Flags().Lookup(name); {
		case f == nil || !f.Changed:
		case f.Value.Type() == "bool":
			words = append(words, "--"+name)
		default:
			words = append(words, "--"+name+" "+quoted(f.Value.String()))
		}
	}
	return strings.Join(words, " ")
}

// quoted is a word as a shell reads it.
func quoted(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.:/=,", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func requeue(ctx context.Context, cmd *cobra.Command, st *store.Store, wish store.Requeue, search matcher, asJSON bool) error {
	if err := knownSelectors(ctx, st, &wish.Selector); err != nil {
		return err
	}
	if search != nil {
		bar := newProgress(cmd.ErrOrStderr())
		defer bar.clear()
		ids, err := matching(ctx, st, wish.Selector, search, bar)
		if err != nil {
			return err
		}
		if len(ids) == 0 {
			return fmt.Errorf("no failed job matches %s", wish.Words)
		}
		wish.Jobs = ids
	}
	r, err := st.Requeue(ctx, wish)
	if err != nil {
		return err
	}
	if r.Jobs == 0 {
		return refusal(ctx, st, wish, r.Left)
	}
	if asJSON {
		return printRequeuedJSON(cmd.OutOrStdout(), wish, r)
	}
	return printRequeued(cmd.OutOrStdout(), wish, r)
}

// knownSelectors refuses a slave, a target, a package or a version of it that the farm
// does not have: a slip of the pen would else look like good news. A version is put as
// the package's releases have it.
func knownSelectors(ctx context.Context, st *store.Store, sel *store.Selector) error {
	if sel.Slave != "" {
		if _, err := st.Slave(ctx, sel.Slave); err != nil {
			return unknownSlave(err, sel.Slave)
		}
	}
	if err := knownTarget(ctx, st, sel.Target); err != nil || sel.Package == "" {
		return err
	}
	known, err := knownPackage(ctx, st, sel.Package)
	if err != nil || sel.Version == "" {
		return err
	}
	for _, r := range known.Releases {
		if r.Raw == sel.Version || sameVersion(r.Version, sel.Version) {
			sel.Version = r.Version
			return nil
		}
	}
	return noVersion(sel.Package, sel.Version)
}

// sameVersion says whether two spellings are of one version (PEP 440).
func sameVersion(a, b string) bool {
	v, errV := pep.ParseVersion(a)
	w, errW := pep.ParseVersion(b)
	return a == b || errV == nil && errW == nil && v.Equal(w)
}

// refusal says why nothing was requeued.
func refusal(ctx context.Context, st *store.Store, wish store.Requeue, left []store.LeftGroup) error {
	if len(left) > 0 {
		var words []string
		for _, g := range left {
			words = append(words, counted(g.Jobs, "job", "jobs")+" left alone: "+g.Reason)
		}
		return errors.New("nothing is queued: " + strings.Join(words, "; "))
	}
	narrow := wish.OnlyFailed() || wish.Slave != "" || !wish.Since.IsZero()
	if wish.Package == "" || narrow {
		return fmt.Errorf("no job matches %s; `master failures` lists what failed", wish.Words)
	}
	jobs, err := st.Jobs(ctx, wish.Selector)
	if err != nil {
		return err
	}
	if len(jobs) == 0 {
		return fmt.Errorf("no job matches %s; `master why %s` tells what there is", wish.Words, wish.Package)
	}
	if len(jobs) > 1 {
		return fmt.Errorf("there is nothing to queue: of %s %s; `master why %s` tells of each", counted(int64(len(jobs)), "job", "jobs"), standing(jobs), wish.Package)
	}
	j := jobs[0]
	switch j.State {
	case farm.Built:
		return fmt.Errorf("%s %s on %s is built: its wheel is published, and a published file never changes", j.Package, j.Version, j.Target)
	case farm.Queued, farm.Leased:
		return fmt.Errorf("%s %s on %s is %s already", j.Package, j.Version, j.Target, j.State)
	}
	return fmt.Errorf("%s %s on %s is %s: %s", j.Package, j.Version, j.Target, j.State, j.Reason)
}

// standing counts jobs by their state, the commonest first, with the reason if all in
// it have the same.
func standing(jobs []store.JobRow) string {
	count, reason := map[farm.State]int64{}, map[farm.State]string{}
	for _, j := range jobs {
		if count[j.State]++; count[j.State] > 1 && reason[j.State] != j.Reason {
			j.Reason = ""
		}
		reason[j.State] = j.Reason
	}
	states := slices.SortedFunc(maps.Keys(count), func(a, b farm.State) int {
		return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(a, b))
	})
	var parts []string
	for _, s := range states {
		text := grouped(count[s]) + " " + map[bool]string{true: "is ", false: "are "}[count[s] == 1] + string(s)
		if reason[s] != "" {
			text += " (" + cli.OneLine(reason[s]) + ")"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}
