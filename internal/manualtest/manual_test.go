package manualtest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestBook: what is a command in a chapter, and what is not.
func TestBook(t *testing.T) {
	t.Parallel()
	b := read(t, "# Title\n\n    before all chapters\n\n## One\n\n    a --flag   'b c'    # and why\n    d \\\n        e\n\nWords\n    that go on.\n\n"+
		"1. *An item*, and then\n\n       f g\n\n    h\n\n```sh\ni\n\n    j\n```\n### Two\n\n    x\ty\n    z\t(\\w+)  # no remark\n\n```toml\nk = 1\n```\n")
	if diff := cmp.Diff([]string{"a --flag 'b c'", "d e", "f g", "h"}, b.Lines("One", 4)); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	if got := b.Scripts("One", 1)[0]; got != "i\n\n    j\n" {
		t.Errorf("script: %q", got)
	}
	if got := b.File("Two", "tsv") + b.File("Two", "toml"); got != "x\ty\nz\t(\\w+)  # no remark\nk = 1\n" {
		t.Errorf("files: %q", got)
	}
	b.Lines("Two", 0)
}

// typist is who types a chapter: a file of tests, or a script.
type typist struct {
	who     string
	scripts bool     // the blocks of shell, not the lines
	n       int      // so many of them
	lines   []string // by a script: the words of each, in order
}

// elsewhere are the lines that no test types word for word: what in which file does the same,
// and why the test cannot.
func elsewhere() map[string]struct{ file, has, why string } {
	return map[string]struct{ file, has, why string }{
		"make cross": {".ci/run", "\nstep cross\n",
			"it compiles everything twice more, which is a step of CI's own"},
		"make build cross": {".ci/run", "\nstep cross\n",
			"the same, and make build, which is typed as a line of its own"},
		`sudo make armroot ARMROOTFLAGS="--suite bookworm --mirror $RASPBIAN --keyring /usr/share/keyrings/raspbian-archive-keyring.gpg"`: {
			"internal/armtest/mirror_test.go", "func TestRootOfTwoMirrors(",
			"it wants a mirror of Raspbian; these flags are tried with mirrors and keys of the test's own"},
	}
}

var (
	aTyping = regexp.MustCompile(`\.([lL]ines|[sS]cripts)\("([^"]+)", (\d+)\)`)
	aLook   = regexp.MustCompile(`^(!? ?(stdout|stderr|exists|grep|cmp)|until|await) `)
)

// typists are all of them, by chapter.
func typists(t *testing.T) map[string][]typist {
	t.Helper()
	all := map[string][]typist{}
	for _, pattern := range []string{"*_test.go", "../armtest/*_test.go", "../racktest/*_test.go"} {
		for path, text := range files(t, pattern) {
			for _, m := range aTyping.FindAllStringSubmatch(text, -1) {
				if path == "manual_test.go" {
					continue // it tells this program's own reading
				}
				var n int
				if _, err := fmt.Sscan(m[3], &n); err != nil {
					t.Fatal(err)
				}
				all[m[2]] = append(all[m[2]], typist{who: path, scripts: strings.EqualFold(m[1], "scripts"), n: n})
			}
		}
	}
	for path, text := range files(t, "testdata/*.txtar") {
		for heading, lines := range typedBy(t, path, text) {
			all[heading] = append(all[heading], typist{who: path, n: len(lines), lines: lines})
		}
	}
	return all
}

func files(t *testing.T, pattern string) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: %d files, %v", pattern, len(paths), err)
	}
	all := map[string]string{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all[path] = string(text)
	}
	return all
}

// typedBy are the lines that a script types, by chapter. Behind each it must look at what came
// of it.
func typedBy(t *testing.T, path, text string) map[string][]string {
	t.Helper()
	all, heading, looked := map[string][]string{}, "", true
	for line := range strings.Lines(text + "-- end --\n") {
		line = strings.TrimSpace(line)
		command, typed := strings.CutPrefix(line, "types ")
		if (typed || strings.HasPrefix(line, "-- ")) && !looked {
			t.Errorf("%s does not look at what came of the line before %q", path, line)
		}
		switch name, ok := strings.CutPrefix(line, "chapter "); {
		case typed:
			all[heading] = append(all[heading], strings.Join(words(command), " "))
			looked = false
		case ok:
			heading = words(name)[0]
		case aLook.MatchString(line), strings.HasPrefix(line, "-- "):
			looked = true
		}
	}
	return all
}

// TestEveryCommandIsTyped: each line of each chapter by one test.
func TestEveryCommandIsTyped(t *testing.T) {
	t.Parallel()
	b, all := Open(t), typists(t)
	used := map[string]bool{}
	for _, heading := range b.headings {
		c := b.chapters[heading]
		holds(t, heading, false, c.lines, all[heading], used)
		holds(t, heading, true, c.scripts, all[heading], used)
		delete(all, heading)
	}
	for heading, by := range all {
		t.Errorf("%s types the chapter %q, which the manual has not", by[0].who, heading)
	}
	for line, e := range elsewhere() {
		text, err := os.ReadFile("../../" + e.file)
		if err != nil || !strings.Contains(string(text), e.has) || !used[line] {
			t.Errorf("%s is said to be tried in %s by %q, since %s; that is not there, or the line is not (%v)", line, e.file, e.has, e.why, err)
		}
	}
}

// holds holds the lines of a chapter, or its scripts, to those who type them.
func holds(t *testing.T, heading string, scripts bool, lines []string, by []typist, used map[string]bool) {
	t.Helper()
	by = slices.DeleteFunc(slices.Clone(by), func(x typist) bool { return x.scripts != scripts })
	who := map[string]bool{}
	for _, x := range by {
		who[x.who] = true
	}
	switch {
	case len(lines) > 0 && len(who) == 0:
		t.Errorf("the chapter %q has %d commands, which no test types: give them to a script in internal/manualtest/testdata: %q", heading, len(lines), lines)
	case len(who) > 1:
		t.Errorf("the chapter %q is typed by more than one: %v", heading, who)
	}
	var want []string
	for _, line := range lines {
		want = append(want, strings.Join(words(line), " "))
		used[line] = true
	}
	for _, x := range by {
		switch {
		case x.n != len(lines):
			t.Errorf("the chapter %q has %d commands, and %s types %d\nmanual: %q\ntyped:  %q", heading, len(lines), x.who, x.n, want, x.lines)
		case x.lines != nil && !slices.Equal(x.lines, want):
			t.Errorf("%s types the chapter %q in another way (-manual +typed):\n%s", x.who, heading, cmp.Diff(want, x.lines))
		}
	}
}
