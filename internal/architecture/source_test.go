package architecture

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// source is one Go file of the module.
type source struct {
	path string // from the module's folder
	file *ast.File
	set  *token.FileSet
}

func (s source) line(p token.Pos) int { return s.set.Position(p).Line }
func (s source) lines() int           { return s.set.File(s.file.Pos()).LineCount() }
func (s source) isTest() bool         { return strings.HasSuffix(s.path, "_test.go") }

// at is where something stands, in the form that editors jump to.
func (s source) at(p token.Pos) string { return s.path + ":" + strconv.Itoa(s.line(p)) }

// isTestSupport are the packages that only tests use.
func (s source) isTestSupport() bool {
	return strings.HasSuffix(filepath.Dir(s.path), "test") && strings.HasPrefix(s.path, "internal/")
}

func sources(t *testing.T) []source {
	t.Helper()
	var list []source
	for _, path := range files(t) {
		if !strings.HasSuffix(path, ".go") || strings.Contains(path, "testdata/") {
			continue
		}
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, filepath.Join(root, path), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, source{path: filepath.ToSlash(path), file: f, set: set})
	}
	return list
}

// files lists what belongs to the project, as a clone has it: without git, which
// a packed source lacks, so what .gitignore names is left out here too.
func files(t *testing.T) []string {
	t.Helper()
	made := []string{".git", "bin", "dist", ".cache"}
	var list []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains(made, rel):
			return fs.SkipDir
		case rel == ".git": // in a linked worktree it is a file
		case d.Type().IsRegular() && !strings.HasSuffix(rel, ".test") && !strings.HasSuffix(rel, ".prof"):
			list = append(list, rel)
		}
		return nil
	})
	if err != nil || len(list) == 0 {
		t.Fatalf("list the project's files: %v, %d found", err, len(list))
	}
	return list
}

// unwanted is text that no file of the project may hold. The patterns are put
// together from pieces, so that they do not find themselves.
func unwanted() map[*regexp.Regexp]string {
	hosts := []string{"py" + `pi\.org`, "python" + `hosted\.org`, "proxy" + `\.golang\.org`, "sum" + `\.golang\.org`, "deb" + `\.debian\.org`}
	folders := "(?:wo" + "rk|ro" + "ot|fa" + "rm)"
	return map[*regexp.Regexp]string{
		regexp.MustCompile(strings.Join(hosts, "|")): "the upstream is what this machine's pip uses; name example hosts in examples",
		// Also in quotes and brackets, but not as a part of a longer path or URL, nor
		// as a home in a made-up passwd line.
		regexp.MustCompile("(?m)(?:^|[\\s\"'`=(])/" + folders + "/[a-z]"): "a path of one machine; tests make their own folders",
		regexp.MustCompile(`\b(?:TO` + `DO|FIX` + `ME|X` + `XX)\b`):       "an open end: finish it, or write an issue",
	}
}

func TestNoFileHoldsWhatItShouldNot(t *testing.T) {
	t.Parallel()
	for _, path := range files(t) {
		b, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.IndexByte(b[:min(len(b), 8000)], 0) >= 0 {
			continue // no text
		}
		for pattern, why := range unwanted() {
			if at := pattern.FindIndex(b); at != nil {
				t.Errorf("%s:%d holds %q: %s", path, 1+bytes.Count(b[:at[1]], []byte("\n")), b[at[0]:at[1]], why)
			}
		}
	}
}

// exceptions is a table of them that notices what is no longer needed.
type exceptions struct {
	reasons map[string]string
	seen    map[string]bool
}

func newExceptions(reasons map[string]string) exceptions {
	return exceptions{reasons: reasons, seen: map[string]bool{}}
}

func (x exceptions) has(what string) bool {
	x.seen[what] = true
	return x.reasons[what] != ""
}

func (x exceptions) used(t *testing.T) {
	t.Helper()
	for what := range x.reasons {
		if !x.seen[what] {
			t.Errorf("internal/architecture excepts %q from a rule that nothing there breaks any longer", what)
		}
	}
}
