package main

import (
	"slices"
	"strings"

	"pinwheel/internal/cli"
)

// column is one of a table.
type column struct {
	head   string
	number bool // to the right
}

// columns have these heads; those that begin with a > are of numbers.
func columns(heads ...string) []column {
	list := make([]column, len(heads))
	for i, h := range heads {
		text, number := strings.CutPrefix(h, ">")
		list[i] = column{text, number}
	}
	return list
}

const (
	gap       = 2  // blanks between columns
	leastLast = 16 // of the last column, while others are wider than that
)

// table prints rows in columns that are as wide as what stands in them. Where a
// terminal has no room for that, the widest are cut, and the last one goes on below
// itself: mostly it says why.
func (t teller) table(list []column, rows [][]string) {
	cells := [][]string{make([]string, len(list))}
	for i, c := range list {
		cells[0][i] = c.head
	}
	wide := make([]int, len(list))
	cells = append(cells, rows...)
	for n, row := range cells {
		cells[n] = slices.Clone(row)
		for i, cell := range row {
			cells[n][i] = strings.TrimRight(cli.Shown(cell), " ")
			wide[i] = max(wide[i], length(cells[n][i]))
		}
	}
	last := len(list) - 1
	room := t.squeeze(list, wide)
	for _, row := range cells {
		begin := ""
		for i, cell := range row[:last] {
			begin += padded(cut(cell, wide[i]), wide[i], list[i].number) + strings.Repeat(" ", gap)
		}
		lines := []string{padded(row[last], wide[last], list[last].number)}
		if room > 0 && length(row[last]) > room {
			lines = foldWords(row[last], room)
		}
		for n, text := range lines {
			if n == 1 {
				begin = strings.Repeat(" ", length(begin))
			}
			t.line("%s", strings.TrimRight(begin+text, " "))
		}
	}
}

// squeeze makes the columns before the last one narrower where the terminal has no
// room for them, the widest first, and gives what is left for that; 0: as much as it likes.
func (t teller) squeeze(list []column, wide []int) int {
	last := len(list) - 1
	if t.wide == 0 {
		return 0
	}
	room := t.wide
	for _, w := range wide[:last] {
		room -= w + gap
	}
	for least := min(wide[last], leastLast); room < least; room++ {
		widest := -1
		for i := range list[:last] {
			if !list[i].number && wide[i] > leastLast && (widest < 0 || wide[i] > wide[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break // what is too much is cut off
		}
		wide[widest]--
	}
	return max(room, 1)
}

func padded(s string, wide int, right bool) string {
	blanks := strings.Repeat(" ", max(0, wide-length(s)))
	if right {
		return blanks + s
	}
	return s + blanks
}

// length is in columns of a terminal, for text that people write here.
func length(s string) int { return len([]rune(s)) }

// foldWords parts a text into lines of at most so many columns; a word that is
// longer stands alone.
func foldWords(text string, wide int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && length(line)+1+length(word) > wide {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	return append(lines, line)
}
