package pep

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// readVectors returns the rows of a table in testdata, its heading left out.
// Fields are escaped as Python's unicode_escape does.
func readVectors(t *testing.T, file string) [][]string {
	t.Helper()
	b, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	columns := strings.Count(lines[0], "\t") + 1
	var rows [][]string
	for i, line := range lines[1:] {
		row := strings.Split(line, "\t")
		if len(row) != columns {
			t.Fatalf("%s line %d: %d columns, want %d", file, i+2, len(row), columns)
		}
		for j := range row {
			row[j] = unescape(t, row[j])
		}
		rows = append(rows, row)
	}
	if len(rows) == 0 {
		t.Fatalf("%s has no rows", file)
	}
	return rows
}

// unescape undoes unicode_escape. Its \xe9 is the letter é, Go's is a byte.
func unescape(t *testing.T, s string) string {
	t.Helper()
	if !strings.Contains(s, `\`) {
		return s
	}
	u, err := strconv.Unquote(`"` + strings.ReplaceAll(strings.ReplaceAll(s, `"`, `\"`), `\x`, `\u00`) + `"`)
	if err != nil {
		t.Fatalf("field %q: %v", s, err)
	}
	return u
}
