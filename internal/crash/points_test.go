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

// programs are the sources of the programs, without their tests.
func programs(t *testing.T) []string {
	t.Helper()
	var out []string
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
		out = append(out, string(body))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestEveryPointIsPassed looks for each point in the programs' code: one that
// is never passed would make a test that cannot fail.
func TestEveryPointIsPassed(t *testing.T) {
	t.Parallel()
	passed := map[string]bool{}
	use := regexp.MustCompile(`\b[aA]t\(crash\.(\w+)`)
	for _, source := range programs(t) {
		for _, m := range use.FindAllStringSubmatch(source, -1) {
			passed[m[1]] = true
		}
	}
	for _, c := range declared(t) {
		if !passed[c.name] {
			t.Errorf("crash.%s is passed nowhere", c.name)
		}
	}
}

// TestDocument holds the tables of docs/states.md to the comments of points.go and
// to the reasons of the arrows without a point.
func TestDocument(t *testing.T) {
	t.Parallel()
	var points strings.Builder
	fmt.Fprint(&points, "| the process is killed at | what is left | who mends it |\n|---|---|---|\n")
	for _, c := range declared(t) {
		fmt.Fprintf(&points, "| `%s` | %s | %s |\n", c.point, c.left, strings.TrimSuffix(c.mends, "."))
	}
	holdTable(t, "the process is killed at", points.String())
	holdTable(t, "the write", arrowsTable())
}

// holdTable holds one table of the document, found by its first column.
func holdTable(t *testing.T, first, want string) {
	t.Helper()
	body, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	table := regexp.MustCompile(`(?m)^\| ` + first + ` \|.*\n(\|.*\n)+`)
	if *update {
		body = table.ReplaceAllLiteral(body, []byte(want))
		if err := os.WriteFile(document, body, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want, string(table.Find(body))); diff != "" {
		t.Errorf("docs/states.md is out of date, run `go test ./internal/crash -update` (-want +got):\n%s", diff)
	}
}
