package main

import (
	"io"

	"pinwheel/internal/cli"
	"pinwheel/internal/store"
)

func printRequeuedJSON(out io.Writer, wish store.Requeue, r store.Requeued) error {
	return cli.JSON(out, map[string]any{
		"schema": 1, "audit": r.Audit, "dry_run": wish.DryRun, "priority": wish.Priority, "jobs": r.Jobs, "forgot_memory": r.Forgot,
		"by": append([]store.MovedGroup{}, r.By...), "first": append([]store.JobRow{}, r.First...), "left": append([]store.LeftGroup{}, r.Left...),
	})
}

// printRequeued tells the same of a dry run and of a real one.
func printRequeued(out io.Writer, wish store.Requeue, r store.Requeued) error {
	jobs := counted(r.Jobs, "job", "jobs")
	if wish.DryRun {
		cli.Say(out, "%s would be queued, with the priority %s; this was a dry run", jobs, wish.Priority.Word())
	} else {
		cli.Say(out, "%s queued, with the priority %s; `master undo %d` takes it back", jobs, wish.Priority.Word(), r.Audit)
	}
	var groups [][]string
	for _, g := range r.By {
		cause := string(g.Cause)
		if cause == "" {
			cause = "told to wait"
		}
		groups = append(groups, []string{grouped(g.Jobs), cause, g.Target})
	}
	t := newTeller(out)
	t.line("")
	t.table(columns(">JOBS", "CAUSE", "TARGET"), groups)
	t.line("")
	for _, j := range r.First {
		cli.Say(out, "%s %s %s", j.Package, j.Version, j.Target)
	}
	if more := r.Jobs - int64(len(r.First)); more > 0 {
		cli.Say(out, "and %s more", grouped(more))
	}
	if r.Forgot > 0 {
		cli.Say(out, "of %s what builds taught that they need of memory is forgotten", counted(r.Forgot, "job", "jobs"))
	}
	for _, g := range r.Left {
		cli.Say(out, "left alone: %s; %s", counted(g.Jobs, "job", "jobs"), g.Reason)
	}
	return nil
}
