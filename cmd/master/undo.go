package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pinwheel/internal/cli"
	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

func newUndo() *cobra.Command {
	var set settings
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "undo AUDIT",
		Short: "Take a requeue, a priority, a skip, an unskip or a change of recipes back",
		Long: `undo takes back what requeue, skip, unskip, recipe or the monitor's key for a priority
did under the number AUDIT, which they print and history lists. Jobs that have not moved
since are exactly what they were; the others are left as they are, counted, and the first
of them named. It can be done once, and for 30 days. A recipe that was changed again since
is left alone, and the number of that change is named.`,
		Example: "  master undo 17",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			audit, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil || audit < 1 {
				return cli.Usage("%q is no number of the audit trail; `master history` lists them", args[0])
			}
			return visit(cmd, set, func(ctx context.Context, h *home, _ zerolog.Logger) error {
				u, err := h.Store.Undo(ctx, audit, actor(), fewNamed)
				if errors.Is(err, farm.ErrNotFound) {
					return fmt.Errorf("nothing was done under the number %d; `master history` lists what was", audit)
				}
				if err != nil {
					return err
				}
				if asJSON {
					return printUndoneJSON(cmd.OutOrStdout(), u)
				}
				printUndone(cmd.OutOrStdout(), u)
				return nil
			})
		},
	}
	set.stateFlag(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printUndoneJSON(out io.Writer, u store.Undone) error {
	return cli.JSON(out, map[string]any{
		"schema": 1, "audit": u.Audit, "undone": u.Of.ID, "action": u.Of.Action, "subject": u.Of.Subject, "jobs": u.Jobs,
		"recipes": undoneRecipes(u), "others": u.Others, "lifted": append([]store.Skip{}, u.Lifted...), "kept": append([]store.Skip{}, u.Kept...),
		"moved": u.Moved, "first": append([]store.JobRow{}, u.First...), "gone": u.Gone,
	})
}

// undoneRecipes are the recipes as they are again.
func undoneRecipes(u store.Undone) []changedRecipeText {
	list := []changedRecipeText{}
	for _, e := range u.Recipes {
		list = append(list, textOfEdit(e))
	}
	return list
}

func printUndone(out io.Writer, u store.Undone) {
	cli.Say(out, "%s of %s at %s is taken back: %s as before (audit %d)", u.Of.Action, u.Of.Actor,
		u.Of.At.Local().Format("2006-01-02 15:04"), counted(u.Jobs, "job is", "jobs are"), u.Audit)
	for _, e := range u.Recipes {
		said := "taken away"
		if e.After != nil {
			said = "again with " + strings.Join(recipeWords(e.After.Recipe), "; ")
		}
		cli.Say(out, "recipe %s: %s", e.Scope(), said)
	}
	if u.Others > 0 {
		cli.Say(out, "%s may end otherwise by that, and failed before: `master requeue` tries them again", counted(u.Others, "other job", "other jobs"))
	}
	for _, s := range u.Lifted {
		cli.Say(out, "not skipped any more: %s", skipped(s.Package, versionsIn(s), s.Target))
	}
	for _, s := range u.Kept {
		cli.Say(out, "skipped again: %s, as %s said: %s", skipped(s.Package, versionsIn(s), s.Target), s.Author, s.Reason)
	}
	var parts []string
	for _, state := range slices.Sorted(maps.Keys(u.Moved)) {
		parts = append(parts, fmt.Sprintf("%s %s", grouped(u.Moved[state]), state))
	}
	if u.Gone > 0 {
		parts = append(parts, grouped(u.Gone)+" removed")
	}
	if len(parts) == 0 {
		return
	}
	cli.Say(out, "moved on since, and left as they are: %s", strings.Join(parts, ", "))
	for _, j := range u.First {
		cli.Say(out, "%s %s %s: %s", j.Package, j.Version, j.Target, j.State)
	}
}
