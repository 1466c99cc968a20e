package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDocumentedRound: the script runs every command of the maintainers' chapter, as
// it stands there.
func TestDocumentedRound(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile(filepath.Join("testdata", "script", "maintain.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	_, chapter, ok := strings.Cut(string(doc), "\n## Maintaining\n")
	if !ok {
		t.Fatal("the chapter is not there")
	}
	chapter, _, _ = strings.Cut(chapter, "\n## ")
	run := map[string]bool{}
	for line := range strings.Lines(string(script)) {
		if words, ok := strings.CutPrefix(strings.TrimSpace(line), "exits 0 "); ok {
			run[strings.ReplaceAll(words, "$TARGET", "cp311-linux_armv7l")] = true
		}
	}
	n := 0
	for line := range strings.Lines(chapter) {
		command, ok := strings.CutPrefix(strings.TrimRight(line, "\n"), "    pinwheel-")
		if !ok {
			continue
		}
		if n++; !run[command] {
			t.Errorf("no script runs %q", command)
		}
	}
	if n < 10 {
		t.Errorf("the chapter has %d commands", n)
	}
}
