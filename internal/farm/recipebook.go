package farm

import (
	"fmt"
	"path"
	"slices"

	"pinwheel/internal/pep"
)

// MaxRecipes is how many recipes a farm may have: they are read whole, and held
// against every job that is made.
const MaxRecipes = 4096

// RecipeBook is all recipes of a farm, ready to be asked. The zero book is empty.
type RecipeBook struct {
	exact map[string][]page // by the package's name
	globs []page
}

// page is one recipe of a book.
type page struct {
	ScopedRecipe
	versions pep.Specifiers
}

// NewRecipeBook takes recipes that Check has passed.
func NewRecipeBook(list []ScopedRecipe) (RecipeBook, error) {
	if len(list) > MaxRecipes {
		return RecipeBook{}, fmt.Errorf("%d recipes, at most %d are allowed", len(list), MaxRecipes)
	}
	b := RecipeBook{exact: map[string][]page{}}
	for _, r := range list {
		versions, err := pep.ParseSpecifiers(r.Versions)
		if err != nil {
			return RecipeBook{}, fmt.Errorf("recipe %s: %w", r.Scope, err)
		}
		if r.Exact() {
			b.exact[r.Package] = append(b.exact[r.Package], page{r, versions})
		} else {
			b.globs = append(b.globs, page{r, versions})
		}
	}
	for _, pages := range b.exact {
		slices.SortFunc(pages, comparePages)
	}
	slices.SortFunc(b.globs, comparePages)
	return b, b.checkSize()
}

// checkSize makes sure that no job's recipe is too large to be sent, also if all
// patterns should be for it: a lease that cannot be sent keeps its slave from all
// others.
func (b RecipeBook) checkSize() error {
	sum := func(pages []page) (size int) {
		for _, p := range pages {
			size += p.Size()
		}
		return size
	}
	globs, most := sum(b.globs), MaxRecipeSize-maxRecipeFrom
	if globs > most {
		return fmt.Errorf("the recipes for patterns have %d bytes of text, at most %d are allowed for all together", globs, most)
	}
	for name, pages := range b.exact {
		if size := globs + sum(pages); size > most {
			return fmt.Errorf("the recipes for %s have %d bytes of text with those for patterns, at most %d are allowed", name, size, most)
		}
	}
	return nil
}

func comparePages(a, b page) int { return compareScopes(a.Scope, b.Scope) }

// Empty says whether the book has no recipe.
func (b RecipeBook) Empty() bool { return len(b.exact)+len(b.globs) == 0 }

// For is the recipe of one job: those that are for it, the more specific over the
// more general. A version that is none (PEP 440) is named by no specifier, nor is an
// empty one; an empty target by no recipe.
func (b RecipeBook) For(pkg, version, target string) Recipe {
	var out Recipe
	for _, r := range b.All(pkg, version, target) {
		if version == "" && r.Versions != "" || target == "" && r.Target != "" {
			continue
		}
		out = out.over(r.Recipe)
		out.From = append(out.From, r.Scope.String())
	}
	out.From = fewer(out.From)
	return out
}

// fewer leaves out the most general ones if they are too many to be told.
func fewer(from []string) []string {
	size := 0
	for i := len(from) - 1; i >= 0; i-- {
		if size += len(from[i]) + 8; size > maxRecipeFrom-64 {
			return append([]string{fmt.Sprintf("%d more general ones", i+1)}, from[i+1:]...)
		}
	}
	return from
}

// All are the recipes that are for a job, from general to specific. With an empty
// version or target those for any are among them.
func (b RecipeBook) All(pkg, version, target string) []ScopedRecipe {
	var out []ScopedRecipe
	var parsed *pep.Version
	for _, pages := range [][]page{b.globs, b.exact[pkg]} {
		for _, p := range pages {
			if !p.Exact() && !globMatches(p.Package, pkg) || target != "" && p.Target != "" && p.Target != target {
				continue
			}
			if p.Versions != "" && version != "" {
				if parsed == nil {
					v, err := pep.ParseVersion(version)
					if err != nil {
						continue
					}
					parsed = &v
				}
				if !p.versions.Contains(*parsed, true) {
					continue
				}
			}
			out = append(out, p.ScopedRecipe)
		}
	}
	return out
}

// globMatches holds a name against a pattern of a checked scope: it has neither
// classes nor escapes, and names have no slashes.
func globMatches(glob, name string) bool {
	ok, err := path.Match(glob, name)
	return ok && err == nil
}
