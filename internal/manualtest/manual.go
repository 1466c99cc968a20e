// Package manualtest types the manual of operations: every command in it is run by a test, as
// it stands there.
//
// Input: docs/operations.md. Output: its commands by chapter, for the tests that type them;
// this package's own, which type most of them to a farm of processes; and one that fails when a
// command is typed by nobody, or by two. It owns nothing, and has no way to change a command
// but to leave its remark out.
package manualtest

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Book is the manual of operations.
type Book struct {
	t        testing.TB
	headings []string // in order
	chapters map[string]chapter
}

// chapter is what stands under one heading, up to the next one of whatever level.
type chapter struct {
	text    string
	lines   []string          // its commands: indented, one on a line
	scripts []string          // its blocks of shell
	files   map[string]string // what is to be written into files: by language, "toml"; rows with tabs are "tsv"
}

var (
	aHeading   = regexp.MustCompile(`(?m)^##+ `)
	aFence     = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$")
	aRemark    = regexp.MustCompile(`\s\s+#.*$`)
	manySpaces = regexp.MustCompile(` +`)
)

// Open reads it from the folder of a package below internal/ or cmd/.
func Open(t testing.TB) *Book {
	t.Helper()
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	return read(t, string(text))
}

func read(t testing.TB, text string) *Book {
	t.Helper()
	b := &Book{t: t, chapters: map[string]chapter{}}
	for _, part := range aHeading.Split(text, -1)[1:] {
		heading, body, _ := strings.Cut(part, "\n")
		if slices.Contains(b.headings, heading) {
			t.Fatalf("the manual has two chapters %q", heading)
		}
		b.headings = append(b.headings, heading)
		b.chapters[heading] = parse(body)
	}
	return b
}

func parse(text string) chapter {
	c := chapter{text: text, files: map[string]string{}}
	for _, m := range aFence.FindAllStringSubmatch(text, -1) {
		if m[1] == "sh" {
			c.scripts = append(c.scripts, m[2])
		} else {
			c.files[m[1]] += m[2]
		}
	}
	for _, block := range blocks(aFence.ReplaceAllString(text, "")) {
		if strings.Contains(block, "\t") {
			c.files["tsv"] += block
			continue
		}
		for line := range strings.Lines(strings.ReplaceAll(block, "\\\n", "")) {
			line = aRemark.ReplaceAllString(strings.TrimSpace(line), "")
			c.lines = append(c.lines, manySpaces.ReplaceAllString(line, " "))
		}
	}
	return c
}

// blocks are what is indented by four blanks or, in a list, more, and stands after an empty
// line; so indented, words of a list's item go on.
func blocks(text string) []string {
	var list []string
	inside, after := false, true
	for line := range strings.Lines(text) {
		rest, indented := strings.CutPrefix(line, "    ")
		switch inside = indented && (inside || after); {
		case inside && after:
			list = append(list, rest)
		case inside:
			list[len(list)-1] += rest
		}
		after = strings.TrimSpace(line) == ""
	}
	return list
}

func (b *Book) chapter(heading string) chapter {
	b.t.Helper()
	c, ok := b.chapters[heading]
	if !ok {
		b.t.Fatalf("the manual has no chapter %q", heading)
	}
	return c
}

// Text is all of a chapter, without its heading.
func (b *Book) Text(heading string) string {
	b.t.Helper()
	return b.chapter(heading).text
}

// Lines are all commands of a chapter, of which there must be so many: who adds one has it
// typed, too.
func (b *Book) Lines(heading string, n int) []string {
	b.t.Helper()
	list := b.chapter(heading).lines
	if len(list) != n {
		b.t.Fatalf("the chapter %q has %d commands, want %d: %q", heading, len(list), n, list)
	}
	return list
}

// Scripts are the blocks of shell in a chapter.
func (b *Book) Scripts(heading string, n int) []string {
	b.t.Helper()
	list := b.chapter(heading).scripts
	if len(list) != n {
		b.t.Fatalf("the chapter %q has %d scripts, want %d", heading, len(list), n)
	}
	return list
}

// File is what a chapter shows to be written into a file, by its language: "toml", "tsv".
func (b *Book) File(heading, language string) string {
	b.t.Helper()
	text := b.chapter(heading).files[language]
	if text == "" {
		b.t.Fatalf("the chapter %q shows no %s", heading, language)
	}
	return text
}
