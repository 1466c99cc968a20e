package architecture

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// ranks orders the layers: imports go down only. Test support stands beside the
// programs: neither imports the other.
func ranks() map[string]int {
	return map[string]int{"words": 0, "tools": 1, "world": 2, "stages": 3, "side": 3, "programs": 4, "test support": 4}
}

// apart says of which layers the packages never import each other.
func apart(layer string) bool { return layer == "stages" || layer == "side" || layer == "programs" }

// place is one row of the import table.
type place struct {
	layer   string
	beside  []string // packages of its own layer that it may import
	inTests []string // those that only its tests may
}

// importTable reads the table under "Packages".
func importTable(t *testing.T) map[string]place {
	t.Helper()
	table := map[string]place{}
	for _, row := range tableUnder(t, architectureDoc, "Packages") {
		if len(row) != 4 {
			t.Fatalf("%s: the row %q has not four cells", architectureDoc, row)
		}
		names := quoted(row[1])
		if _, known := ranks()[row[0]]; !known || len(names) != 1 {
			t.Fatalf("%s: the row %q names no known layer, or not one package", architectureDoc, row)
		}
		always, tests, _ := strings.Cut(row[3], "in tests:")
		table[names[0]] = place{layer: row[0], beside: quoted(always), inTests: quoted(tests)}
	}
	return table
}

// allowed says why a package may not import another, or nothing.
func allowed(table map[string]place, from, to string) string {
	a, b := table[from], table[to]
	switch {
	case b.layer == "":
		return "is not in the table"
	case ranks()[b.layer] < ranks()[a.layer]:
		return ""
	case a.layer != b.layer:
		return fmt.Sprintf("goes up from %s to %s", a.layer, b.layer)
	case apart(a.layer):
		return a.layer + " never import each other"
	case !slices.Contains(a.beside, to):
		return "goes sideways within " + a.layer + ", and the table does not say that it may"
	}
	return ""
}

// allowedInTests is more patient: tests may use test support, what stands beside
// their package, and another stage where the table says so.
func allowedInTests(table map[string]place, from, to string) string {
	a, b := table[from], table[to]
	switch {
	case from == to || b.layer == "test support" || slices.Contains(a.inTests, to):
		return ""
	case a.layer == b.layer && !apart(a.layer):
		return ""
	}
	return allowed(table, from, to)
}

func TestImportsFollowTheTable(t *testing.T) {
	t.Parallel()
	table := importTable(t)
	for _, p := range packages(t) {
		from := short(p.ImportPath)
		if table[from].layer == "" {
			t.Errorf("package %s is not in the table; give it a row in %s, \"Packages\"", from, architectureDoc)
			continue
		}
		check(t, from, p.Imports, "", func(to string) string { return allowed(table, from, to) })
		check(t, from, p.testImports(), "tests of ", func(to string) string { return allowedInTests(table, from, to) })
	}
}

func check(t *testing.T, from string, imports []string, who string, why func(to string) string) {
	t.Helper()
	for _, imported := range imports {
		if !ours(imported) {
			continue
		}
		if w := why(short(imported)); w != "" {
			t.Errorf("%s%s -> %s: %s (%s, \"Packages\")", who, from, short(imported), w, architectureDoc)
		}
	}
}

// TestTableIsTrue keeps the table from naming what is gone.
func TestTableIsTrue(t *testing.T) {
	t.Parallel()
	uses := map[string][]string{}
	for _, p := range packages(t) {
		uses[short(p.ImportPath)] = slices.Concat(p.Imports, p.testImports(), []string{p.ImportPath})
	}
	for name, at := range importTable(t) {
		if uses[name] == nil {
			t.Errorf("%s, \"Packages\" names %s, which does not exist", architectureDoc, name)
			continue
		}
		for _, b := range slices.Concat(at.beside, at.inTests) {
			if !slices.ContainsFunc(uses[name], func(i string) bool { return ours(i) && short(i) == b }) {
				t.Errorf("%s, \"Packages\" lets %s import %s, which it does not", architectureDoc, name, b)
			}
		}
	}
}

// TestNeverReached follows imports all the way.
func TestNeverReached(t *testing.T) {
	t.Parallel()
	deps := map[string][]string{}
	direct := map[string][]string{}
	for _, p := range packages(t) {
		deps[short(p.ImportPath)] = p.Deps
		direct[short(p.ImportPath)] = p.Imports
	}
	for _, row := range tableUnder(t, architectureDoc, "Never") {
		from := quoted(row[0])[0]
		if deps[from] == nil {
			t.Errorf("%s, \"Never\" names %s, which does not exist", architectureDoc, from)
		}
		for _, to := range quoted(row[1]) {
			reaches := func(i string) bool { return ours(i) && short(i) == to }
			if slices.ContainsFunc(deps[from], reaches) {
				t.Errorf("%s reaches %s, by %s (%s, \"Never\")", from, to,
					strings.Join(pathTo(direct, from, to), " -> "), architectureDoc)
			}
		}
	}
}

// pathTo is the chain of imports from one package to another: the edge to cut
// is rarely the first.
func pathTo(direct map[string][]string, from, to string) []string {
	if from == to {
		return []string{to}
	}
	for _, i := range direct[from] {
		if !ours(i) {
			continue
		}
		if rest := pathTo(direct, short(i), to); rest != nil {
			return append([]string{from}, rest...)
		}
	}
	return nil
}
