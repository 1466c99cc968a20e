package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pinwheel/internal/cli"
	"pinwheel/internal/farm"
	"pinwheel/internal/pep"
)

// recipeQuestion is of which jobs the recipes are asked for.
type recipeQuestion struct {
	pkg, version, target string
	asJSON               bool
}

func newRecipeList() *cobra.Command {
	var set settings
	var q recipeQuestion
	cmd := &cobra.Command{
		Use:   "list [PACKAGE [VERSION]]",
		Short: "List the recipes, or those for one package",
		Long: `list shows all recipes. With PACKAGE it shows those that are for it, general ones first,
and what they come to: of each value the last one counts, and Debian packages add up.
Where that depends on the version or the target, VERSION and --target say which is meant.`,
		Example: "  master recipe list\n  master recipe list numpy 2.1.0 --target cp311-linux_armv7l",
		Args:    cobra.MaximumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := q.read(args); err != nil {
				return err
			}
			return visit(cmd, set, func(ctx context.Context, h *home, _ zerolog.Logger) error {
				list, err := h.Store.Recipes(ctx)
				if err != nil {
					return err
				}
				return q.answer(cmd, list)
			})
		},
	}
	set.stateFlag(cmd)
	targetFlag(cmd, &q.target, "those on this target")
	cmd.Flags().BoolVar(&q.asJSON, "json", false, "print JSON")
	return cmd
}

func (q *recipeQuestion) read(args []string) error {
	if len(args) == 0 {
		return nil
	}
	if !pep.ValidName(args[0]) {
		return cli.Usage("%q is not a package name", args[0])
	}
	q.pkg = pep.NormalizeName(args[0])
	if len(args) == 2 {
		v, err := pep.ParseVersion(args[1])
		if err != nil {
			return cli.Usage("%w", err)
		}
		q.version = v.String()
	}
	return nil
}

// answer prints the recipes and, of one package, what they come to: nothing, if
// that is not the same for all that was asked for.
func (q recipeQuestion) answer(cmd *cobra.Command, list []farm.ScopedRecipe) error {
	var merged *farm.Recipe
	depends := false
	if q.pkg != "" {
		book, err := farm.NewRecipeBook(list)
		if err != nil {
			return err
		}
		list = book.All(q.pkg, q.version, q.target)
		for _, r := range list {
			depends = depends || r.Versions != "" && q.version == "" || r.Target != "" && q.target == ""
		}
		if !depends {
			r := book.For(q.pkg, q.version, q.target)
			merged = &r
		}
	} else if q.target != "" {
		kept := list[:0]
		for _, r := range list {
			if r.Target == "" || r.Target == q.target {
				kept = append(kept, r)
			}
		}
		list = kept
	}
	if q.asJSON {
		return q.print(cmd, list, merged)
	}
	if recipeTable(cmd, list); q.pkg == "" {
		return nil
	}
	says := "as all others"
	switch {
	case depends:
		says = "in different ways: name a version, or a target with --target"
	case merged != nil && !merged.IsZero():
		says = "with " + strings.Join(recipeWords(*merged), "; ")
	}
	err := cli.Say(cmd.OutOrStdout(), "%s is built %s", strings.TrimSpace(q.pkg+" "+q.version), says)
	return err
}

func recipeTable(cmd *cobra.Command, list []farm.ScopedRecipe) {
	var rows [][]string
	for _, r := range list {
		says := strings.Join(recipeWords(r.Recipe), "; ")
		rows = append(rows, []string{strconv.FormatInt(r.ID, 10), r.Scope.String(), r.Author, says + ": " + r.Reason})
	}
	newTeller(cmd.OutOrStdout()).table(columns(">ID", "FOR", "AUTHOR", "SAYS: REASON"), rows)
}

func (q recipeQuestion) print(cmd *cobra.Command, list []farm.ScopedRecipe, merged *farm.Recipe) error {
	rows := []recipeText{}
	for _, r := range list {
		rows = append(rows, jsonOf(r))
	}
	out := map[string]any{"schema": 1, "recipes": rows}
	if q.pkg != "" {
		out["merged"] = nil
		if merged != nil {
			t := jsonOf(farm.ScopedRecipe{Recipe: *merged})
			out["merged"] = map[string]any{"env": t.Env, "timeout": t.Timeout, "memory": t.Memory, "jobs": t.Jobs,
				"network": t.Network, "pip_options": t.PipOptions, "constraints": t.Constraint, "apt": t.Apt, "from": append([]string{}, merged.From...)}
		}
	}
	return cli.JSON(cmd.OutOrStdout(), out)
}
