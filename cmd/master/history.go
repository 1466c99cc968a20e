package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pinwheel/internal/cli"
	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

func newHistory() *cobra.Command {
	var set settings
	limit := 20
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "history",
		Short: "What people changed, the newest first",
		Long: `history prints the audit trail: the number of each change, when and by whom it was
made, what it was, and how much it moved. Of requeue, priority, skip, unskip and recipe
the number is what undo takes. Long lists are counted; --json has them whole.`,
		Example: "  master history --limit 5",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return visit(cmd, set, func(ctx context.Context, h *home, _ zerolog.Logger) error {
				notes, err := h.Store.History(ctx, limit, asJSON)
				if err != nil {
					return err
				}
				if asJSON {
					return cli.JSON(cmd.OutOrStdout(), map[string]any{"schema": 1, "history": append([]store.Note{}, notes...)})
				}
				printHistory(cmd.OutOrStdout(), notes)
				return nil
			})
		},
	}
	set.stateFlag(cmd)
	limitFlag(cmd, &limit, mostChanges, "changes", "`NUMBER` of changes that are shown")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// mostChanges is more than people read, and no more than fits into memory.
const mostChanges = 100_000

func printHistory(out io.Writer, notes []store.Note) {
	t := newTeller(out)
	var rows [][]string
	for _, n := range notes {
		what := n.Action + " " + n.Subject + keptScope(n)
		if n.Undone > 0 {
			what += fmt.Sprintf(" (undone by %d)", n.Undone)
		}
		if much := howMuch(n); much != "" {
			what += ": " + much
		}
		rows = append(rows, []string{fmt.Sprint(n.ID), n.At.Local().Format("2006-01-02 15:04"), n.Actor, what})
	}
	t.table(columns(">AUDIT", "WHEN", "WHO", "WHAT"), rows)
}

// howMuch writes the detail of a change in one line: how many jobs first, then what
// else is counted or said.
func howMuch(n store.Note) string {
	if job, ok := n.Detail["version"].(string); ok && n.Action == "abort" {
		return fmt.Sprintf("%v %s on %v", n.Detail["package"], job, n.Detail["target"])
	}
	parts := editsText(n.Detail["edits"])
	if jobs, ok := n.Detail["jobs"].(float64); ok && (jobs > 0 || len(n.Detail) == 1) {
		parts = append(parts, counted(int64(jobs), "job", "jobs")+map[bool]string{true: " queued again"}[n.Action == store.ActionRecipe])
	}
	for _, key := range slices.Sorted(maps.Keys(n.Detail)) {
		if text := detailText(n.Action, key, n.Detail[key]); text != "" {
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, ", ")
}

// editsText is what a change says of recipes, word by word, or how many it changes.
func editsText(v any) []string {
	if n, ok := v.(float64); ok {
		return []string{counted(int64(n), "recipe", "recipes") + " changed"}
	}
	var edits []farm.RecipeEdit
	if body, err := json.Marshal(v); err != nil || json.Unmarshal(body, &edits) != nil {
		return nil
	}
	var words []string
	for _, e := range edits {
		whose := ""
		if len(edits) > 1 { // the subject names none of them
			whose = e.Scope().String() + ": "
		}
		before, after := scopedWords(e.Before), scopedWords(e.After)
		for _, w := range missingIn(after, before) {
			words, whose = append(words, whose+"- "+w), ""
		}
		for _, w := range missingIn(before, after) {
			words, whose = append(words, whose+"+ "+w), ""
		}
	}
	return words
}

// missingIn are the words of a list that the other one lacks.
func missingIn(other, list []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(w string) bool { return slices.Contains(other, w) })
}

// detailText is one value; empty: it says nothing, or is said before.
func detailText(action, key string, value any) string {
	switch key {
	case "jobs", "of", "by", "edits":
		return ""
	case "requeued": // they are the jobs
		return ""
	}
	switch v := value.(type) {
	case float64:
		if v == 0 {
			return ""
		}
		return grouped(int64(v)) + " " + numberWords(action, key)
	case string:
		if v != "" {
			return key + " " + v
		}
	case []any:
		switch {
		case len(v) == 0:
			return ""
		case key == "kept":
			return "reason: " + reasonsIn(v, false)
		case key == "lifted":
			return "no more: " + reasonsIn(v, true)
		case key == "left":
			return grouped(sumOf(v, "jobs")) + " left alone"
		}
		return fmt.Sprintf("%d %s", len(v), key)
	case map[string]any:
		var n int64
		for _, x := range v {
			if f, ok := x.(float64); ok {
				n += int64(f)
			}
		}
		if n > 0 {
			return grouped(n) + " " + key
		}
	}
	return ""
}

// numberWords say what a number of a detail counts.
func numberWords(action, key string) string {
	if action == store.ActionRecipe {
		switch key {
		case "queued":
			return "not begun yet are built so"
		case "leased":
			return "under way go on as they began"
		case "kept":
			return "failed of what it cannot help, and stay"
		}
	}
	if action == store.ActionBackfill {
		return map[string]string{"chosen": "to be read", "followed": "followed already"}[key]
	}
	if key == "forgot" {
		return "forgot what they need of memory"
	}
	return key
}

// sumOf adds up one number of all objects.
func sumOf(list []any, key string) (n int64) {
	for _, x := range list {
		if o, ok := x.(map[string]any); ok {
			if f, ok := o[key].(float64); ok {
				n += int64(f)
			}
		}
	}
	return n
}

// keptScope is what a skip is about beside its package: versions, a target.
func keptScope(n store.Note) string {
	list, ok := n.Detail["kept"].([]any)
	if !ok || n.Action != store.ActionSkip {
		return ""
	}
	scopes, _ := scopesIn(list)
	return strings.Join(scopes, ";")
}

// reasonsIn are those of skips, each once; where that is not said before, with what
// they are about beside the package.
func reasonsIn(list []any, scoped bool) string {
	scopes, reasons := scopesIn(list)
	var words []string
	for i, reason := range reasons {
		if scoped && scopes[i] != "" {
			reason = strings.TrimSpace(scopes[i]) + ": " + reason
		}
		if !slices.Contains(words, reason) {
			words = append(words, reason)
		}
	}
	return strings.Join(words, "; ")
}

// manyVersions is how many versions of one word are counted, and no more named.
const manyVersions = 4

// scopesIn are what skips are about, those for one reason on one target together, and
// the reasons.
func scopesIn(list []any) (scopes, reasons []string) {
	var skips []store.Skip
	if body, err := json.Marshal(list); err != nil || json.Unmarshal(body, &skips) != nil {
		return nil, nil
	}
	for len(skips) > 0 {
		first := skips[0]
		alike := func(s store.Skip) bool { return s.Target == first.Target && s.Reason == first.Reason }
		var versions []string
		for _, s := range skips {
			if alike(s) {
				versions = append(versions, versionsIn(s)...)
			}
		}
		if len(versions) >= manyVersions {
			versions = []string{grouped(int64(len(versions))) + " versions"}
		}
		scopes, reasons = append(scopes, skipped("", versions, first.Target)), append(reasons, first.Reason)
		skips = slices.DeleteFunc(skips, alike)
	}
	return scopes, reasons
}
