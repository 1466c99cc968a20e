package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pinwheel/internal/cli"
	"pinwheel/internal/dispatch"
	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

func newQueue() *cobra.Command {
	var set settings
	var target string
	limit := 10
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "queue",
		Short: "What is built now, and what is next and why",
		Long: `queue shows for each target what slaves build now, and the jobs that are next, in the
order in which they are given to slaves: by priority, the newest release first. A job of a
project that has as many builds under way as it may is passed over until one ends. Those
that are to wait, after a fault of a slave or of the upstream, are shown below with their
time, of the first ` + grouped(store.QueueWindow) + `. Jobs that no live slave takes are counted above, with what
keeps them.`,
		Example: "  master queue --target cp311-linux_armv7l --limit 30",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return visit(cmd, set, func(ctx context.Context, h *home, _ zerolog.Logger) error {
				if err := knownTarget(ctx, h.Store, target); err != nil {
					return err
				}
				list, err := h.Store.Queue(ctx, target, limit)
				if err != nil {
					return err
				}
				if asJSON {
					return cli.JSON(cmd.OutOrStdout(), map[string]any{"schema": 1, "queue": list})
				}
				most, err := projectLeases(ctx, h.Store)
				if err != nil {
					return err
				}
				v := queueView{teller: newTeller(cmd.OutOrStdout()), most: most}
				v.print(list)
				return nil
			})
		},
	}
	set.stateFlag(cmd)
	targetFlag(cmd, &target, "only this target")
	limitFlag(cmd, &limit, store.QueueWindow, "jobs", "`NUMBER` of jobs that are shown of each target")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// projectLeases is how many builds of one project the daemon that ran last lets be
// at once.
func projectLeases(ctx context.Context, st *store.Store) (int, error) {
	text, err := st.Settled(ctx, store.LeasesSetting)
	if err != nil {
		return 0, err
	}
	if n, err := strconv.Atoi(text); err == nil && n > 0 {
		return n, nil
	}
	return dispatch.DefaultProjectLeases, nil
}

// settleViews keeps what those commands show that look at the database alone.
func (m *Master) settleViews(ctx context.Context) error {
	if err := m.Store.Settle(ctx, store.SiteSetting, m.URL); err != nil {
		return err
	}
	return m.Store.Settle(ctx, store.LeasesSetting, strconv.Itoa(m.Settings.ProjectLeases))
}

type queueView struct {
	teller
	most int // builds of one project at once
}

func (v queueView) print(list []store.QueueOf) {
	if len(list) == 0 {
		v.line("this farm has no target; `master target add` makes one")
	}
	for i, q := range list {
		if i > 0 {
			v.line("")
		}
		v.line("%s: %s queued, %s under way", q.Target, atMost(q.Queued), counted(int64(len(q.Leased)), "build", "builds"))
		if q.Retired {
			v.folded(2, fmt.Sprintf("the target is retired: nobody is given its jobs; `master target add %s` brings it back", q.Target))
		}
		for _, u := range q.Unserved {
			v.folded(2, unservedWords(u, ""))
		}
		if rows := v.rows(q); len(rows) > 0 {
			v.table(columns("  WHEN", "WHAT", "RELEASED", "WHY"), rows)
		}
	}
}

// rows are what is built, what is next and what is to wait.
func (v queueView) rows(q store.QueueOf) (rows [][]string) {
	for _, l := range q.Leased {
		rows = append(rows, []string{"  now", l.Package + " " + l.Version, "", "on " + l.Slave + ", for " + span(v.now.Sub(l.Since))})
	}
	row := func(when string, j store.QueueRow) {
		rows = append(rows, []string{"  " + when, j.Package + " " + j.Version, j.Released.Local().Format("2006-01-02"), v.reason(j)})
	}
	for n, j := range q.Next {
		row(strconv.Itoa(n+1), j)
	}
	for _, j := range q.Later {
		row("in "+short(j.Begins.Sub(v.now)), j)
	}
	return rows
}

// reason says why a job stands where it does.
func (v queueView) reason(j store.QueueRow) string {
	why := priorityWords(j.Priority)
	if j.Faults > 0 {
		why += ", after " + counted(int64(j.Faults), "fault", "faults")
	}
	if j.Memory > 0 {
		why += ", needs a slave with " + gigabytes(j.Memory)
	}
	if len(j.Packages) > 0 {
		why += ", needs " + strings.Join(j.Packages, " ") + " there"
	}
	if v.most > 0 && j.Leases >= v.most {
		why = fmt.Sprintf("passed over, %d of its project are built now; ", j.Leases) + why
	}
	const broad = 100 // columns; on a narrow terminal it would fill a line more
	if v.wide == 0 || v.wide >= broad {
		why += ", queued " + v.ago(j.Since)
	}
	return why
}

func priorityWords(p farm.Priority) string {
	switch p {
	case farm.PriorityOperator:
		return "an operator asked for it"
	case farm.PriorityNew:
		return "a new release"
	case farm.PriorityWanted:
		return "wanted, and no wheel"
	case farm.PriorityBacklog:
		return "backlog"
	case farm.PriorityUpstream:
		return "last, the upstream has a wheel"
	case farm.PriorityYanked:
		return "last, it is yanked"
	case farm.PriorityLast:
		return "last of all, it took too long once"
	}
	return p.Word()
}

// short is a duration in its largest unit.
func short(d time.Duration) string {
	switch d = max(d, 0); {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d d", d/(24*time.Hour))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	case d >= 2*time.Minute:
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return fmt.Sprintf("%d s", d/time.Second)
}
