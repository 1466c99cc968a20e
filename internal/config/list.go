package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// tablesType is the type (pflag.Value) of a setting that takes several values, each
// of them a table.
const tablesType = "tables"

// TableList is a setting that takes several values, each of them a table of strings.
// In the file one is written as [[KEY]] with a line for each of its keys; as a flag,
// which may be given several times, as KEY=VALUE,KEY=VALUE; in a variable these have
// semicolons between them. No value holds a comma or a semicolon.
type TableList[T any] struct {
	List []T

	// Read makes a value of a table; the error names the key.
	Read func(table map[string]string) (T, error)
	// Write is the table of a value, in the form of a flag.
	Write func(T) string
}

// Set adds the values of a flag, a variable or a table of the file.
func (l *TableList[T]) Set(s string) error {
	for part := range strings.SplitSeq(s, ";") {
		table := map[string]string{}
		for pair := range strings.SplitSeq(part, ",") {
			key, value, ok := strings.Cut(strings.TrimSpace(pair), "=")
			if _, twice := table[key]; !ok || twice {
				return fmt.Errorf("%q: want KEY=VALUE,KEY=VALUE, each key once", part)
			}
			table[key] = value
		}
		v, err := l.Read(table)
		if err != nil {
			return err
		}
		l.List = append(l.List, v)
	}
	return nil
}

// String is the list as a variable would hold it.
func (l *TableList[T]) String() string {
	var parts []string
	for _, v := range l.List {
		parts = append(parts, l.Write(v))
	}
	return strings.Join(parts, ";")
}

// Type tells it from other settings.
func (l *TableList[T]) Type() string { return tablesType }

// tables follows the sections and [[KEY]] tables of a settings file.
type tables struct {
	inside  bool   // of a [[KEY]]
	section string // [NAME], or empty
	seen    map[string]int
}

// read is the entry of an expression, or none where a section begins.
func (t *tables) read(node *unstable.Node, values map[string]any) (entry, error) {
	switch node.Kind {
	case unstable.ArrayTable:
		return t.next(node, values)
	case unstable.Table:
		return entry{}, t.begin(node, values)
	case unstable.KeyValue:
		return entryOf(node, t.section, values)
	}
	return entry{}, errors.New("want KEY = VALUE, [NAME] or [[KEY]]")
}

// begin enters a section.
func (t *tables) begin(node *unstable.Node, values map[string]any) error {
	parts := node.Key()
	parts.Next()
	name := string(parts.Node().Data)
	if table, ok := values[name].(map[string]any); parts.Next() || !ok || len(table) == 0 {
		return fmt.Errorf("[%s]: want KEY = VALUE below it, and no dots in its name", name)
	}
	t.inside, t.section = false, name
	return nil
}

// takes says whether an expression belongs to the table before it.
func (t *tables) takes(node *unstable.Node) bool { return t.inside && node.Kind == unstable.KeyValue }

// next is the entry of the table that begins here.
func (t *tables) next(node *unstable.Node, values map[string]any) (entry, error) {
	parts := node.Key()
	parts.Next()
	e := entry{key: string(parts.Node().Data), kind: kindTable}
	list, ok := values[e.key].([]any)
	if parts.Next() || !ok {
		return entry{}, fmt.Errorf("%s: want [[KEY]] with plain keys below it", e.key)
	}
	if t.seen == nil {
		t.seen = map[string]int{}
	}
	table, ok := list[t.seen[e.key]].(map[string]any)
	if !ok || len(table) == 0 {
		return entry{}, fmt.Errorf("[[%s]]: want KEY = \"VALUE\" below it", e.key)
	}
	t.inside, t.section = true, ""
	t.seen[e.key]++
	var pairs []string
	for _, key := range slices.Sorted(maps.Keys(table)) {
		value, ok := table[key].(string)
		if !ok {
			return entry{}, fmt.Errorf("[[%s]]: %s: want %s", e.key, key, kindString)
		}
		if strings.ContainsAny(key+value, ",;") || strings.Contains(key, "=") {
			return entry{}, fmt.Errorf("[[%s]]: %s: want no comma and no semicolon", e.key, key)
		}
		pairs = append(pairs, key+"="+value)
	}
	e.value = strings.Join(pairs, ",")
	return e, nil
}
