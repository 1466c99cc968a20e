package config

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// Table is one [[KEY]] of a file that is a list of tables.
type Table[T any] struct {
	Line  int // where it begins
	Value T
}

// ReadTables reads a TOML file that holds nothing but tables of one kind, each
// written as [[KEY]]. It is strict: a key that T has not is an error, like all of
// them with its line.
func ReadTables[T any](path, key string, data []byte) ([]Table[T], error) {
	lines, err := tableLines(path, key, data)
	if err != nil {
		return nil, err
	}
	doc := map[string][]T{}
	if err := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields().Decode(&doc); err != nil {
		return nil, badTables(path, reflect.TypeFor[T](), err)
	}
	var out []Table[T]
	for i, v := range doc[key] {
		out = append(out, Table[T]{lines[i], v})
	}
	return out, nil
}

// badTables names the line and the key, and what is wanted there.
func badTables(path string, table reflect.Type, err error) error {
	var missing *toml.StrictMissingError
	if errors.As(err, &missing) && len(missing.Errors) > 0 {
		line, _ := missing.Errors[0].Position()
		key := missing.Errors[0].Key()
		var known []string
		for _, f := range tomlFields(table) {
			known = append(known, f.name)
		}
		return fmt.Errorf("%s:%d: unknown key %q; there are %s", path, line, strings.Join(key[min(1, len(key)-1):], "."), strings.Join(known, ", "))
	}
	var wrong *toml.DecodeError
	if !errors.As(err, &wrong) {
		return fmt.Errorf("%s: %w", path, err)
	}
	line, _ := wrong.Position()
	for _, f := range tomlFields(table) {
		if key := wrong.Key(); len(key) > 1 && key[1] == f.name {
			return fmt.Errorf("%s:%d: %s: want %s", path, line, f.name, f.kind)
		}
	}
	return fmt.Errorf("%s:%d: %s", path, line, strings.TrimPrefix(wrong.Error(), "toml: "))
}

// tableLines are the lines at which the tables begin. What stands outside of them
// is an error.
func tableLines(path, key string, data []byte) ([]int, error) {
	var lines []int
	parser := unstable.Parser{}
	parser.Reset(data)
	for parser.NextExpression() {
		node := parser.Expression()
		parts := node.Key()
		parts.Next()
		line := parser.Shape(parts.Node().Raw).Start.Line
		first, nested := string(parts.Node().Data) == key, parts.Next()
		switch {
		case node.Kind == unstable.ArrayTable && first && !nested:
			lines = append(lines, line)
		case node.Kind == unstable.KeyValue && len(lines) > 0: // of the table before it
		case node.Kind == unstable.Table && first && nested && len(lines) > 0:
		default:
			return nil, fmt.Errorf("%s:%d: want nothing but tables that begin with [[%s]]", path, line, key)
		}
	}
	return lines, nil // what does not parse is found again, with its line, by who decodes
}

// tomlField is a key of a struct, and what it takes in people's words.
type tomlField struct{ name, kind string }

// tomlFields are the keys of a struct, in its order.
func tomlFields(t reflect.Type) []tomlField {
	kinds := map[reflect.Kind]string{reflect.String: kindString, reflect.Int: kindInteger, reflect.Bool: kindBool,
		reflect.Slice: "a list of strings", reflect.Map: "a table of strings"}
	var fields []tomlField
	for i := range t.NumField() {
		if name, _, _ := strings.Cut(t.Field(i).Tag.Get("toml"), ","); name != "" && name != "-" {
			fields = append(fields, tomlField{name, kinds[t.Field(i).Type.Kind()]})
		}
	}
	return fields
}

// WriteTables is the file that ReadTables reads.
func WriteTables[T any](key string, list []T) ([]byte, error) {
	if len(list) == 0 {
		return nil, nil
	}
	out, err := toml.Marshal(map[string][]T{key: list})
	if err != nil {
		return nil, fmt.Errorf("write the tables of %s: %w", key, err)
	}
	return out, nil
}
