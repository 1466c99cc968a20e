package architecture

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// root is the module's folder as these tests see it.
const root = "../.."

// architectureDoc holds the tables that the code is checked against.
const (
	architectureDoc = "docs/architecture.md"
	statesDoc       = "docs/states.md"
)

// read returns a file of the module.
func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// documents lists what people read, relative to the module's folder.
func documents(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			rel, err := filepath.Rel(root, f)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, filepath.ToSlash(rel))
		}
	}
	if len(out) == 0 {
		t.Fatal("no document found")
	}
	return out
}

// tableUnder returns the rows of the first table below a heading, without its
// head: each a list of cells.
func tableUnder(t *testing.T, doc, heading string) [][]string {
	t.Helper()
	_, below, ok := strings.Cut(read(t, doc), "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("%s has no heading %q", doc, heading)
	}
	var rows [][]string
	for line := range strings.Lines(below) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "|") {
			rows = append(rows, cells(line))
		} else if len(rows) > 0 || strings.HasPrefix(line, "## ") {
			break
		}
	}
	if len(rows) < 3 {
		t.Fatalf("%s: no table under %q", doc, heading)
	}
	return rows[2:]
}

func cells(line string) []string {
	parts := strings.Split(strings.Trim(line, "|"), "|")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

var inBackticks = regexp.MustCompile("`([^`\n]+)`")

// quoted lists what stands in backticks, in order.
func quoted(s string) []string {
	var out []string
	for _, m := range inBackticks.FindAllStringSubmatch(s, -1) {
		out = append(out, m[1])
	}
	return out
}
