package farm

import (
	"regexp/syntax"
	"slices"
	"strings"
)

// needles are words, folded, of which a text must hold at least one for a pattern
// to match. They are what makes hundreds of patterns cheap, and they are taken from
// the patterns: a new rule needs nobody who keeps a list of words.
type needles []string

// shortest is how long a needle must be to be of use, in bytes.
const shortest = 2

// in says whether the folded text holds one of the needles.
func (n needles) in(folded string) bool {
	return slices.ContainsFunc(n, func(s string) bool { return strings.Contains(folded, s) })
}

// allIn says whether the folded text answers all sets.
func allIn(sets []needles, folded string) bool {
	return !slices.ContainsFunc(sets, func(n needles) bool { return !n.in(folded) })
}

// weight orders sets of needles: long words are rare, and few are quick to look for.
func (n needles) weight() int {
	if len(n) == 0 {
		return 0
	}
	short := len(n[0])
	for _, s := range n {
		short = min(short, len(s))
	}
	return 100*min(short, 12) - len(n)
}

// look finds the needles of a pattern that parses, one set for each of its parts
// that has some, and whether it looks across lines: whether a dot may be a newline.
func look(pattern string) (sets []needles, crosses bool) {
	re, err := syntax.Parse("(?m)"+pattern, syntax.Perl)
	if err != nil {
		return nil, false
	}
	return partsOf(re.Simplify()), crossing(re)
}

func crossing(re *syntax.Regexp) bool {
	return re.Op == syntax.OpAnyChar || slices.ContainsFunc(re.Sub, crossing)
}

// partsOf lists sets that a text must all answer.
func partsOf(re *syntax.Regexp) []needles {
	switch re.Op {
	case syntax.OpConcat:
		var all []needles
		for _, sub := range re.Sub {
			all = append(all, partsOf(sub)...)
		}
		return all
	case syntax.OpCapture, syntax.OpPlus:
		return partsOf(re.Sub[0])
	case syntax.OpAlternate:
		var either needles
		for _, sub := range re.Sub {
			best := bestOf(partsOf(sub))
			if best == nil {
				return nil
			}
			either = append(either, best...)
		}
		return []needles{either}
	case syntax.OpLiteral:
		if s := longestASCII(re); len(s) >= shortest {
			return []needles{{s}}
		}
	}
	return nil
}

func bestOf(sets []needles) needles {
	var best needles
	for _, n := range sets {
		if n.weight() > best.weight() {
			best = n
		}
	}
	return best
}

// longestASCII folds a literal's longest run of ASCII. What else folds to a k or
// an s, or is no ASCII, is left to the pattern itself.
func longestASCII(re *syntax.Regexp) string {
	odd := func(r rune) bool {
		return r >= 0x80 || re.Flags&syntax.FoldCase != 0 && strings.ContainsRune("kKsS", r)
	}
	best := ""
	for _, s := range strings.FieldsFunc(string(re.Rune), odd) {
		if len(s) > len(best) {
			best = s
		}
	}
	return fold(best)
}

// fold makes ASCII letters small and leaves all else as it is.
func fold(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
