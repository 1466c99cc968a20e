package elffile

import (
	"cmp"
	"strconv"
	"strings"
)

// maxParts is more numbers than a version of a symbol has.
const maxParts = 8

// dotted says whether s is numbers with dots between them, as "2.34"; others, such as
// "PRIVATE", tell of no release.
func dotted(s string) bool {
	parts := strings.SplitN(s, ".", maxParts+1)
	if len(parts) > maxParts {
		return false
	}
	for _, p := range parts {
		if _, err := strconv.ParseUint(p, 10, 32); err != nil {
			return false
		}
	}
	return true
}

// Compare orders versions such as "2.9" and "2.34" by their numbers; what is none, as
// "", comes before all.
func Compare(a, b string) int {
	for {
		var x, y string
		x, a, _ = strings.Cut(a, ".")
		y, b, _ = strings.Cut(b, ".")
		if c := cmp.Compare(number(x), number(y)); c != 0 || a == "" && b == "" {
			return c
		}
	}
}

// number is -1 for what is none.
func number(s string) int64 {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return -1
	}
	return int64(n)
}
