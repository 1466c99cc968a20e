package crash

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// writes finds SQL that changes rows or tells others something. In a constant it
// counts for whoever names that; what goes by COPY or by a migration has none.
var writes = regexp.MustCompile(`(?i)\b(insert\s+into|update\s+\w+(\s+(as\s+)?\w+)?\s+set|delete\s+from|truncate|alter\s+table|pg_notify\()`)

// declaration is a function or a constant of the store: what it writes by itself,
// and whom it names.
type declaration struct {
	exported bool
	writes   bool
	names    []string
}

// declarations reads the store's source. The methods of all types are one space of
// names, each after a dot: a writer too many is seen in the table, one too few is not.
func declarations(t *testing.T) map[string]*declaration {
	t.Helper()
	paths, err := filepath.Glob(root + "/internal/store/*.go")
	if err != nil || len(paths) == 0 {
		t.Fatalf("the store has %d files (%v)", len(paths), err)
	}
	out := map[string]*declaration{}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		top := topLevel(file)
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				name := d.Name.Name
				if d.Recv != nil {
					name = "." + name
				}
				note(out, name, d.Body, top, d.Name.IsExported())
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if v, ok := spec.(*ast.ValueSpec); ok {
						for _, name := range v.Names {
							note(out, name.Name, v, top, false)
						}
					}
				}
			}
		}
	}
	return out
}

// topLevel are the declarations of a file that are not local to a function.
func topLevel(file *ast.File) map[any]bool {
	top := map[any]bool{}
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			top[d] = true
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				top[spec] = true
			}
		}
	}
	return top
}

// note adds what a declaration writes and names. Of what follows a dot only what is
// called, or handed on to be called, can be a method.
func note(all map[string]*declaration, name string, body ast.Node, top map[any]bool, exported bool) {
	d := all[name]
	if d == nil {
		d = &declaration{}
		all[name] = d
	}
	d.exported = d.exported || exported
	fields := map[*ast.Ident]bool{}
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BasicLit:
			d.writes = d.writes || n.Kind == token.STRING && writes.MatchString(n.Value)
		case *ast.CallExpr:
			for _, x := range append(n.Args, n.Fun) {
				if sel, ok := x.(*ast.SelectorExpr); ok {
					d.names = append(d.names, "."+sel.Sel.Name)
				}
			}
		case *ast.SelectorExpr:
			fields[n.Sel] = true
		case *ast.KeyValueExpr:
			if key, ok := n.Key.(*ast.Ident); ok {
				fields[key] = true
			}
		case *ast.Ident:
			local := n.Obj != nil && !top[n.Obj.Decl]
			if !fields[n] && !local {
				d.names = append(d.names, n.Name)
			}
		}
		return true
	})
	d.writes = d.writes || slices.Contains(d.names, ".CopyFrom") || slices.Contains(d.names, ".Up")
}

// writers are the exported functions of the store that write, or reach one that
// does.
func writers(t *testing.T) []string {
	t.Helper()
	all := declarations(t)
	for changed := true; changed; {
		changed = false
		for _, d := range all {
			if !d.writes && slices.ContainsFunc(d.names, func(n string) bool { return all[n] != nil && all[n].writes }) {
				d.writes, changed = true, true
			}
		}
	}
	var out []string
	for name, d := range all {
		if d.exported && d.writes {
			out = append(out, strings.TrimPrefix(name, "."))
		}
	}
	slices.Sort(out)
	return out
}
