package farm

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// RecipeEdit is one change of the recipes: no Before, it is new; no After, it goes.
// Both are of one scope.
type RecipeEdit struct {
	Before *ScopedRecipe `json:"before"`
	After  *ScopedRecipe `json:"after"`
}

// Scope is what the changed recipe is for.
func (e RecipeEdit) Scope() Scope {
	if e.After != nil {
		return e.After.Scope
	}
	return e.Before.Scope
}

// SetRecipe is the edit that makes the recipe of its scope this one; none, if it is.
func SetRecipe(have []ScopedRecipe, r ScopedRecipe) []RecipeEdit {
	for i := range have {
		if have[i].Scope != r.Scope {
			continue
		}
		if have[i].Recipe.Equal(r.Recipe) && have[i].Reason == r.Reason && (r.Author == "" || have[i].Author == r.Author) {
			return nil
		}
		r.ID = have[i].ID
		return []RecipeEdit{{Before: &have[i], After: &r}}
	}
	return []RecipeEdit{{After: &r}}
}

// ReplaceRecipes are the edits that make the recipes those that are wanted, sorted
// by what they are for. Two of one scope are an error.
func ReplaceRecipes(have, want []ScopedRecipe) ([]RecipeEdit, error) {
	var edits []RecipeEdit
	wanted := map[Scope]bool{}
	for _, r := range want {
		if wanted[r.Scope] {
			return nil, fmt.Errorf("recipe %s is there twice", r.Scope)
		}
		wanted[r.Scope] = true
		edits = append(edits, SetRecipe(have, r)...)
	}
	for i := range have {
		if !wanted[have[i].Scope] {
			edits = append(edits, RecipeEdit{Before: &have[i]})
		}
	}
	slices.SortFunc(edits, func(a, b RecipeEdit) int { return strings.Compare(a.Scope().String(), b.Scope().String()) })
	return edits, nil
}

// ApplyRecipes is what the recipes are after the edits.
func ApplyRecipes(have []ScopedRecipe, edits []RecipeEdit) []ScopedRecipe {
	changed := map[Scope]bool{}
	for _, e := range edits {
		changed[e.Scope()] = true
	}
	out := slices.DeleteFunc(slices.Clone(have), func(r ScopedRecipe) bool { return changed[r.Scope] })
	for _, e := range edits {
		if e.After != nil {
			out = append(out, *e.After)
		}
	}
	return out
}

// RecipeMatters says whether a job that failed for this cause may end otherwise
// when its recipe changes so. More time is no use to a compiler's error, and
// nothing of a recipe to a release without an sdist.
func RecipeMatters(c Cause, before, after Recipe) bool {
	switch c {
	case NoSdist, UpstreamFault:
		return false
	}
	// What is done, and with what, may change every other outcome: also that of slaves that
	// were all at fault, of which the recipe may be what they could not do.
	if !maps.Equal(before.Env, after.Env) || !slices.Equal(before.PipOptions, after.PipOptions) ||
		!slices.Equal(before.Constraints, after.Constraints) || !slices.Equal(before.Packages, after.Packages) || before.Network != after.Network {
		return true
	}
	if before.Timeout != after.Timeout && oneOf(c, Timeout, Unknown) {
		return true
	}
	if before.Memory != after.Memory && oneOf(c, OutOfMemory, Crashed, SlaveLost, BuildBackend, CompilerError, Unknown) {
		return true
	}
	// Steps that are done at once need more memory, less time, and order.
	return before.Jobs != after.Jobs &&
		oneOf(c, Timeout, OutOfMemory, Crashed, SlaveLost, BuildBackend, CompilerError, MissingHeader, MissingLibrary, Unknown)
}

func oneOf(c Cause, list ...Cause) bool { return slices.Contains(list, c) }
