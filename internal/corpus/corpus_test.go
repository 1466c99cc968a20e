package corpus

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"pinwheel/internal/builder"
	"pinwheel/internal/farm"
	"pinwheel/internal/pip"
	"pinwheel/internal/proc"
)

var update = flag.Bool("update", false, "keep excerpts and what the rules make of them")

// interpreter is a Python that cases are tried with, and as whom.
type interpreter struct {
	pip.Python
	user proc.User
}

// String names it: py3.11-pip23.0.1.
func (i interpreter) String() string {
	v := strings.SplitN(i.Version, ".", 3)
	return "py" + v[0] + "." + v[1] + "-pip" + i.Pip
}

// interpreters are the one that a slave would take here, and those of
// PINWHEEL_TEST_PYTHONS. One that the build user cannot reach runs as ourselves.
var interpreters = sync.OnceValues(func() ([]interpreter, error) {
	user := proc.BuildUser()
	py, _, err := pip.Find(context.Background(), "", user)
	if err != nil {
		return nil, err
	}
	all := []interpreter{{py, user}}
	for _, path := range strings.Fields(os.Getenv("PINWHEEL_TEST_PYTHONS")) {
		py, err := pip.Ask(context.Background(), path, user)
		as := user
		if err != nil {
			as = proc.User{}
			py, err = pip.Ask(context.Background(), path, as)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, interpreter{py, as})
	}
	return all, nil
})

func mode() builder.Mode {
	if os.Getenv("PINWHEEL_TEST_NO_BWRAP") == "1" {
		return builder.None
	}
	return builder.Bwrap
}

func TestMain(m *testing.M) {
	builder.Inside()
	os.Exit(m.Run())
}

// TestCases builds every case, and holds what it is told as against what it wants.
func TestCases(t *testing.T) {
	t.Parallel()
	all, err := interpreters()
	must(t, err)
	var mu sync.Mutex
	t.Run("with", func(t *testing.T) {
		for _, py := range all {
			for _, c := range cases(t) {
				t.Run(py.String()+"/"+c.name, func(t *testing.T) {
					t.Parallel()
					r := c.build(t, py)
					c.check(t, py, r)
					if *update && !t.Failed() && r.Excerpt != "" {
						mu.Lock()
						defer mu.Unlock()
						keep(t, c.name, txtar.File{Name: py.String() + " " + string(r.Record.CauseFrom), Data: []byte(scrub(r.Excerpt, py) + "\n")})
					}
				})
			}
		}
	})
}

func (c *tried) build(t *testing.T, py interpreter) builder.Result {
	t.Helper()
	url := c.index(t, py.Python)
	dir, err := proc.SharedTempDir("corpus-test-", py.user)
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	r, err := builder.Run(t.Context(), builder.Build{Package: "demo", Version: "1.0", IndexURL: url, Python: py.Python, Mode: mode(), User: py.user,
		Limits: farm.Limits{Timeout: c.limit, LogLimit: 1 << 20}, Dir: filepath.Join(dir, "b"), LogPath: filepath.Join(dir, "log")})
	must(t, err)
	if log, err := os.ReadFile(filepath.Join(dir, "log")); err == nil && testing.Verbose() {
		t.Logf("%s", log)
	}
	return r
}

func (c *tried) check(t *testing.T, py interpreter, r builder.Result) {
	t.Helper()
	want := c.want(t, py.Python)
	if built := r.Outcome == farm.OutcomeBuilt; built || want.built {
		if built != want.built {
			t.Errorf("built: %v, want %v; %+v\n%s", built, want.built, r.Failure, r.Excerpt)
		}
		return
	}
	if r.Failure.Cause != want.cause || !want.detail.MatchString(r.Failure.Detail) || r.Failure.Hint != want.hint {
		t.Errorf("%s | %s | %s\nwant %s | %s | %s\n%s", r.Failure.Cause, r.Failure.Detail, r.Failure.Hint, want.cause, want.detail, want.hint, r.Excerpt)
	}
	// The master would say the same.
	if again := farm.DefaultRules().Judge(r.Failure, r.Record.CauseFrom, r.Excerpt); again != r.Failure {
		t.Errorf("judged again it is %+v, and was %+v", again, r.Failure)
	}
}

// What differs from run to run, or tells of this machine.
var scrubbed = []struct {
	what *regexp.Regexp
	by   string
}{
	{regexp.MustCompile(`127\.0\.0\.1:\d{4,5}`), "127.0.0.1:8080"},
	{regexp.MustCompile(`\b(pip-[a-z-]+-|tmp)[a-z0-9_]{8}\b`), "${1}12345678"},
	{regexp.MustCompile(`/(?:[\w.-]+/)*corpus-test-\w+/b/box/work/`), "/build/"},
	{regexp.MustCompile(`\b(?:\d+\.\d+|\d+) (kB|MB|bytes)/s\b`), "1 $1/s"},
	{regexp.MustCompile(`\b([a-z]+)_[0-9a-f]{32}\b`), "${1}_0123456789abcdef0123456789abcdef"},
	{regexp.MustCompile(`0x[0-9a-f]{6,}`), "0x7f0000000000"},
}

func scrub(excerpt string, py interpreter) string {
	for _, prefix := range py.Prefixes {
		if prefix != "/usr" && prefix != "/" {
			excerpt = strings.ReplaceAll(excerpt, prefix+"/", "/usr/")
		}
	}
	for _, s := range scrubbed {
		excerpt = s.what.ReplaceAllString(excerpt, s.by)
	}
	return excerpt
}

const excerpts = "testdata/excerpts"

// keep writes an excerpt beside those of other pips.
func keep(t *testing.T, name string, f txtar.File) {
	t.Helper()
	path := filepath.Join(excerpts, name+".txtar")
	a := &txtar.Archive{}
	if old, err := txtar.ParseFile(path); err == nil {
		a = old
	}
	by, _, _ := strings.Cut(f.Name, " ")
	a.Files = slices.DeleteFunc(a.Files, func(o txtar.File) bool { return strings.HasPrefix(o.Name, by+" ") })
	a.Files = append(a.Files, f)
	slices.SortFunc(a.Files, func(x, y txtar.File) int { return strings.Compare(x.Name, y.Name) })
	must(t, os.MkdirAll(excerpts, 0o755))
	must(t, os.WriteFile(path, txtar.Format(a), 0o644))
}

// TestKept: what the rules make of each kept excerpt stands in causes.tsv.
func TestKept(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob(filepath.Join(excerpts, "*.txtar"))
	must(t, err)
	var b bytes.Buffer
	b.WriteString("# What the rules make of each kept excerpt; written by go test ./internal/corpus -run Kept -update.\n# case\tby\tcause\tdetail\thint\n")
	for _, path := range paths {
		a, err := txtar.ParseFile(path)
		must(t, err)
		for _, f := range a.Files {
			excerpt := strings.TrimSuffix(string(f.Data), "\n")
			if len(excerpt) > farm.MaxExcerpt+200 || excerpt != farm.Clean(excerpt) {
				t.Errorf("%s: %s is no excerpt", path, f.Name)
			}
			by, from, _ := strings.Cut(f.Name, " ")
			told := farm.Classify(excerpt)
			if farm.Source(from) == farm.FromBuilder && told.Cause != farm.Network {
				continue // the builder saw it, and nobody reads it; but of the network the log must say as much
			}
			fmt.Fprintf(&b, "%s\t%s\t%s\t%s\t%s\n", strings.TrimSuffix(filepath.Base(path), ".txtar"), by, told.Cause, told.Detail, told.Hint)
		}
	}
	golden := filepath.Join("testdata", "causes.tsv")
	if *update {
		must(t, os.WriteFile(golden, b.Bytes(), 0o644))
		return
	}
	want, err := os.ReadFile(golden)
	must(t, err)
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(b.String(), "\n")); diff != "" {
		t.Errorf("the rules tell kept logs otherwise; if that is meant: go test ./internal/corpus -run Kept -update (-kept +now):\n%s", diff)
	}
}
