package farm

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of an excerpt and of the work of finding it.
const (
	MaxExcerpt    = 2000      // bytes of an excerpt
	excerptWindow = 512 << 10 // bytes at a log's end that are looked at
	tellingShare  = 1200      // bytes of an excerpt for lines that a rule knows
	maxLine       = 900       // bytes of one line: pip's longest telling one names two URLs with their hashes
	maxTelling    = 2000      // lines that the rules are tried on
	lastLines     = 3         // of each part of a rule that looks across lines
	gap           = "[...]\n" // stands for lines left out
)

var (
	// ansi is what terminals would obey: CSI and OSC sequences (ECMA-48).
	ansi = regexp.MustCompile(`\x1b(?:\[[0-9;:?<=>]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])`)
)

// Excerpt picks by the default rules the lines of a log that tell why its
// build failed.
func Excerpt(log []byte) string { return DefaultRules().Excerpt(log) }

// Excerpt picks at most MaxExcerpt bytes from the end of a log: the lines that
// the rules know, the most decisive first, and the last lines. The result is
// Clean and Classify finds in it what it would find in the lines themselves.
func (r *Rules) Excerpt(log []byte) string {
	if len(log) > excerptWindow {
		log = log[len(log)-excerptWindow:]
	}
	lines := cleanLines(string(log))
	pick, left := map[int]bool{}, MaxExcerpt
	take := func(i, floor int) bool {
		if cost := len(lines[i]) + 1 + len(gap); pick[i] || left-cost >= floor {
			if !pick[i] {
				pick[i], left = true, left-cost
			}
			return true
		}
		return false
	}
	for _, i := range r.decisive(lines) {
		take(i, MaxExcerpt-tellingShare)
	}
	for i := len(lines) - 1; i >= 0 && take(i, 0); i-- {
	}
	return joinPicked(lines, pick)
}

// hit is a line that a rule knows.
type hit struct{ rank, line int }

// decisive gives the lines that rules match, by the rule's place and then by
// their own, each text once.
func (r *Rules) decisive(lines []string) []int {
	text := strings.Join(lines, "\n")
	whole := fold(text)
	folded := strings.Split(whole, "\n")
	var able []int // rules that may match somewhere
	for k, rule := range r.rules {
		if rule.may(whole) && (rule.when == nil || rule.when.pattern.MatchString(text)) {
			able = append(able, k)
		}
	}
	hits := r.across(able, folded)
	seen := map[string]bool{}
	for i := len(lines) - 1; i >= 0 && len(seen) < maxTelling; i-- {
		if seen[lines[i]] {
			continue
		}
		rank, tried := r.rank(able, lines[i], folded[i])
		if tried {
			seen[lines[i]] = true
		}
		if rank >= 0 {
			hits = append(hits, hit{rank, i})
		}
	}
	slices.SortStableFunc(hits, func(a, b hit) int { return cmp.Or(a.rank-b.rank, a.line-b.line) })
	var out []int
	for _, h := range hits {
		out = append(out, h.line)
	}
	return out
}

// rank is the place of the first rule that matches one line, or -1, and whether
// any was tried.
func (r *Rules) rank(able []int, line, folded string) (rank int, tried bool) {
	for _, k := range able {
		if !allIn(r.rules[k].needles, folded) {
			continue
		}
		if tried = true; r.rules[k].pattern.MatchString(line) {
			return k, true
		}
	}
	return -1, tried
}

// across finds what the rules need that look across lines, or at more than one: of
// each of their parts the last lines that have it.
func (r *Rules) across(able []int, folded []string) []hit {
	var hits []hit
	for _, k := range able {
		rule := r.rules[k]
		var parts []needles
		if rule.crosses {
			parts = rule.needles
		}
		if rule.when != nil {
			parts = append(slices.Clone(parts), rule.when.needles...)
		}
		for _, part := range parts {
			for i, n := len(folded)-1, 0; i >= 0 && n < lastLines; i-- {
				if part.in(folded[i]) {
					hits = append(hits, hit{k, i})
					n++
				}
			}
		}
	}
	return hits
}

func joinPicked(lines []string, pick map[int]bool) string {
	var b strings.Builder
	last := -1
	for i, l := range lines {
		if !pick[i] {
			continue
		}
		if i != last+1 {
			b.WriteString(gap)
		}
		b.WriteString(l + "\n")
		last = i
	}
	return strings.TrimRight(b.String(), "\n")
}

// cleanLines cuts a text into Clean lines without the empty ones.
func cleanLines(s string) []string {
	var lines []string
	for _, l := range strings.FieldsFunc(ansi.ReplaceAllString(s, ""), func(c rune) bool { return c == '\n' || c == '\r' }) {
		if l = strings.TrimRightFunc(Clean(l), unicode.IsSpace); l != "" {
			lines = append(lines, clip(l, maxLine))
		}
	}
	return lines
}

// Clean makes foreign text safe for a terminal and a database: valid UTF-8,
// no NUL, no control characters but tab and newline, no terminal sequences, and
// nothing that is not seen or turns the direction of writing: text that looks like
// another one is believed.
func Clean(s string) string {
	s = ansi.ReplaceAllString(strings.ToValidUTF8(s, "\uFFFD"), "")
	return strings.Map(func(c rune) rune {
		if c == '\t' || c == '\n' || shows(c) {
			return c
		}
		return -1
	}, s)
}

// shows says whether a character is one that people see, or a blank of its own width.
// What fonts draw as nothing is often a letter or a mark by its category.
func shows(c rune) bool {
	if c < utf8.RuneSelf {
		return c >= ' ' && c != '\x7f'
	}
	const emptyBraille = '\u2800'
	return unicode.IsGraphic(c) && c != emptyBraille &&
		!unicode.In(c, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// clip cuts s to n bytes at the start of a character.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
