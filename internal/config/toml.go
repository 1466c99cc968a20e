package config

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The kinds of values that a settings file can hold.
const (
	kindString  = "a string"
	kindInteger = "a number"
	kindBool    = "true or false"
)

// entry is one line `key = value` of a settings file.
type entry struct {
	key, value string
	kind       string
	line       int
}

var (
	bareKey = regexp.MustCompile(`^[A-Za-z0-9_-]+`)
	// integer is TOML's decimal one: no leading zeros, underscores between digits.
	integer = regexp.MustCompile(`^[+-]?(0|[1-9](_?[0-9])*)$`)
)

// parseTOML reads a settings file: the part of TOML 1.0 that settings need, which is
// one `key = value` per line with a string, a decimal integer or a boolean, and
// comments. What else TOML has (tables, lists, dates, text of several lines) is
// no setting, and an error that names the line. Whatever this takes, every TOML
// parser reads as the same.
func parseTOML(path string, data []byte) ([]entry, error) {
	if !utf8.Valid(data) {
		return nil, fmt.Errorf("%s: it is not text in UTF-8", path)
	}
	var list []entry
	seen := map[string]int{}
	for i, text := range strings.Split(strings.ReplaceAll(string(data), "\r\n", "\n"), "\n") {
		line := i + 1
		e, ok, err := parseLine(text)
		if err == nil && ok && seen[e.key] != 0 {
			err = fmt.Errorf("key %q stands in line %d already", e.key, seen[e.key])
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, line, err)
		}
		if ok {
			e.line, seen[e.key] = line, line
			list = append(list, e)
		}
	}
	return list, nil
}

// parseLine reads one line; ok says that it holds a setting.
func parseLine(s string) (e entry, ok bool, err error) {
	if i := strings.IndexFunc(s, forbidden); i >= 0 {
		return e, false, fmt.Errorf("control character %+q", s[i])
	}
	s = blank(s)
	if s == "" || s[0] == '#' {
		return e, false, nil
	}
	if s[0] == '[' {
		return e, false, fmt.Errorf("%.40s: settings stand at the top level, without tables", s)
	}
	if e.key, s, err = parseKey(s); err != nil {
		return e, false, err
	}
	if s = blank(s); !strings.HasPrefix(s, "=") {
		return e, false, fmt.Errorf("want %s = VALUE", e.key)
	}
	e.value, e.kind, s, err = parseValue(blank(s[1:]))
	if err != nil {
		return e, false, fmt.Errorf("%s: %w", e.key, err)
	}
	if s = blank(s); s != "" && s[0] != '#' {
		return e, false, fmt.Errorf("%s: nothing may follow its value but a comment", e.key)
	}
	return e, true, nil
}

func blank(s string) string { return strings.TrimLeft(s, " \t") }

// forbidden is what TOML allows neither in strings nor in comments.
func forbidden(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

func parseKey(s string) (key, rest string, err error) {
	switch key = bareKey.FindString(s); {
	case s[0] == '"' || s[0] == '\'':
		key, rest, err = parseString(s)
	case key == "":
		return "", "", fmt.Errorf("%.40q: want KEY = VALUE", s)
	default:
		rest = s[len(key):]
	}
	if err == nil && strings.HasPrefix(blank(rest), ".") {
		err = fmt.Errorf("%s: settings have no dots in their keys", key)
	}
	return key, rest, err
}

// parseValue never repeats what it does not take: it may be a password whose
// quotes were forgotten.
func parseValue(s string) (value, kind, rest string, err error) {
	if s != "" && (s[0] == '"' || s[0] == '\'') {
		value, rest, err = parseString(s)
		return value, kindString, rest, err
	}
	end := strings.IndexAny(s, " \t#")
	if end < 0 {
		end = len(s)
	}
	switch value, rest = s[:end], s[end:]; {
	case value == "true", value == "false":
		return value, kindBool, rest, nil
	case integer.MatchString(value):
		value = strings.TrimPrefix(strings.ReplaceAll(value, "_", ""), "+")
		if _, err := strconv.ParseInt(value, 10, 64); err != nil {
			return "", "", "", fmt.Errorf("the number does not fit into 64 bits")
		}
		return value, kindInteger, rest, nil
	}
	return "", "", "", fmt.Errorf(`want a "string" in quotes, a whole number, true or false`)
}

// parseString reads a string in either kind of quotes.
func parseString(s string) (value, rest string, err error) {
	if strings.HasPrefix(s, `"""`) || strings.HasPrefix(s, "'''") {
		return "", "", fmt.Errorf("strings of several lines are no settings")
	}
	if s[0] == '\'' {
		value, rest, ok := strings.Cut(s[1:], "'")
		if !ok {
			return "", "", fmt.Errorf("the string has no end")
		}
		return value, rest, nil
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], nil
		case '\\':
			r, n, err := escape(s[i+1:])
			if err != nil {
				return "", "", err
			}
			b.WriteRune(r)
			i += n
		default:
			b.WriteByte(s[i])
		}
	}
	return "", "", fmt.Errorf("the string has no end")
}

// escape reads what follows a backslash: the rune, and how many bytes it took.
func escape(s string) (rune, int, error) {
	if s == "" {
		return 0, 0, fmt.Errorf("the string has no end")
	}
	plain := map[byte]rune{'b': '\b', 't': '\t', 'n': '\n', 'f': '\f', 'r': '\r', '"': '"', '\\': '\\'}
	if r, ok := plain[s[0]]; ok {
		return r, 1, nil
	}
	digits := map[byte]int{'u': 4, 'U': 8}[s[0]]
	if digits == 0 || len(s) < 1+digits {
		return 0, 0, fmt.Errorf(`\%c is no escape; a backslash itself is \\`, s[0])
	}
	n, err := strconv.ParseUint(s[1:1+digits], 16, 32)
	if err != nil || !utf8.ValidRune(rune(n)) {
		return 0, 0, fmt.Errorf(`\%s is no character`, s[:1+digits])
	}
	return rune(n), 1 + digits, nil
}

// fits holds the kind of a value against the type of its flag. Numbers would fit
// into strings, but who writes `listen = 7070` means something else.
func (e entry) fits(flagType string) error {
	want := kindString
	switch flagType {
	case "bool":
		want = kindBool
	case "int", "int64":
		want = kindInteger
	case "size":
		if e.kind == kindInteger { // bytes
			return nil
		}
	}
	if e.kind != want {
		return fmt.Errorf("want %s, not %s", want, e.kind)
	}
	return nil
}
