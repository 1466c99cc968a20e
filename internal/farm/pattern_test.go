package farm

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestParsePatternNamesTheCharacter(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern string
		at      int
		what    string
	}{
		{"a(b", 2, "missing closing )"},
		{`é\((b[)]`, 4, "missing closing )"},
		{"(a)(b|(c)", 4, "missing closing )"},
		{"a)b", 2, "unexpected )"},
		{"(a))b", 4, "unexpected )"},
		{"[]()]x)", 7, "unexpected )"},
		{"ab[z", 3, "missing closing ]"},
		{"a**", 2, "invalid nested repetition operator"},
		{"*a", 1, "missing argument to repetition operator"},
		{"a*(*)", 4, "missing argument to repetition operator"},
		{"x[z-a]", 3, "invalid character class range"},
		{"a{1001}", 2, "invalid repeat count"},
		{`äö\8`, 3, "invalid escape sequence"},
		{`ab\`, 3, "trailing backslash at end of expression"},
		{"a(?=b)", 2, "invalid or unsupported Perl syntax"},
		{"a\xff", 2, "invalid UTF-8"},
		{strings.Repeat("x", 1001), 1, "1001 bytes are too many, at most 1000"},
	} {
		_, err := ParsePattern(c.pattern)
		var e *PatternError
		if !errors.As(err, &e) {
			t.Errorf("ParsePattern(%q) = %v", c.pattern, err)
			continue
		}
		if e.What != c.what || e.At != c.at {
			t.Errorf("ParsePattern(%q): character %d: %q; want %d: %q", c.pattern, e.At, e.What, c.at, c.what)
		}
	}
	if _, err := ParsePattern("a(b"); err.Error() != `"a(b": missing closing ) at character 2` {
		t.Error(err)
	}
	if re, err := ParsePattern(`^two$`); err != nil || !re.MatchString("one\ntwo\nthree") {
		t.Errorf("lines: %v", err)
	}
}

func FuzzParsePattern(f *testing.F) {
	for _, s := range []string{"a(b", `\Q(`, "[^]", "(?P<n>a)|b{2,3}", "\\", "é)"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, pattern string) {
		_, err := ParsePattern(pattern)
		var e *PatternError
		if err == nil {
			return
		}
		if !errors.As(err, &e) || e.At < 1 || e.At > utf8.RuneCountInString(pattern)+1 || e.What == "" {
			t.Errorf("ParsePattern(%q) = %#v", pattern, err)
		}
	})
}
