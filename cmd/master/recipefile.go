package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pinwheel/internal/config"
	"pinwheel/internal/farm"
)

// recipeKey begins each recipe of a file: [[recipe]].
const recipeKey = "recipe"

// maxRecipeFile is more than all recipes of a farm.
const maxRecipeFile = 16 << 20 // bytes

func newRecipeApply() *cobra.Command {
	var set settings
	var dry, asJSON bool
	cmd := &cobra.Command{
		Use:   "apply FILE",
		Short: "Make the recipes what a file says",
		Long: `apply makes the farm's recipes equal to FILE, in one transaction: what is not in it goes.
The file is TOML, one [[recipe]] each, with package and reason and what it says of
versions, target, env, timeout, memory, jobs, network, pip-options, constraints and
apt; export writes one. A key that is none of these is an error, and then nothing is changed.
- reads the standard input.

--dry-run shows the difference, and how many jobs each change touches.`,
		Example: "  master recipe apply recipes.toml --dry-run\n  master recipe apply recipes.toml",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return visit(cmd, set, func(ctx context.Context, h *home, _ zerolog.Logger) error {
				want, err := readRecipes(cmd.InOrStdin(), args[0])
				if err != nil {
					return err
				}
				done, err := h.Store.ChangeRecipes(ctx, actor(), dry, func(have []farm.ScopedRecipe) ([]farm.RecipeEdit, error) {
					return farm.ReplaceRecipes(have, want)
				})
				if err != nil {
					return err
				}
				return printRecipeChanges(cmd.OutOrStdout(), done, dry, asJSON)
			})
		},
	}
	set.stateFlag(cmd)
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only show the difference, and how many jobs each change touches")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// readRecipes reads a file of recipes; its errors name the line.
func readRecipes(stdin io.Reader, path string) ([]farm.ScopedRecipe, error) {
	in := stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("read recipes: %w", err)
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, maxRecipeFile+1))
	if err != nil {
		return nil, fmt.Errorf("read recipes: %w", err)
	}
	if len(data) > maxRecipeFile {
		return nil, fmt.Errorf("read recipes: %s has more than %d bytes: it is some other file", path, maxRecipeFile)
	}
	tables, err := config.ReadTables[recipeText](path, recipeKey, data)
	if err != nil {
		return nil, err
	}
	if len(tables) == 0 { // what a pipe that broke leaves
		return nil, fmt.Errorf("%s has no [[recipe]]; `master recipe remove` takes recipes back", path)
	}
	lines := map[farm.Scope]int{}
	var list []farm.ScopedRecipe
	for _, t := range tables {
		r, err := t.Value.recipe()
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, t.Line, err)
		}
		if at := lines[r.Scope]; at != 0 {
			return nil, fmt.Errorf("%s:%d: recipe %s stands in line %d already", path, t.Line, r.Scope, at)
		}
		lines[r.Scope] = t.Line
		list = append(list, r)
	}
	return list, nil
}

func newRecipeExport() *cobra.Command {
	var set settings
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the recipes as a file for apply",
		Long: `export prints all recipes in the form that apply reads: to be kept under version
control, edited there, and applied.`,
		Example: "  master recipe export > recipes.toml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return visit(cmd, set, func(ctx context.Context, h *home, _ zerolog.Logger) error {
				list, err := h.Store.Recipes(ctx)
				if err != nil {
					return err
				}
				texts := []recipeText{}
				for _, r := range list {
					texts = append(texts, textOf(r))
				}
				out, err := config.WriteTables(recipeKey, texts)
				if err != nil {
					return err
				}
				_, err = cmd.OutOrStdout().Write(out)
				return err
			})
		},
	}
	set.stateFlag(cmd)
	return cmd
}
