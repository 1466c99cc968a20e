package architecture

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pinwheel/sql"
)

// The ways in which the documents name things of the code.
var (
	ofPackage = regexp.MustCompile("`([a-z]+)\\.([A-Z]\\w*(?:\\.\\w+)?)(?:\\(\\))?`")    // `store.Claim`, `store.Store.Claim`
	ofFile    = regexp.MustCompile("`([\\w.]+)` in `([\\w/.-]+\\.go)`")                  // `Master.wire` in `cmd/master/serve.go`
	aPath     = regexp.MustCompile("`((?:cmd|internal|sql|docs|scripts|\\.ci)/[^` ]*)`") // `internal/bus`
	rowsOf    = regexp.MustCompile(`(?m)^Rows: (.*)$`)                                   // Rows: `jobs`, `builds`
	aTarget   = regexp.MustCompile("(?m)(?:^ {4}|^\\$ |`)make ([a-z-]+)")                // `make demo`
	aDotPath  = regexp.MustCompile(`\./((?:cmd|internal)/[\w/-]*\w)`)                    // go test ./internal/bus
	aTest     = regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z]\w*`)                  // -run TestRights
	aTable    = regexp.MustCompile(`(?m)^create (?:table|view) (\w+)`)
)

// forEach calls f with what the pattern finds in every document.
func forEach(t *testing.T, pattern *regexp.Regexp, f func(doc string, m []string)) {
	t.Helper()
	found := 0
	for _, doc := range documents(t) {
		for _, m := range pattern.FindAllStringSubmatch(read(t, doc), -1) {
			found++
			f(doc, m)
		}
	}
	if found == 0 {
		t.Errorf("no document has anything like %s: nothing was checked", pattern)
	}
}

func TestDocumentsNameWhatIsDeclared(t *testing.T) {
	t.Parallel()
	byName := map[string]string{}
	for _, p := range packages(t) {
		byName[path.Base(p.ImportPath)] = p.Dir
	}
	forEach(t, ofPackage, func(doc string, m []string) {
		if dir := byName[m[1]]; dir != "" && !declared(t, dir, "*.go")[m[2]] {
			t.Errorf("%s names %s.%s, which package %s does not declare", doc, m[1], m[2], m[1])
		}
	})
	forEach(t, ofFile, func(doc string, m []string) {
		dir, file := path.Split(m[2])
		if !declared(t, filepath.Join(root, dir), file)[m[1]] {
			t.Errorf("%s names %s in %s, which is not there", doc, m[1], m[2])
		}
	})
}

// declared lists the top-level names of a folder's files: F, T, and T.M for
// methods, which are known as M too.
func declared(t *testing.T, dir, pattern string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, f := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), f, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			declare(names, d)
		}
	}
	return names
}

func declare(names map[string]bool, d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		names[receiver(d)+d.Name.Name] = true
		names[d.Name.Name] = true // `store.Claim` for `store.Store.Claim`: a package has one of a kind
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				names[s.Name.Name] = true
			case *ast.ValueSpec:
				for _, n := range s.Names {
					names[n.Name] = true
				}
			}
		}
	}
}

// receiver is "T." of a method on T or *T.
func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return ""
	}
	typ := d.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if id, ok := typ.(*ast.Ident); ok {
		return id.Name + "."
	}
	return ""
}

func TestDocumentsNameFilesThatExist(t *testing.T) {
	t.Parallel()
	forEach(t, aPath, func(doc string, m []string) {
		if found, err := filepath.Glob(filepath.Join(root, m[1])); err != nil || len(found) == 0 {
			t.Errorf("%s names %s, which does not exist", doc, m[1])
		}
	})
}

// TestDocumentsNameTestsThatExist takes a name for the pattern that go test takes
// it for.
func TestDocumentsNameTestsThatExist(t *testing.T) {
	t.Parallel()
	forEach(t, aDotPath, func(doc string, m []string) {
		if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
			t.Errorf("%s names ./%s, which does not exist", doc, m[1])
		}
	})
	var tests []string
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && s.isTest() && f.Recv == nil {
				tests = append(tests, f.Name.Name)
			}
		}
	}
	forEach(t, aTest, func(doc string, m []string) {
		if !slices.ContainsFunc(tests, func(name string) bool { return strings.HasPrefix(name, m[0]) }) {
			t.Errorf("%s names %s, and no test begins like that", doc, m[0])
		}
	})
}

func TestDocumentsNameTablesThatExist(t *testing.T) {
	t.Parallel()
	tables := map[string]bool{}
	for _, name := range migrations(t) {
		body, err := fs.ReadFile(sql.FS, name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range aTable.FindAllStringSubmatch(string(body), -1) {
			tables[m[1]] = true
		}
	}
	forEach(t, rowsOf, func(doc string, m []string) {
		for _, q := range quoted(m[1]) {
			if table, _, _ := strings.Cut(q, "."); !tables[table] {
				t.Errorf("%s names the table %s, which sql/ does not create", doc, table)
			}
		}
	})
}

func TestDocumentsNameTargetsThatExist(t *testing.T) {
	t.Parallel()
	makefile := "\n" + read(t, "Makefile")
	forEach(t, aTarget, func(doc string, m []string) {
		if !strings.Contains(makefile, "\n"+m[1]+":") {
			t.Errorf("%s says `make %s`, which the Makefile does not know", doc, m[1])
		}
	})
}
