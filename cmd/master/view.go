package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"pinwheel/internal/cli"
	"pinwheel/internal/farm"
)

// tableWidth is how wide lines may be: a terminal's width, and as long as they are
// where a program reads them.
func tableWidth(out io.Writer) int {
	if !cli.IsTerminal(out) {
		return 0
	}
	wide, _ := size(out)
	return wide
}

// byRank puts the names of targets in order, the lowest Python first.
func byRank(names []string) []string {
	rank := func(name string) int {
		t, _ := farm.ParseTarget(name) // no target: before all
		return t.PythonRank()
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b)) })
	return names
}

// teller prints lines for people, none wider than their terminal.
type teller struct {
	out  io.Writer
	wide int // 0: not a terminal
	now  time.Time
}

func newTeller(out io.Writer) teller {
	return teller{out: out, wide: tableWidth(out), now: time.Now()}
}

func (t teller) line(format string, args ...any) {
	text := cli.Shown(fmt.Sprintf(format, args...))
	if t.wide > 0 {
		text = cut(text, t.wide)
	}
	fmt.Fprintln(t.out, text)
}

// whole prints a line that is meant to be copied.
func (t teller) whole(format string, args ...any) { cli.Say(t.out, format, args...) }

// wrapped prints below a line what explains it, indented, on a terminal in a few
// lines, for the reason often stands at the end.
func (t teller) wrapped(format string, args ...any) {
	text, indent := cli.Shown(fmt.Sprintf(format, args...)), "  "
	const most = 4
	for n := 1; t.wide > 0 && n < most && len(indent)+length(text) > t.wide; n++ {
		at := strings.LastIndexByte(string([]rune(text)[:t.wide-len(indent)]), ' ')
		if at <= 0 {
			break
		}
		t.line("%s%s", indent, text[:at])
		text, indent = text[at+1:], "    "
	}
	t.line("%s%s", indent, text)
}

// folded prints a text, indented, in lines of at most 80 columns, or as wide as the
// terminal is; a word that is longer stands alone.
func (t teller) folded(indent int, text string) {
	for _, line := range foldWords(cli.OneLine(text), cmp.Or(t.wide, 80)-indent) {
		t.line("%*s%s", indent, "", line)
	}
}

// bars draws numbers as a row of columns, the largest of them full. What is not
// zero shows.
func bars(numbers []int64) string {
	steps := []rune("▁▂▃▄▅▆▇█")
	var most int64
	for _, n := range numbers {
		most = max(most, n)
	}
	var b strings.Builder
	for _, n := range numbers {
		if n <= 0 {
			b.WriteRune('·')
			continue
		}
		b.WriteRune(steps[(n*int64(len(steps))-1)/most])
	}
	return b.String()
}
