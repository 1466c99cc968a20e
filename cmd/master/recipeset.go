package main

import (
	"context"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pinwheel/internal/cli"
	"pinwheel/internal/config"
	"pinwheel/internal/farm"
)

// recipeFlags are the values of a recipe as flags.
type recipeFlags struct {
	text    recipeText
	env     []string
	timeout time.Duration
	memory  config.Size
	dry     bool
	asJSON  bool
}

func newRecipeSet() *cobra.Command {
	var set settings
	var f recipeFlags
	cmd := &cobra.Command{
		Use:   "set PACKAGE --reason WHY",
		Short: "Say how a package is to be built",
		Long: `set makes the recipe for PACKAGE what the flags say; what an earlier one for the same
packages, versions and target said is gone. PACKAGE is a name, or a pattern with * and ?.

Failed jobs that it is for are queued again, but for those that failed of what it cannot
help: more time does nothing for a compiler's error. Builds under way end as they began.
--dry-run tells how many jobs that would be.

Debian packages (--apt) are not installed by the farm: jobs that want them are given
to slaves that have them.`,
		Example: "  master recipe set lxml --apt libxml2-dev --apt libxslt1-dev --reason 'no headers on the slaves'\n" +
			"  master recipe set 'torch*' --version '>=2' --jobs 1 --memory 6G --timeout 6h --reason 'needs 5 GB a job'",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := f.recipe(args[0])
			if err != nil {
				return cli.Usage("%w", err)
			}
			return visit(cmd, set, func(ctx context.Context, h *home, _ zerolog.Logger) error {
				done, err := h.Store.ChangeRecipes(ctx, actor(), f.dry, func(have []farm.ScopedRecipe) ([]farm.RecipeEdit, error) {
					return farm.SetRecipe(have, r), nil
				})
				if err != nil {
					return err
				}
				return printRecipeChanges(cmd.OutOrStdout(), done, f.dry, f.asJSON)
			})
		},
	}
	set.stateFlag(cmd)
	f.bind(cmd)
	return cmd
}

func (f *recipeFlags) bind(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.text.Versions, "version", "", "only for versions that these specifiers name, >=2,<3 (PEP 440)")
	targetFlag(cmd, &f.text.Target, "only on this target")
	fl.StringArrayVar(&f.env, "env", nil, "a variable of the build's environment, `NAME=VALUE`; may be repeated")
	fl.DurationVar(&f.timeout, "timeout", 0, "wall clock limit, instead of the farm's")
	fl.Var(&f.memory, "memory", "what one process of the build may have, and a slave must have, for example 2G")
	fl.IntVar(&f.text.Jobs, "jobs", 0, "how many things the build's tools do at once")
	fl.StringVar(&f.text.Network, "network", "", "what builds may reach: public, index or none")
	fl.StringArrayVar(&f.text.PipOptions, "pip-option", nil, "an `OPTION` of pip wheel, --no-build-isolation or --config-settings=K=V; may be repeated")
	fl.StringArrayVar(&f.text.Constraint, "constraint", nil, "versions of what the build requires, `NAME<VERSION`, setuptools<58; may be repeated")
	fl.StringArrayVar(&f.text.Apt, "apt", nil, "a Debian `PACKAGE` that a slave must have; may be repeated")
	fl.StringVar(&f.text.Reason, "reason", "", "why; who reads it next year does not know")
	fl.BoolVar(&f.dry, "dry-run", false, "only say what would be changed, and how many jobs that touches")
	fl.BoolVar(&f.asJSON, "json", false, "print JSON")
}

func (f recipeFlags) recipe(pkg string) (farm.ScopedRecipe, error) {
	t := f.text
	t.Package, t.Author = pkg, actor()
	if f.timeout != 0 {
		t.Timeout = f.timeout.String()
	}
	if f.memory != 0 {
		t.Memory = f.memory.String()
	}
	for _, e := range f.env {
		name, value, ok := strings.Cut(e, "=")
		if !ok {
			return farm.ScopedRecipe{}, cli.Usage("--env %q: want NAME=VALUE", e)
		}
		if t.Env == nil {
			t.Env = map[string]string{}
		}
		t.Env[name] = value
	}
	return t.recipe()
}
