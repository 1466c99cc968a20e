package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pinwheel/internal/cli"
	"pinwheel/internal/farm"
)

// recipeChoice says which recipe is meant.
type recipeChoice struct {
	farm.Scope
	id int64 // 0: the scope says it
}

func newRecipeRemove() *cobra.Command {
	var set settings
	var which recipeChoice
	var dry, asJSON bool
	cmd := &cobra.Command{
		Use:   "remove PACKAGE | --id N",
		Short: "Build a package as all others again",
		Long: `remove takes the recipe for PACKAGE back, as it was given to set: if there are several
for that name or pattern, --version and --target say which, or --id does by its number.
What failed with it is queued again as set would.`,
		Example: "  master recipe remove lxml\n  master recipe remove --id 12",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 1) == (which.id != 0) {
				return cli.Usage("recipe remove: want either PACKAGE or --id")
			}
			if len(args) == 1 {
				which.Package = args[0]
			}
			which.Scope = farm.ScopedRecipe{Scope: which.Scope}.Normalize().Scope
			return visit(cmd, set, func(ctx context.Context, h *home, _ zerolog.Logger) error {
				done, err := h.Store.ChangeRecipes(ctx, actor(), dry, which.remove)
				if err != nil {
					return err
				}
				return printRecipeChanges(cmd.OutOrStdout(), done, dry, asJSON)
			})
		},
	}
	set.stateFlag(cmd)
	fl := cmd.Flags()
	fl.StringVar(&which.Versions, "version", "", "the one for these versions")
	targetFlag(cmd, &which.Target, "the one on this target")
	fl.Int64Var(&which.id, "id", 0, "the one with this number, as recipe list shows it")
	fl.BoolVar(&dry, "dry-run", false, "only say what would be changed, and how many jobs that touches")
	fl.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// remove finds the one recipe that is meant.
func (c recipeChoice) remove(have []farm.ScopedRecipe) ([]farm.RecipeEdit, error) {
	found := slices.DeleteFunc(slices.Clone(have), func(r farm.ScopedRecipe) bool {
		if c.id != 0 {
			return r.ID != c.id
		}
		return r.Package != c.Package || c.Versions != "" && r.Versions != c.Versions || c.Target != "" && r.Target != c.Target
	})
	switch len(found) {
	case 1:
		return []farm.RecipeEdit{{Before: &found[0]}}, nil
	case 0:
		if c.id != 0 {
			return nil, fmt.Errorf("there is no recipe %d; `master recipe list` lists them", c.id)
		}
		return nil, fmt.Errorf("there is no recipe for %s; `master recipe list` lists them", c.Scope)
	}
	var words []string
	for _, r := range found {
		words = append(words, fmt.Sprintf("--id %d is for %s", r.ID, r.Scope))
	}
	return nil, fmt.Errorf("there are %d recipes for %s: %s", len(found), c.Scope, strings.Join(words, ", "))
}
