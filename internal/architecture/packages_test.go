package architecture

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "pinwheel"

// pkg is what `go list` says of one package.
type pkg struct {
	ImportPath   string
	Dir          string
	Imports      []string
	TestImports  []string
	XTestImports []string
	Deps         []string
}

// testImports are the imports of the package's tests.
func (p pkg) testImports() []string { return slices.Concat(p.TestImports, p.XTestImports) }

// packages asks go list for the module's packages.
func packages(t *testing.T) []pkg {
	t.Helper()
	lookAtEverything(t)
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Imports,TestImports,XTestImports,Deps", "./...")
	cmd.Dir = root
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var list []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		list = append(list, p)
	}
}

// lookAtEverything opens every folder of source from within the test, so that
// go test's cache sees what go list reads: else a new import would meet an old
// verdict.
func lookAtEverything(t *testing.T) {
	t.Helper()
	for _, top := range []string{"cmd", "internal", "sql"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() && d.Name() == "testdata" {
				return fs.SkipDir
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// short is a package's name in the documents: its path without the module and
// without internal/.
func short(importPath string) string {
	return strings.TrimPrefix(strings.TrimPrefix(importPath, module+"/"), "internal/")
}

// ours says whether an import is of this module.
func ours(importPath string) bool { return strings.HasPrefix(importPath, module+"/") }

// foreign says whether an import is of another module: only they have a host in
// their path.
func foreign(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return strings.Contains(first, ".")
}
