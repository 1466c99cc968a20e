package architecture

import (
	"go/ast"
	"go/token"
	"regexp"
	"strings"
	"testing"
)

// The sizes up to which a reader can hold the whole in his head.
const (
	longestFile     = 400 // lines, of tests too
	longestFunction = 60  // lines, but for tests: their tables are read row by row
)

// What is allowed to break a rule of the house, and why. An entry that is no
// longer needed fails its test.

// longWithReason has files, and functions as file: name.
func longWithReason() map[string]string { return map[string]string{} }

// globalWithReason has the package variables that are no sentinels, patterns,
// templates or embedded files, as file: name.
func globalWithReason() map[string]string {
	return map[string]string{
		"internal/cli/version.go: version": "the linker sets it, and can set nothing else",
		"internal/cli/version.go: commit":  "the linker sets it, and can set nothing else",
		"internal/crash/crash.go: armed":   "it is the process that ends, and points are passed where nothing is handed down",
		"internal/pgtest/pgtest.go: shared": "one server for all tests of a package: go test gives them nothing " +
			"in common but the process",
		"internal/farmtest/slave.go: findPython": "this machine's Python is the same for all tests of a package, and takes long to ask",
		"internal/farm/rules.go: defaultRules":   "the embedded rules, parsed once when first needed; never changed",
	}
}

// skipsWithReason has the reasons for which a test may not run, by file.
func skipsWithReason() map[string][]string {
	return map[string][]string{
		"internal/armtest/process_test.go": {"PINWHEEL_ARM_ROOT is not set: `make test-arm` sets it"},
		"internal/armtest/root_test.go":    {"only root makes a root: run `make test-arm` as root"},
		"internal/bench/steady_test.go":    {"PINWHEEL_BENCH_STEADY is not set: a steady load takes its time"},
		"internal/chaostest/chaos_test.go": {"PINWHEEL_CHAOS_LONG is not set: `make chaos` sets it"},
		"internal/builder/helper_test.go":  {"PINWHEEL_TEST_NO_BWRAP=1"}, // somebody said so
		"internal/builder/oldroot_test.go": {
			"there is no Python 2.7 here: install one with pyenv, or name one in PINWHEEL_TEST_PYTHONS",
			"the index that pip uses here does not give the wheels: %s"},
		"internal/builder/real_test.go": {"PINWHEEL_REAL_PACKAGES is not set: `make real` sets it"},
		"internal/deploytest/host_test.go": {
			"two hosts are two network namespaces, which need root: run `make test` as root",
			"two hosts are two network namespaces, which need the program ip: install iproute2",
			"two hosts are two network namespaces, which this root may not make (%v): give the container CAP_SYS_ADMIN"},
		"internal/deploytest/metrics_test.go": {"there is no promtool here, nor a Debian's package prometheus to take it from: %v\\n%s"},
		"internal/deploytest/systemd_test.go": {
			"there is no systemd-analyze here: install systemd",
			"only a root who may mount can cover /proc: run `make test` as root"},
		"internal/embedpg/data_test.go":  {"only root can give a folder to somebody else"},
		"internal/embedpg/parts_test.go": {"no Postgres is installed here (%s)"}, // then the wheel's is tested
		"internal/embedpg/wheel_test.go": {"there is no wheel for this processor",
			"the index that pip uses here does not give the wheel: %v"}, // then an installed one is tested
		"internal/racktest/arm_test.go": {"PINWHEEL_ARM_ROOT is not set: `make acceptance` sets it"},
		"internal/racktest/play_test.go": {
			"PINWHEEL_ANSIBLE and PINWHEEL_HOST_ROOT are not set: `make test-ansible` sets them"},
		"internal/racktest/hostedpi_test.go": {"PINWHEEL_ANSIBLE is not set: `make test-ansible` sets it"},
		"internal/proc/tempdir_test.go":      {"only root can give a folder to somebody else"},
	}
}

// sleepsWithReason has the files whose tests may sleep.
func sleepsWithReason() map[string]string {
	return map[string]string{
		"internal/bench/idle_test.go":     "measures what programs take while nothing happens",
		"internal/dispatch/sweep_test.go": "in fake time: its helpers run in bubbles of synctest only",
		"internal/bench/upload_test.go":   "asks for a page as a pip would, until it shows the wheel: that time is the result",
	}
}

func TestNothingIsTooLong(t *testing.T) {
	t.Parallel()
	x := newExceptions(longWithReason())
	for _, s := range sources(t) {
		if n := s.lines(); n > longestFile && !x.has(s.path) {
			t.Errorf("%s has %d lines, at most %d are wanted: split it by idea", s.path, n, longestFile)
		}
		if s.isTest() {
			continue
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			n := s.line(f.End()) - s.line(f.Pos()) + 1
			if n > longestFunction && !x.has(s.path+": "+receiver(f)+f.Name.Name) {
				t.Errorf("%s: %s%s has %d lines, at most %d are wanted", s.path, receiver(f), f.Name.Name, n, longestFunction)
			}
		}
	}
	x.used(t)
}

// TestNoGlobalState: what a package remembers beside its values makes tests
// depend on each other, and init runs before anybody can say otherwise.
func TestNoGlobalState(t *testing.T) {
	t.Parallel()
	x := newExceptions(globalWithReason())
	for _, s := range sources(t) {
		if s.isTest() {
			continue
		}
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s has an init: do it where it is needed", s.at(f.Pos()))
			}
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, v := range variables(g) {
				if !v.harmless() && !x.has(s.path+": "+v.name) {
					t.Errorf("%s: the package variable %s is no sentinel, pattern, template or embedded file; "+
						"hand it down, or make it a function", s.at(g.Pos()), v.name)
				}
			}
		}
	}
	x.used(t)
}

// variable is one name of a var declaration.
type variable struct {
	name     string
	value    ast.Expr
	embedded bool
}

func variables(g *ast.GenDecl) []variable {
	var list []variable
	for _, spec := range g.Specs {
		v := spec.(*ast.ValueSpec)
		for i, n := range v.Names {
			one := variable{name: n.Name, embedded: embeds(g.Doc) || embeds(v.Doc)}
			if i < len(v.Values) {
				one.value = v.Values[i]
			}
			list = append(list, one)
		}
	}
	return list
}

// embeds looks at the list: Text() leaves directives out.
func embeds(doc *ast.CommentGroup) bool {
	if doc == nil {
		return false
	}
	for _, c := range doc.List {
		if strings.HasPrefix(c.Text, "//go:embed ") {
			return true
		}
	}
	return false
}

// harmless are those that never change after they are made, and `_`, by which
// the compiler checks that a type is of an interface.
func (v variable) harmless() bool {
	if v.embedded || v.name == "_" {
		return true
	}
	call, ok := v.value.(*ast.CallExpr)
	if !ok {
		return false
	}
	switch name(call.Fun) {
	case "errors.New", "fmt.Errorf":
		return strings.HasPrefix(strings.ToLower(v.name), "err")
	case "regexp.MustCompile", "template.Must":
		return true
	}
	return false
}

// name is "pkg.F" or "x.F" of what is called.
func name(fun ast.Expr) string {
	sel, ok := fun.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	if id, ok := sel.X.(*ast.Ident); ok {
		return id.Name + "." + sel.Sel.Name
	}
	return "." + sel.Sel.Name
}

// TestTestsWaitForSignals: a sleep is too short on a slow machine and too long
// on every other. In a bubble of synctest it is neither, so there it may stand.
func TestTestsWaitForSignals(t *testing.T) {
	t.Parallel()
	x := newExceptions(sleepsWithReason())
	for _, s := range sources(t) {
		if !s.isTest() && !s.isTestSupport() {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if name(call.Fun) == "time.Sleep" && !x.has(s.path) {
				t.Errorf("%s sleeps: wait for a signal, or test in synctest", s.at(call.Pos()))
			}
			return name(call.Fun) != "synctest.Test"
		})
	}
	x.used(t)
}

func TestSkipsHaveAReason(t *testing.T) {
	t.Parallel()
	all := map[string]string{}
	for path, reasons := range skipsWithReason() {
		for _, r := range reasons {
			all[path+": "+r] = r
		}
	}
	x := newExceptions(all)
	for _, s := range sources(t) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || !isSkip.MatchString(name(call.Fun)) {
				return true
			}
			if why := literal(call); !x.has(s.path + ": " + why) {
				t.Errorf("%s skips a test (%q) for no reason of internal/architecture: a test that does not run protects nothing",
					s.at(call.Pos()), why)
			}
			return true
		})
	}
	x.used(t)
}

var isSkip = regexp.MustCompile(`^(t|b|tb|f)\.(Skip|Skipf|SkipNow)$`)

// literal is the first argument of a call, if it is a plain text.
func literal(call *ast.CallExpr) string {
	if len(call.Args) == 0 {
		return ""
	}
	if lit, ok := call.Args[0].(*ast.BasicLit); ok {
		return strings.Trim(lit.Value, "\"`")
	}
	return ""
}
