package pep

import (
	"cmp"
	"strings"
)

// number is a non-negative integer in decimal digits, without leading zeros;
// the empty number means that there is none. Versions may hold integers of any
// size (dates with times, hashes), so digits are kept, never an int.
type number string

const zero number = "0"

func newNumber(digits string) number {
	trimmed := strings.TrimLeft(digits, "0")
	if trimmed == "" && digits != "" {
		return zero
	}
	return number(trimmed)
}

// compare orders numbers by value; no number comes before zero.
func (n number) compare(m number) int {
	if c := cmp.Compare(len(n), len(m)); c != 0 {
		return c
	}
	return strings.Compare(string(n), string(m))
}
