package architecture

import (
	"slices"
	"strings"
	"testing"
)

// home is one row of the table of other modules' packages.
type home struct {
	prefix string   // of the import path
	only   []string // the packages that may import it; none: all
}

func homes(t *testing.T) []home {
	t.Helper()
	var out []home
	for _, row := range tableUnder(t, architectureDoc, "The outside") {
		for _, prefix := range quoted(row[0]) {
			out = append(out, home{prefix: prefix, only: quoted(row[1])})
		}
	}
	return out
}

func (h home) covers(imported string) bool {
	return imported == h.prefix || strings.HasPrefix(imported, h.prefix+"/")
}

// TestTheOutsideHasOneDoor lets each foreign package in where the document says
// and nowhere else. Tests are free: they look at things from the other side.
func TestTheOutsideHasOneDoor(t *testing.T) {
	t.Parallel()
	table := homes(t)
	used := map[string]bool{}
	for _, p := range packages(t) {
		from := short(p.ImportPath)
		for _, imported := range slices.Concat(p.Imports, p.testImports()) {
			i := slices.IndexFunc(table, func(h home) bool { return h.covers(imported) })
			if i >= 0 {
				used[table[i].prefix] = true
			}
			if !slices.Contains(p.Imports, imported) {
				continue
			}
			switch {
			case i < 0 && foreign(imported):
				t.Errorf("%s -> %s: the import has no row in %s, \"The outside\"", from, imported, architectureDoc)
			case i >= 0 && len(table[i].only) > 0 && !slices.Contains(table[i].only, from):
				t.Errorf("%s -> %s: only %v may (%s, \"The outside\")", from, imported, table[i].only, architectureDoc)
			}
		}
	}
	for _, h := range table {
		if !used[h.prefix] {
			t.Errorf("%s, \"The outside\" names %s, which nobody imports", architectureDoc, h.prefix)
		}
	}
}
