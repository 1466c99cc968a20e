package pep

import (
	"strings"
	"unicode"
)

// ValidName says whether s may be the name of a project (PEP 508): ASCII
// letters, digits, dots, dashes and underscores, a letter or digit at both ends.
func ValidName(s string) bool {
	return s != "" && isAlnum(s[0]) && isAlnum(s[len(s)-1]) && only(s, "-_.")
}

// NormalizeName returns the form under which names are compared and served
// (PEP 503): lower-case, every run of dashes, dots and underscores one dash.
//
// It takes any text. A name that is not valid may become one (the Kelvin sign
// turns into a k), so names from outside go through ValidName first.
func NormalizeName(s string) string {
	if isNormalName(s) {
		return s // nearly every name there is: no copy
	}
	var b strings.Builder
	b.Grow(len(s))
	inRun := false
	for _, r := range s {
		isSep := r == '-' || r == '_' || r == '.'
		switch {
		case isSep && !inRun:
			b.WriteByte('-')
		case r == 'İ':
			b.WriteString("i\u0307") // the one letter whose lower case is two
		case !isSep:
			b.WriteRune(unicode.ToLower(r))
		}
		inRun = isSep
	}
	return b.String()
}

// isNormalName may say no to a normal name, never yes to another.
func isNormalName(s string) bool {
	prev := byte(0)
	for i := range len(s) {
		c := s[i]
		lower := isDigit(c) || 'a' <= c && c <= 'z'
		if !lower && (c != '-' || prev == '-') {
			return false
		}
		prev = c
	}
	return true
}
