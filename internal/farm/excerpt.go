package farm

import (
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
	gap           = "[...]\n" // stands for lines left out
)

var (
	// ansi is what terminals would obey: CSI and OSC sequences (ECMA-48).
	ansi = regexp.MustCompile(`\x1b(?:\[[0-9;:?<=>]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])`)
)

// signs are what a line must hold, in lower case, for the rules to be tried on
// it: wide on purpose, and much cheaper than a hundred expressions.
func signs() []string {
	return []string{"error", "exception", "fatal", "cannot", "can't", "can not", "could not",
		"unable", "not found", "no such", "no module", "no package", "no matching", "must be",
		"installed", "require", "killed", "exhausted", "memory", "bad_alloc", "no space", "quota",
		"undefined", "refused", "timed out", "unreachable", "fault", "abort", "invalid", "conflict",
		"missing", "python 2", "resolve", "make", "ninja", "retrying", "deprecated", "ioctl",
		"warning: requested", "name or service", "reset by peer", "exit code", "failed", "version"}
}

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

// decisive gives the lines that rules match, by the rule's place and then by
// their own, each text once.
func (r *Rules) decisive(lines []string) []int {
	type hit struct{ rank, line int }
	var hits []hit
	seen, signs := map[string]bool{}, signs()
	for i := len(lines) - 1; i >= 0 && len(seen) < maxTelling; i-- {
		if seen[lines[i]] || !holdsAny(strings.ToLower(lines[i]), signs) {
			continue
		}
		seen[lines[i]] = true
		if k := r.rank(lines[i]); k >= 0 {
			hits = append(hits, hit{k, i})
		}
	}
	slices.SortFunc(hits, func(a, b hit) int {
		if a.rank != b.rank {
			return a.rank - b.rank
		}
		return a.line - b.line
	})
	var out []int
	for _, h := range hits {
		out = append(out, h.line)
	}
	return out
}

func holdsAny(s string, parts []string) bool {
	return slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(s, p) })
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
// no NUL, no control characters but tab and newline, no terminal sequences, no
// characters that turn the direction of writing.
func Clean(s string) string {
	s = ansi.ReplaceAllString(strings.ToValidUTF8(s, "\uFFFD"), "")
	return strings.Map(func(c rune) rune {
		if c == '\t' || c == '\n' {
			return c
		}
		if unicode.IsControl(c) || unicode.Is(unicode.Bidi_Control, c) {
			return -1
		}
		return c
	}, s)
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
