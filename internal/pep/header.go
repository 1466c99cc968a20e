package pep

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// header is a block of "Name: value" lines, as at the head of a mail.
type header struct {
	fields map[string][]string // by name in lower case, in the order of the file
}

// parseHeader reads b up to the first empty line; what follows is a description
// and does not matter here, except that it too must be UTF-8.
//
// Python reads these files with its mail parser, for which a lone carriage
// return ends a line: one inside a value could hide a field from us that pip
// sees. So does a line that is no field: it ends the block for Python. Both are
// errors here.
func parseHeader(b []byte) (header, error) {
	if !utf8.Valid(b) {
		return header{}, errors.New("not valid UTF-8")
	}
	h := header{fields: map[string][]string{}}
	var field []string // the lines of the field that is being read
	rest, more := string(b), true
	for line := ""; more; {
		line, rest, more = strings.Cut(rest, "\n")
		if line = strings.TrimSuffix(line, "\r"); line == "" {
			break
		}
		if strings.ContainsAny(line, "\r\x00") {
			return header{}, fmt.Errorf("line %s: a control character in a field", quote(line))
		}
		if folded := line[0] == ' ' || line[0] == '\t'; !folded {
			if err := h.add(field); err != nil {
				return header{}, err
			}
			field = field[:0]
		}
		field = append(field, line)
	}
	return h, h.add(field)
}

// add stores a field whose lines are complete; folded lines become one.
func (h header) add(lines []string) error {
	if len(lines) == 0 {
		return nil
	}
	name, first, ok := strings.Cut(lines[0], ":")
	if !ok || name == "" || !only(name, "-_") {
		return fmt.Errorf("line %s: not in the form Name: value", quote(lines[0]))
	}
	value := strings.TrimSpace(first)
	if len(lines) > 1 {
		words := []string{value}
		for _, line := range lines[1:] {
			words = append(words, strings.TrimSpace(line))
		}
		value = strings.TrimSpace(strings.Join(words, " "))
	}
	name = strings.ToLower(name)
	h.fields[name] = append(h.fields[name], value)
	return nil
}

// all returns every value of a field.
func (h header) all(name string) []string { return h.fields[strings.ToLower(name)] }

// one returns the value of a field that may stand there once. Of a field that
// stands there twice, readers disagree about which counts.
func (h header) one(name string) (string, error) {
	switch values := h.all(name); len(values) {
	case 0:
		return "", nil
	case 1:
		return values[0], nil
	}
	return "", fmt.Errorf("%s stands there more than once", name)
}

// need returns the value of a field that must stand there once, not empty.
func (h header) need(name string) (string, error) {
	value, err := h.one(name)
	if err == nil && value == "" {
		err = fmt.Errorf("%s is missing", name)
	}
	return value, err
}
