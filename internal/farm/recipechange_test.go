package farm

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReplaceRecipes(t *testing.T) {
	t.Parallel()
	have := []ScopedRecipe{recipeOf(t, "a: x1"), recipeOf(t, "b: x1"), recipeOf(t, "c: x1"), recipeOf(t, "c >=1: x1")}
	for i := range have {
		have[i].ID, have[i].Author = int64(i+1), "ann"
	}
	same, other, reason := have[0], have[1], have[2]
	same.ID, same.Author = 0, "" // a file need not name who wrote it
	other.Jobs = 2
	reason.Reason = "another"
	edits, err := ReplaceRecipes(have, []ScopedRecipe{reason, other, same, recipeOf(t, "d: x1")})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range edits {
		switch {
		case e.Before == nil:
			got = append(got, "+"+e.Scope().String())
		case e.After == nil:
			got = append(got, "-"+e.Scope().String())
		default:
			got = append(got, e.Scope().String())
		}
	}
	if diff := cmp.Diff([]string{"b", "c", "-c >=1", "+d"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	after := ApplyRecipes(have, edits)
	if again, err := ReplaceRecipes(after, []ScopedRecipe{reason, other, same, recipeOf(t, "d: x1")}); err != nil || len(again) > 0 {
		t.Errorf("applied twice: %v, %v", again, err)
	}
	if _, err := ReplaceRecipes(nil, []ScopedRecipe{same, same}); err == nil {
		t.Error("two for the same are taken")
	}
}

// TestRecipeMatters: which failures a change can help.
func TestRecipeMatters(t *testing.T) {
	t.Parallel()
	all := Causes()
	never := []Cause{NoSdist, UpstreamFault}
	most := slices.DeleteFunc(slices.Clone(all), func(c Cause) bool { return slices.Contains(never, c) })
	for name, c := range map[string]struct {
		before, after string
		helps         []Cause
	}{
		"a variable":     {"a: x1", "a: x1 A=1", most},
		"another value":  {"a: A=1", "a: A=2", most},
		"an option":      {"a: x1", "a: x1 --use-pep517", most},
		"a constraint":   {"a: x1", "a: x1 setuptools<58", most},
		"a package":      {"a: x1", "a: x1 gcc", most},
		"a package less": {"a: x1 gcc", "a: x1", most},
		"more time":      {"a: 1h", "a: 2h", []Cause{Timeout, Unknown}},
		"more memory":    {"a: 512M", "a: 1G", []Cause{CompilerError, BuildBackend, OutOfMemory, Crashed, SlaveLost, Unknown}},
		"fewer jobs": {"a: x2", "a: x1", []Cause{MissingHeader, MissingLibrary, CompilerError, BuildBackend, OutOfMemory,
			Timeout, Crashed, SlaveLost, Unknown}},
		"nothing": {"a: x1", "a: x1", nil},
	} {
		var got []Cause
		for _, cause := range all {
			if RecipeMatters(cause, recipeOf(t, c.before).Recipe, recipeOf(t, c.after).Recipe) {
				got = append(got, cause)
			}
		}
		if diff := cmp.Diff(c.helps, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestNeedsUnmet(t *testing.T) {
	t.Parallel()
	pi, big := Machine{Memory: 1 << 30, Packages: []string{"gcc", "libffi-dev"}}, Machine{Memory: 8 << 30, Packages: []string{"gcc"}}
	for name, c := range map[string]struct {
		needs    Needs
		machines []Machine
		want     Needs
	}{
		"nothing":                  {Needs{}, nil, Needs{}},
		"no machine":               {Needs{Packages: []string{"gcc"}}, nil, Needs{Packages: []string{"gcc"}}},
		"one has it":               {Needs{Packages: []string{"gcc", "libffi-dev"}}, []Machine{big, pi}, Needs{}},
		"none has it":              {Needs{Packages: []string{"cmake", "gcc"}}, []Machine{big, pi}, Needs{Packages: []string{"cmake"}}},
		"too small":                {Needs{Memory: 2 << 30}, []Machine{pi}, Needs{Memory: 2 << 30}},
		"one has this, one that":   {Needs{Memory: 2 << 30, Packages: []string{"libffi-dev"}}, []Machine{pi, big}, Needs{Memory: 2 << 30}},
		"the nearest one counts":   {Needs{Memory: 2 << 30, Packages: []string{"cmake"}}, []Machine{pi, big}, Needs{Packages: []string{"cmake"}}},
		"a machine that says none": {Needs{Packages: []string{"gcc"}}, []Machine{{Memory: 1 << 40}}, Needs{Packages: []string{"gcc"}}},
	} {
		if diff := cmp.Diff(c.want, c.needs.Unmet(c.machines)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
