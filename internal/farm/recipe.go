package farm

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"pinwheel/internal/pep"
)

// Recipe is how a build differs from all others. What is not set is as for every
// build, so the zero Recipe changes nothing.
type Recipe struct {
	Env        map[string]string `json:"env,omitempty"`         // more variables of the build's environment
	Timeout    time.Duration     `json:"timeout,omitempty"`     // wall clock, instead of the farm's
	Memory     int64             `json:"memory,omitempty"`      // bytes: no process of the build may have more, and a slave must have as much
	Jobs       int               `json:"jobs,omitempty"`        // how many things the build's own tools do at once
	Network    string            `json:"network,omitempty"`     // what the build may reach, of Networks
	PipOptions []string          `json:"pip_options,omitempty"` // for pip wheel, "--config-settings=K=V"
	// Constraints are on what the build requires: "setuptools<58". Sorted, one of each name.
	Constraints []string `json:"constraints,omitempty"`
	Packages    []string `json:"packages,omitempty"` // Debian packages that a slave must have, sorted
	From        []string `json:"from,omitempty"`     // the recipes that this one is made of, general ones first
}

// IsZero says whether r changes nothing.
func (r Recipe) IsZero() bool { return r.Equal(Recipe{}) }

// Equal says whether r and s make the same build. Where they come from does not
// count.
func (r Recipe) Equal(s Recipe) bool {
	return maps.Equal(r.Env, s.Env) && slices.Equal(r.PipOptions, s.PipOptions) && slices.Equal(r.Constraints, s.Constraints) &&
		r.Timeout == s.Timeout && r.Jobs == s.Jobs && r.Network == s.Network && r.Needs().Equal(s.Needs())
}

// over is r, changed by what s says: single values are replaced, of the
// environment variable by variable, and of constraints name by name; pip's options
// as a whole, since their order counts; and Debian packages add up, for what one
// recipe needs is not less needed because of another.
func (r Recipe) over(s Recipe) Recipe {
	r.Timeout, r.Memory = cmp.Or(s.Timeout, r.Timeout), cmp.Or(s.Memory, r.Memory)
	r.Jobs, r.Network = cmp.Or(s.Jobs, r.Jobs), cmp.Or(s.Network, r.Network)
	if len(s.PipOptions) > 0 {
		r.PipOptions = s.PipOptions
	}
	if len(s.Env) > 0 {
		env := maps.Clone(s.Env)
		for name, value := range r.Env {
			if _, ok := env[name]; !ok {
				env[name] = value
			}
		}
		r.Env = env
	}
	if len(s.Constraints) > 0 {
		r.Constraints = slices.DeleteFunc(slices.Concat(s.Constraints, r.Constraints), func(c string) bool {
			return !slices.Contains(s.Constraints, c) && slices.ContainsFunc(s.Constraints, func(o string) bool { return constrained(o) == constrained(c) })
		})
		slices.SortFunc(r.Constraints, compareConstraints)
		r.Constraints = slices.Compact(r.Constraints)
	}
	if len(s.Packages) > 0 {
		r.Packages = slices.Concat(r.Packages, s.Packages)
		slices.Sort(r.Packages)
		r.Packages = slices.Compact(r.Packages)
	}
	return r
}

// constrained is the project that a constraint is on.
func constrained(constraint string) string {
	r, err := pep.ParseRequirement(constraint)
	if err != nil {
		return constraint
	}
	return r.Name
}

func compareConstraints(a, b string) int {
	return cmp.Or(strings.Compare(constrained(a), constrained(b)), strings.Compare(a, b))
}

// Size is how many bytes of text it holds, with a little for each entry.
func (r Recipe) Size() int {
	const entry = 8
	size := len(r.Network)
	for name, value := range r.Env {
		size += len(name) + len(value) + entry
	}
	for _, s := range slices.Concat(r.PipOptions, r.Constraints, r.Packages, r.From) {
		size += len(s) + entry
	}
	return size
}

// Needs is what a slave must have.
func (r Recipe) Needs() Needs { return Needs{Memory: r.Memory, Packages: r.Packages} }

// Environ are the variables as a process gets them, sorted. Jobs come before what
// a maintainer set himself.
func (r Recipe) Environ() []string {
	env := r.jobsEnv()
	maps.Copy(env, r.Env)
	list := make([]string, 0, len(env))
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return list
}

// Scope is which jobs a recipe is for.
type Scope struct {
	Package  string `json:"package"`            // normalized name (PEP 503), with * and ?
	Versions string `json:"versions,omitempty"` // specifiers (PEP 440); empty: all
	Target   string `json:"target,omitempty"`   // by name; empty: all
}

// String is how people call it: "numpy >=2 on cp311-linux_armv7l".
func (s Scope) String() string {
	words := []string{s.Package}
	if s.Versions != "" {
		words = append(words, s.Versions)
	}
	if s.Target != "" {
		words = append(words, "on", s.Target)
	}
	return strings.Join(words, " ")
}

// Exact says whether it is for one package.
func (s Scope) Exact() bool { return !strings.ContainsAny(s.Package, "*?") }

// Like is the package's pattern as SQL's LIKE has it; a normalized name holds
// nothing that means something there.
func (s Scope) Like() string { return strings.NewReplacer("*", "%", "?", "_").Replace(s.Package) }

// ScopedRecipe is a maintainer's word: what it is for, the recipe, and why. There
// is one of each scope.
type ScopedRecipe struct {
	ID int64 `json:"id"`
	Scope
	Recipe
	Reason string    `json:"reason"`
	Author string    `json:"author"`
	At     time.Time `json:"at"`
}

// compareScopes orders scopes from general to specific (decision 20): by the
// name, of which the one without wildcards is the most specific, then the one with
// more of the name written out; then by whether versions are named; then a target.
// What is alike in all of that is ordered by its text, so that the same recipes
// always give the same build.
func compareScopes(a, b Scope) int {
	yes := func(x bool) int {
		if x {
			return 1
		}
		return 0
	}
	written := func(s Scope) int {
		return len(s.Package) - strings.Count(s.Package, "*") - strings.Count(s.Package, "?")
	}
	return cmp.Or(
		cmp.Compare(yes(a.Exact()), yes(b.Exact())),
		cmp.Compare(written(a), written(b)),
		cmp.Compare(yes(a.Versions != ""), yes(b.Versions != "")),
		cmp.Compare(yes(a.Target != ""), yes(b.Target != "")),
		strings.Compare(a.Package, b.Package), strings.Compare(a.Versions, b.Versions), strings.Compare(a.Target, b.Target),
	)
}
