package bus

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pinwheel/internal/farm"
)

// describer says of types what reflection knows, and of their meaning what
// stands in the source.
type describer struct {
	t        *testing.T
	comments map[string]string // of types by name, of fields by Type.Field
	parts    []reflect.Type    // that messages are made of, in the order of their naming
}

func newDescriber(t *testing.T) *describer {
	d := &describer{t: t, comments: map[string]string{}}
	for _, pattern := range []string{"message.go", "askmessage.go", "../farm/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			parsed, err := parser.ParseFile(token.NewFileSet(), f, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(parsed, d.note)
		}
	}
	return d
}

func (d *describer) note(n ast.Node) bool {
	decl, ok := n.(*ast.GenDecl)
	if !ok {
		return true
	}
	for _, s := range decl.Specs {
		typ, ok := s.(*ast.TypeSpec)
		if !ok {
			continue
		}
		d.comments[typ.Name.Name] = decl.Doc.Text()
		if fields, ok := typ.Type.(*ast.StructType); ok {
			for _, f := range fields.Fields.List {
				for _, n := range f.Names {
					d.comments[typ.Name.Name+"."+n.Name] = strings.TrimSpace(f.Doc.Text() + f.Comment.Text())
				}
			}
		}
	}
	return false
}

// prose is a type's comment as a paragraph, in the words of the document: the
// messages are known by their names, and the package by its file.
func (d *describer) prose(name string) string {
	text := strings.Join(strings.Fields(d.comments[name]), " ")
	if text == "" {
		d.t.Errorf("type %s has no comment", name)
	}
	return text
}

// table has a row for each field but Head, which all messages have.
func (d *describer) table(b *strings.Builder, typ reflect.Type) {
	b.WriteString("\n| field | is | meaning |\n|---|---|---|\n")
	for i := range typ.NumField() {
		f := typ.Field(i)
		if f.Anonymous {
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		meaning := strings.Join(strings.Fields(d.comments[typ.Name()+"."+f.Name]), " ")
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", name, d.kind(f.Type), strings.ReplaceAll(meaning, "|", "\\|"))
	}
}

// kind says what a value looks like in JSON.
func (d *describer) kind(typ reflect.Type) string {
	switch typ {
	case reflect.TypeFor[time.Duration]():
		return "nanoseconds"
	case reflect.TypeFor[time.Time]():
		return "time (RFC 3339)"
	case reflect.TypeFor[[]byte]():
		return "base64"
	case reflect.TypeFor[farm.Target]():
		return "target, `cp311-linux_armv7l`"
	case reflect.TypeFor[farm.Priority]():
		return "word of a priority, `backlog`"
	}
	switch typ.Kind() {
	case reflect.Pointer:
		return d.kind(typ.Elem()) + " or null"
	case reflect.Map:
		return d.kind(typ.Elem()) + " by name"
	case reflect.Slice:
		return "list of " + d.kind(typ.Elem())
	case reflect.Struct:
		if !slices.Contains(d.parts, typ) {
			d.parts = append(d.parts, typ)
		}
		return linked(typ.Name())
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "whole number"
	case reflect.Float64:
		return "number"
	}
	d.t.Errorf("no words for the type %s", typ)
	return typ.String()
}
