package crash

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the table of docs/states.md")

const (
	root     = "../.."
	document = root + "/docs/states.md"
)

// constant is one point as points.go declares it.
type constant struct {
	name  string // of the Go constant
	point Point
	left  string // what a crash leaves
	mends string // who mends it
}

// declared reads points.go, in its order.
func declared(t *testing.T) []constant {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "points.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var out []constant
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			out = append(out, readConstant(t, spec))
		}
		return true
	})
	return out
}

func readConstant(t *testing.T, spec *ast.ValueSpec) constant {
	t.Helper()
	c := constant{name: spec.Names[0].Name}
	value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
	if err != nil {
		t.Fatal(err)
	}
	c.point = Point(value)
	words := strings.Join(strings.Fields(spec.Doc.Text()), " ")
	words, ok := strings.CutPrefix(words, c.name+": ")
	c.left, c.mends, _ = strings.Cut(words, ". ")
	if !ok || c.left == "" || c.mends == "" {
		t.Errorf("points.go: %s: want a comment %q", c.name, c.name+": what is left. Who mends it.")
	}
	return c
}

func TestAllIsAll(t *testing.T) {
	t.Parallel()
	var want []Point
	seen := map[Point]bool{}
	for _, c := range declared(t) {
		want = append(want, c.point)
		if seen[c.point] {
			t.Errorf("%s: the name %q is taken", c.name, c.point)
		}
		seen[c.point] = true
	}
	if diff := cmp.Diff(want, All()); diff != "" {
		t.Errorf("All() is not what points.go declares (-declared +All):\n%s", diff)
	}
}

// TestEveryPointIsPassed looks for each point in the programs' code: one that
// is never passed would make a test that cannot fail.
func TestEveryPointIsPassed(t *testing.T) {
	t.Parallel()
	passed := map[string]bool{}
	use := regexp.MustCompile(`\b[aA]t\(crash\.(\w+)`)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != "..":
			return filepath.SkipDir
		case d.IsDir(), !strings.HasSuffix(path, ".go"), strings.HasSuffix(path, "_test.go"):
			return nil
		}
		body, err := os.ReadFile(path)
		for _, m := range use.FindAllSubmatch(body, -1) {
			passed[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range declared(t) {
		if !passed[c.name] {
			t.Errorf("crash.%s is passed nowhere", c.name)
		}
	}
}

// TestDocument holds the table of docs/states.md to the comments of points.go.
func TestDocument(t *testing.T) {
	t.Parallel()
	var want strings.Builder
	fmt.Fprint(&want, "| the process is killed at | what is left | who mends it |\n|---|---|---|\n")
	for _, c := range declared(t) {
		fmt.Fprintf(&want, "| `%s` | %s | %s |\n", c.point, c.left, strings.TrimSuffix(c.mends, "."))
	}
	body, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	table := regexp.MustCompile(`(?m)^\| the process is killed at .*\n(\|.*\n)+`)
	if *update {
		body = table.ReplaceAllLiteral(body, []byte(want.String()))
		if err := os.WriteFile(document, body, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want.String(), string(table.Find(body))); diff != "" {
		t.Errorf("docs/states.md is out of date, run `go test ./internal/crash -update` (-want +got):\n%s", diff)
	}
}
