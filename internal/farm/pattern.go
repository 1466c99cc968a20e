package farm

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// maxPattern is how long an expression may be, in bytes: to find where a longer one
// is wrong would take long.
const maxPattern = 1000

// PatternError says what is wrong with a regular expression, and where.
type PatternError struct {
	Pattern string
	What    string // "missing closing )"
	At      int    // the character, from 1
}

// Error names the place.
func (e *PatternError) Error() string {
	return fmt.Sprintf("%.1000q: %s at character %d", e.Pattern, e.What, e.At)
}

// ParsePattern compiles a regular expression for logs: RE2, in which ^ and $ are the
// ends of lines. Errors are a *PatternError.
func ParsePattern(pattern string) (*regexp.Regexp, error) {
	if len(pattern) > maxPattern {
		return nil, &PatternError{pattern[:20] + "…", fmt.Sprintf("%d bytes are too many, at most %d", len(pattern), maxPattern), 1}
	}
	// Parsed alone first, so that the error speaks of what was written.
	if err := parses(pattern); err != nil {
		return nil, &PatternError{pattern, codeOf(err), utf8.RuneCountInString(pattern[:wrongAt(pattern, err)]) + 1}
	}
	re, err := regexp.Compile("(?m)" + pattern)
	if err != nil { // too large as a whole
		return nil, &PatternError{pattern, codeOf(err), 1}
	}
	return re, nil
}

func parses(pattern string) error {
	_, err := syntax.Parse(pattern, syntax.Perl)
	return err
}

// codeOf is the error without the expression, which is said beside it.
func codeOf(err error) string {
	var e *syntax.Error
	if !errors.As(err, &e) {
		return err.Error()
	}
	return e.Code.String()
}

// wrongAt is the byte at which an expression is wrong, which its parser does not tell:
// where the part begins that it names, in the shortest beginning that is as wrong,
// else behind the longest beginning that is right.
func wrongAt(pattern string, err error) int {
	var whole, e *syntax.Error
	errors.As(err, &whole)
	right := 0
	for n := 1; n <= len(pattern); n++ {
		err := parses(pattern[:n])
		switch {
		case err == nil:
			right = n
		case whole != nil && whole.Expr != "" && whole.Expr != pattern && errors.As(err, &e) && *e == *whole &&
			strings.HasSuffix(pattern[:n], whole.Expr):
			return n - len(whole.Expr)
		}
	}
	return right
}
