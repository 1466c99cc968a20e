package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pinwheel/internal/cli"
	"pinwheel/internal/config"
	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

func newRecipe() *cobra.Command {
	cmd := &cobra.Command{
		Use: "recipe", Short: "How packages are built that need something special", Args: cobra.NoArgs,
		Long: `A recipe says how the builds of some packages differ from all others: their environment,
time, memory, jobs, options of pip, and which Debian packages a slave must have. It is
for one package, or for all that a pattern names (*-cffi), if need be only for some
versions or one target, and says who wants it so, and why.

Of several recipes for one job the more specific one wins, value by value; Debian
packages add up. Changing one queues the failed jobs again that it may help.`,
	}
	cmd.AddCommand(newRecipeSet(), newRecipeList(), newRecipeRemove(), newRecipeApply(), newRecipeExport())
	return cmd
}

// recipeText is a recipe as people write and read it, in a file and as JSON.
type recipeText struct {
	ID         int64             `toml:"-" json:"id"`
	Package    string            `toml:"package" json:"package"`
	Versions   string            `toml:"versions,omitempty" json:"versions"`
	Target     string            `toml:"target,omitempty" json:"target"`
	Reason     string            `toml:"reason" json:"reason"`
	Author     string            `toml:"author,omitempty" json:"author"`
	At         time.Time         `toml:"-" json:"at,omitzero"`
	Env        map[string]string `toml:"env,inline,omitempty" json:"env"`
	Timeout    string            `toml:"timeout,omitempty" json:"timeout"`
	Memory     string            `toml:"memory,omitempty" json:"memory"`
	Jobs       int               `toml:"jobs,omitempty" json:"jobs"`
	Network    string            `toml:"network,omitempty" json:"network"`
	PipOptions []string          `toml:"pip-options,omitempty" json:"pip_options"`
	Constraint []string          `toml:"constraints,omitempty" json:"constraints"`
	Apt        []string          `toml:"apt,omitempty" json:"apt"`
}

func textOf(r farm.ScopedRecipe) recipeText {
	t := recipeText{ID: r.ID, Package: r.Package, Versions: r.Versions, Target: r.Target, Reason: r.Reason, Author: r.Author,
		At: r.At, Env: r.Env, Jobs: r.Jobs, Network: r.Network, PipOptions: r.PipOptions,
		Constraint: r.Constraints, Apt: r.Recipe.Packages}
	if r.Timeout > 0 {
		t.Timeout = r.Timeout.String()
	}
	if r.Memory > 0 {
		t.Memory = sizeText(r.Memory)
	}
	return t
}

// jsonOf is textOf with nothing that is null.
func jsonOf(r farm.ScopedRecipe) recipeText {
	t := textOf(r)
	if t.Env == nil {
		t.Env = map[string]string{}
	}
	for _, list := range []*[]string{&t.PipOptions, &t.Constraint, &t.Apt} {
		*list = append([]string{}, *list...)
	}
	return t
}

// recipe reads the text; the error names the value.
func (t recipeText) recipe() (farm.ScopedRecipe, error) {
	r := farm.ScopedRecipe{Scope: farm.Scope{Package: t.Package, Versions: t.Versions, Target: t.Target},
		Recipe: farm.Recipe{Env: t.Env, Jobs: t.Jobs, Network: t.Network, PipOptions: t.PipOptions,
			Constraints: t.Constraint, Packages: t.Apt},
		Reason: t.Reason, Author: t.Author}
	var err error
	if t.Timeout != "" {
		if r.Timeout, err = time.ParseDuration(t.Timeout); err != nil {
			return r, fmt.Errorf("timeout %q: want a time such as 90s or 2h", t.Timeout)
		}
	}
	if t.Memory != "" {
		var size config.Size
		if err := size.Set(t.Memory); err != nil {
			return r, fmt.Errorf("memory: %w", err)
		}
		r.Memory = int64(size)
	}
	r = r.Normalize()
	return r, r.Check()
}

func sizeText(n int64) string {
	s := config.Size(n)
	return s.String()
}

// recipeWords are what a recipe says, one value each.
func recipeWords(r farm.Recipe) []string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(r.Env)) {
		words = append(words, "env "+name+"="+r.Env[name])
	}
	if r.Timeout > 0 {
		words = append(words, "timeout "+r.Timeout.String())
	}
	if r.Memory > 0 {
		words = append(words, "memory "+sizeText(r.Memory))
	}
	if r.Jobs > 0 {
		words = append(words, "jobs "+strconv.Itoa(r.Jobs))
	}
	if r.Network != "" {
		words = append(words, "network "+r.Network)
	}
	for _, o := range r.PipOptions {
		words = append(words, "pip "+o)
	}
	for _, c := range r.Constraints {
		words = append(words, "constraint "+c)
	}
	for _, p := range r.Packages {
		words = append(words, "apt "+p)
	}
	return words
}

// changedRecipe is one change as JSON has it.
type changedRecipe struct {
	changedRecipeText
	store.RecipeEffect
}

type changedRecipeText struct {
	Before *recipeText `json:"before"`
	After  *recipeText `json:"after"`
}

func textOfEdit(e farm.RecipeEdit) (t changedRecipeText) {
	if e.Before != nil {
		text := jsonOf(*e.Before)
		t.Before = &text
	}
	if e.After != nil {
		text := jsonOf(*e.After)
		t.After = &text
	}
	return t
}

// printRecipeChanges tells what was changed, or would be.
func printRecipeChanges(out io.Writer, done store.RecipesChanged, dry, asJSON bool) error {
	if asJSON {
		return cli.JSON(out, recipeChangesJSON(done, dry))
	}
	if len(done.Changes) == 0 {
		err := cli.Say(out, "nothing to change")
		return err
	}
	for _, c := range done.Changes {
		verb := "change"
		switch {
		case c.Before == nil:
			verb = "add"
		case c.After == nil:
			verb = "remove"
		}
		cli.Say(out, "%s %s", verb, c.Scope())
		before, after := scopedWords(c.Before), scopedWords(c.After)
		for _, w := range missingIn(after, before) {
			cli.Say(out, "  - %s", w)
		}
		for _, w := range missingIn(before, after) {
			cli.Say(out, "  + %s", w)
		}
		cli.Say(out, "  %s", effectText(c.RecipeEffect))
	}
	if len(done.Changes) > 1 {
		cli.Say(out, "%d changes: %s", len(done.Changes), effectText(done.RecipeEffect))
	}
	if dry {
		return cli.Say(out, "nothing was changed: --dry-run")
	}
	return cli.Say(out, "`master undo %d` takes it back", done.Audit)
}

func recipeChangesJSON(done store.RecipesChanged, dry bool) map[string]any {
	changes := []changedRecipe{}
	for _, c := range done.Changes {
		changes = append(changes, changedRecipe{textOfEdit(c.RecipeEdit), c.RecipeEffect})
	}
	return map[string]any{"schema": 1, "audit": done.Audit, "dry_run": dry, "changes": changes, "requeued": done.Requeued,
		"queued": done.Queued, "leased": done.Leased, "kept": done.Kept}
}

func scopedWords(r *farm.ScopedRecipe) []string {
	if r == nil {
		return nil
	}
	return append(recipeWords(r.Recipe), "reason "+strconv.Quote(r.Reason), "author "+r.Author)
}

// effectText says what becomes of which jobs.
func effectText(e store.RecipeEffect) string {
	var words []string
	for _, part := range []struct {
		n    int64
		what string
	}{
		{e.Requeued, "failed are queued again"},
		{e.Queued, "not begun yet will be built so"},
		{e.Leased, "under way go on as they began"},
		{e.Kept, "failed of what it cannot help, and stay"},
	} {
		if part.n > 0 {
			words = append(words, fmt.Sprintf("%d %s", part.n, part.what))
		}
	}
	if len(words) == 0 {
		return "no job of now is another one by it"
	}
	return "jobs: " + strings.Join(words, "; ")
}
