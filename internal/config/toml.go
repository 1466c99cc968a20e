package config

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// The kinds of values that a settings file can hold.
const (
	kindString  = "a string"
	kindInteger = "a number"
	kindBool    = "true or false"
	kindTable   = "a [[table]]"
)

// entry is one setting of a settings file.
type entry struct {
	key, value string
	kind       string
	line       int
}

// parseTOML reads a settings file (TOML 1.0): keys at the top level with a
// string, a whole number or a boolean; below them [NAME] sections, whose keys KEY are
// those of the settings NAME-KEY, and [[KEY]] tables of strings, each of which is one
// value of a setting that takes several. The library decodes; the walk over its
// syntax tree is for the lines, which every error about a setting names. No
// error repeats a value: it may be a password whose quotes were forgotten.
func parseTOML(path string, data []byte) ([]entry, error) {
	values := map[string]any{}
	if err := toml.Unmarshal(data, &values); err != nil {
		return nil, badTOML(path, err)
	}
	var list []entry
	var in tables
	seen := map[string]int{} // lines by key
	parser := unstable.Parser{}
	parser.Reset(data)
	for parser.NextExpression() {
		node := parser.Expression()
		line := 0
		if key := node.Key(); key.Next() {
			line = parser.Shape(key.Node().Raw).Start.Line
		}
		if in.takes(node) { // as a part of the entry before it
			continue
		}
		e, err := in.read(node, values)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, line, err)
		}
		if e.kind == "" { // a section begins
			continue
		}
		if before, twice := seen[e.key]; twice && e.kind != kindTable {
			return nil, fmt.Errorf("%s:%d: %s stands in line %d already", path, line, e.key, before)
		}
		seen[e.key], e.line = line, line
		list = append(list, e)
	}
	return list, nil
}

// badTOML names the line with the library's word, but without its picture of
// the text.
func badTOML(path string, err error) error {
	var decode *toml.DecodeError
	if errors.As(err, &decode) {
		line, _ := decode.Position()
		return fmt.Errorf("%s:%d: %s; want KEY = \"VALUE\", KEY = NUMBER, or KEY = true", path, line, decode.Error())
	}
	return fmt.Errorf("%s: %w", path, err)
}

// entryOf is the setting of one expression, in the section of that name or, without
// one, at the top level.
func entryOf(node *unstable.Node, section string, values map[string]any) (entry, error) {
	parts := node.Key()
	parts.Next()
	key := string(parts.Node().Data)
	if parts.Next() {
		return entry{}, fmt.Errorf("%s: settings have no dots in their keys", key)
	}
	e, value := entry{key: key}, values[key]
	if section != "" {
		table, _ := values[section].(map[string]any)
		e.key, value = section+"-"+key, table[key]
	}
	switch v := value.(type) {
	case string:
		e.value, e.kind = v, kindString
	case int64:
		e.value, e.kind = strconv.FormatInt(v, 10), kindInteger
	case bool:
		e.value, e.kind = strconv.FormatBool(v), kindBool
	default:
		return entry{}, fmt.Errorf("%s: want a \"string\" in quotes, a whole number, true or false", e.key)
	}
	return e, nil
}

// fits holds the kind of a value against the type of its flag. Numbers would fit
// into strings, but who writes `listen = 7070` means something else.
func (e entry) fits(flagType string) error {
	want := kindString
	switch flagType {
	case tablesType:
		want = kindTable
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
