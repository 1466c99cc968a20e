package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes as a flag: "10M", "1G", "512". The letters are
// powers of 1,024.
type Size int64

// Set reads the written form.
func (s *Size) Set(text string) error {
	units := map[string]int64{"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
	digits := strings.TrimRight(text, "KMGkmg")
	unit, ok := units[strings.ToUpper(text[len(digits):])]
	n, err := strconv.ParseUint(digits, 10, 63) // unsigned: no sign in front either
	if err != nil || !ok || int64(n) > math.MaxInt64/unit {
		return fmt.Errorf("%q is not a size such as 512, 64K, 10M or 1G", text)
	}
	*s = Size(int64(n) * unit)
	return nil
}

func (s *Size) String() string {
	n := int64(*s)
	for _, u := range []struct {
		letter string
		size   int64
	}{{"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}} {
		if n >= u.size && n%u.size == 0 {
			return strconv.FormatInt(n/u.size, 10) + u.letter
		}
	}
	return strconv.FormatInt(n, 10)
}

// Type names the kind of value in a flag's help.
func (s *Size) Type() string { return "size" }
