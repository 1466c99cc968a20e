package bus

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The forms by hand are those of these expressions.
func TestForms(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, means string
		is          func(string) bool
	}{
		{"word", `^[!-~]{1,128}$`, isWord},
		{"file name", `^[^/\x00-\x1f\x7f]{1,255}$`, isFileName},
		{"SHA-256", `^[0-9a-f]{64}$`, isSHA256},
		{"kind", `^[a-z0-9-]{1,64}$`, isKind},
	} {
		form := regexp.MustCompile(c.means)
		try := func(s string) {
			if got := c.is(s); got != form.MatchString(s) {
				t.Errorf("%s %q: %v", c.name, s, got)
			}
		}
		for _, n := range []int{0, 1, 63, 64, 65, 127, 128, 129, 254, 255, 256} {
			for _, one := range []string{"a", "f", "g", "-", "~", " ", "é", "\xff", "\n"} {
				try(strings.Repeat(one, n))
				try("a" + strings.Repeat("a", n) + one)
			}
		}
		for r := range rune(0x250) {
			try("a" + string(r))
		}
		rapid.Check(t, func(t *rapid.T) { try(string(rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "s"))) })
	}
}
