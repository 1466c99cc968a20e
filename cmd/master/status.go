package main

import (
	"context"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pinwheel/internal/cli"
	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

func newStatus() *cobra.Command {
	var set settings
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "The farm now: the upstream, jobs by target and state, wheels, slaves",
		Long: `status counts what the database holds: packages, releases and wheels, the jobs of
each target by state, the pages still to be written, and says of each slave when it
was last heard and what it does. Where counting takes long, it prints what the
master counted last, and how long ago. Below that it names the queued jobs that no
live slave takes, what keeps them, and what to do.

Of the upstream it tells how changes are heard of and when it last answered, what is
still to be read from it, which walks over its names are under way, and what it did
wrong. "no event source" means that nothing there says what changed.`,
		Example: "  master status\n  master status --json --state-dir /var/lib/pinwheel",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return visit(cmd, set, func(ctx context.Context, h *home, _ zerolog.Logger) error {
				st, err := h.Store.Status(ctx)
				if err != nil {
					return err
				}
				if asJSON {
					return cli.JSON(cmd.OutOrStdout(), st)
				}
				printStatus(cmd.OutOrStdout(), st)
				return nil
			})
		},
	}
	set.stateFlag(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printStatus(out io.Writer, st store.Status) {
	t := newTeller(out)
	t.line("%s, %s, %s (%.1f MB), %s to write", counted(st.Packages, "package", "packages"), counted(st.Releases, "release", "releases"),
		counted(st.Wheels, "wheel", "wheels"), float64(st.WheelBytes)/1e6, counted(st.StalePages, "page", "pages"))
	if st.Counted != nil {
		t.line("counted %s; only the slaves, the pages and what is said of the upstream are of now", t.ago(*st.Counted))
	}
	t.upstream(st.UpstreamStatus)
	t.line("")
	t.jobs(st.Jobs)
	if st.NotYet > 0 {
		t.line("")
		t.folded(0, grouped(st.NotYet)+" of the waiting wait for a wheel of a build requirement")
	}
	t.unserved(st.Unserved)
	t.line("")
	var rows [][]string
	for _, s := range st.Slaves {
		if s.Role == farm.RoleSlave && !s.Revoked { // the others have nothing to do
			rows = append(rows, []string{s.Name, ago(s.LastSeen), slaveDoing(s)})
		}
	}
	t.table(columns("SLAVE", "LAST SEEN", "DOING"), rows)
}

// jobs counts them by target and state. Of several targets the last line is the sum.
func (t teller) jobs(jobs map[string]map[string]int64) {
	heads, sums := []string{"TARGET"}, map[string]int64{}
	for _, s := range farm.States() {
		heads = append(heads, ">"+string(s))
	}
	line := func(name string, of map[string]int64) []string {
		cells := []string{name}
		for _, s := range farm.States() {
			cells = append(cells, grouped(of[string(s)]))
			sums[string(s)] += of[string(s)]
		}
		return cells
	}
	names := byRank(slices.Collect(maps.Keys(jobs)))
	var rows [][]string
	for _, name := range names {
		rows = append(rows, line(name, jobs[name]))
	}
	if len(names) > 1 {
		rows = append(rows, line("all", maps.Clone(sums)))
	}
	if short, platform := shortened(names); t.wide > 0 && platform != "" && tableWide(heads, rows) > t.wide {
		heads[0] = "ON " + strings.ToUpper(platform)
		for i, name := range short {
			rows[i][0] = name
		}
	}
	t.table(columns(heads...), rows)
}

// tableWide is how many columns of a terminal a table takes.
func tableWide(heads []string, rows [][]string) (sum int) {
	for i, head := range heads {
		wide := length(strings.TrimPrefix(head, ">"))
		for _, row := range rows {
			wide = max(wide, length(row[i]))
		}
		sum += wide + gap
	}
	return sum - gap
}

func ago(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return time.Since(*t).Round(time.Second).String() + " ago"
}
