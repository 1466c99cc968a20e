package pep

import (
	"strconv"
	"strings"
	"unicode"
)

// quote makes foreign text fit for a one-line error: escaped, and short, since
// a hostile name may be megabytes long.
func quote(s string) string {
	const most = 100
	if len(s) > most {
		return strconv.QuoteToASCII(s[:most]) + "…"
	}
	return strconv.QuoteToASCII(s)
}

// trim takes white space off both ends.
func trim(s string) string { return strings.TrimFunc(s, isSpace) }

// isSpace is white space as Python has it: four separators of ASCII more than Go.
func isSpace(r rune) bool { return unicode.IsSpace(r) || 0x1c <= r && r <= 0x1f }

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isAlnum(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// only says whether s consists of letters, digits and the bytes in extra, all
// of them ASCII.
func only(s, extra string) bool {
	for i := range len(s) {
		if !isAlnum(s[i]) && strings.IndexByte(extra, s[i]) < 0 {
			return false
		}
	}
	return true
}
