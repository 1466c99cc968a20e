package farm

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// recipeOf reads "GLOB [SPECIFIERS] [on TARGET]: VALUES", where VALUES are K=V for
// the environment, 2h for the time, 512M for memory, x2 for jobs, -o for an option
// of pip, and names of Debian packages.
func recipeOf(t testing.TB, text string) ScopedRecipe {
	t.Helper()
	head, values, _ := strings.Cut(text, ": ")
	r := ScopedRecipe{Reason: "r"}
	head, r.Target, _ = strings.Cut(head, " on ")
	r.Package, r.Versions, _ = strings.Cut(head, " ")
	for _, v := range strings.Fields(values) {
		d, err := time.ParseDuration(v)
		name, value, isEnv := strings.Cut(v, "=")
		switch {
		case strings.HasPrefix(v, "-"):
			r.PipOptions = append(r.PipOptions, v)
		case strings.ContainsAny(v, "<>"):
			r.Constraints = append(r.Constraints, v)
		case isEnv:
			if r.Env == nil {
				r.Env = map[string]string{}
			}
			r.Env[name] = value
		case err == nil:
			r.Timeout = d
		case v == "512M":
			r.Memory = 512 << 20
		case v == "1G":
			r.Memory = 1 << 30
		case len(v) == 2 && v[0] == 'x':
			r.Jobs = int(v[1] - '0')
		default:
			r.Packages = append(r.Packages, v)
		}
	}
	r = r.Normalize()
	if err := r.Check(); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return r
}

func bookOf(t testing.TB, texts ...string) RecipeBook {
	t.Helper()
	var list []ScopedRecipe
	for _, text := range texts {
		list = append(list, recipeOf(t, text))
	}
	b, err := NewRecipeBook(list)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const armv7 = "cp311-linux_armv7l"

// TestRecipesMerge: the more specific one wins, value by value.
func TestRecipesMerge(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		recipes []string
		job     string // PACKAGE VERSION TARGET
		want    string // the same as one recipe for it; empty: none
		from    string
	}{
		"none": {nil, "numpy 1.0", "", ""},
		"another package": {
			[]string{"num: 2h", "numpyx: 2h", "*-numpy: 2h"}, "numpy 1.0", "", ""},
		"a name before a pattern, wherever it stands": {
			[]string{"numpy: 2h", "numpy*: 3h x1"}, "numpy 1.0", "numpy: 2h x1", "numpy*, numpy"},
		"more of the name before less": {
			[]string{"num*: 2h", "*: 3h x4 512M", "*py: x2"}, "numpy 1.0", "numpy: 2h x2 512M", "*, *py, num*"},
		"a question mark is one letter": {
			[]string{"nump?: 2h", "num?: 3h", "?numpy: 4h"}, "numpy 1.0", "numpy: 2h", "nump?"},
		"versions before none": {
			[]string{"numpy >=2: 2h", "numpy: 3h x1", "numpy <2: 4h"}, "numpy 2.0rc1", "numpy: 3h x1", "numpy"},
		"versions that hold": {
			[]string{"numpy >=2: 2h", "numpy: 3h x1", "numpy <2: 4h"}, "numpy 2.1", "numpy: 2h x1", "numpy, numpy >=2"},
		"a version that is none": {
			[]string{"numpy >=2: 2h", "numpy: 3h"}, "numpy 2004d-bad", "numpy: 3h", "numpy"},
		"a target before none": {
			[]string{"numpy on " + armv7 + ": 2h", "numpy: 3h x1", "numpy on cp39-linux_armv7l: 4h"}, "numpy 1.0 " + armv7,
			"numpy: 2h x1", "numpy, numpy on " + armv7},
		"versions before a target": {
			[]string{"numpy on " + armv7 + ": 2h x1", "numpy >=1: 3h"}, "numpy 1.0 " + armv7,
			"numpy: 3h x1", "numpy on " + armv7 + ", numpy >=1"},
		"a name before versions and a target of a pattern": {
			[]string{"num* >=1 on " + armv7 + ": 2h x1", "numpy: 3h"}, "numpy 1.0 " + armv7,
			"numpy: 3h x1", "num* >=1 on " + armv7 + ", numpy"},
		"alike: by the text, whatever the order": {
			[]string{"numpy >=1: 3h", "numpy <3: 2h"}, "numpy 1.0", "numpy: 3h", "numpy <3, numpy >=1"},
		"variables one by one": {
			[]string{"*: A=1 B=1", "numpy: B=2 C=2"}, "numpy 1.0", "numpy: A=1 B=2 C=2", "*, numpy"},
		"an empty variable is one": {
			[]string{"*: A=1", "numpy: A="}, "numpy 1.0", "numpy: A=", "*, numpy"},
		"options as a whole": {
			[]string{"*: --use-pep517", "numpy: --no-build-isolation"}, "numpy 1.0", "numpy: --no-build-isolation", "*, numpy"},
		"constraints name by name": {
			[]string{"*: setuptools<58 cython<3", "numpy: Setuptools>=58 wheel<1"}, "numpy 1.0", "numpy: cython<3 setuptools>=58 wheel<1", "*, numpy"},
		"Debian packages add up": {
			[]string{"*: libz-dev gcc", "numpy: liba-dev gcc"}, "numpy 1.0", "numpy: gcc liba-dev libz-dev", "*, numpy"},
	} {
		pkg, rest, _ := strings.Cut(c.job, " ")
		version, on, _ := strings.Cut(rest, " ")
		got := bookOf(t, c.recipes...).For(pkg, version, on)
		var want Recipe
		if c.want != "" {
			want = recipeOf(t, c.want).Recipe
			want.From = strings.Split(c.from, ", ")
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestRecipesDoNotHangOnTheirOrder: the same recipes give the same build, in
// whatever order they were written; and asking changes none of them.
func TestRecipesDoNotHangOnTheirOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		scope := rapid.Custom(func(t *rapid.T) Scope {
			return Scope{
				Package:  rapid.SampledFrom([]string{"*", "n*", "*y", "n*y", "numpy", "nump?"}).Draw(t, "package"),
				Versions: rapid.SampledFrom([]string{"", "<2", ">=1", "==1.*"}).Draw(t, "versions"),
				Target:   rapid.SampledFrom([]string{"", armv7}).Draw(t, "target"),
			}
		})
		var list []ScopedRecipe
		for i, s := range rapid.SliceOfNDistinct(scope, 0, 8, func(s Scope) Scope { return s }).Draw(t, "scopes") {
			list = append(list, ScopedRecipe{Scope: s, Recipe: Recipe{Jobs: i + 1, Env: map[string]string{"A": s.String()}, Packages: []string{"p" + string(rune('a'+i))}}})
		}
		ask := func(list []ScopedRecipe) Recipe {
			b, err := NewRecipeBook(list)
			if err != nil {
				t.Fatal(err)
			}
			first := b.For("numpy", "1.0", armv7)
			if diff := cmp.Diff(first, b.For("numpy", "1.0", armv7)); diff != "" {
				t.Fatalf("asked twice:\n%s", diff)
			}
			return first
		}
		want := ask(list)
		shuffled := rapid.Permutation(list).Draw(t, "order")
		if diff := cmp.Diff(want, ask(shuffled)); diff != "" {
			t.Fatalf("in another order:\n%s", diff)
		}
	})
}

func TestRecipeIsNormalized(t *testing.T) {
	t.Parallel()
	got := ScopedRecipe{Scope: Scope{Package: "Foo_.**bar", Versions: " <3 , >= 2"}, Reason: " why\n",
		Recipe: Recipe{PipOptions: []string{"--config-settings  a=b c", "--global-option=--x y"}, Packages: []string{"b", "a", "b"}}}.Normalize()
	want := ScopedRecipe{Scope: Scope{Package: "foo-*bar", Versions: "<3,>=2"}, Reason: "why",
		Recipe: Recipe{PipOptions: []string{"--config-settings=a=b c", "--global-option=--x y"}, Packages: []string{"a", "b"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestRecipeIsRefused holds what is said of each value that may not be.
func TestRecipeIsRefused(t *testing.T) {
	t.Parallel()
	good := ScopedRecipe{Scope: Scope{Package: "numpy"}, Reason: "r", Author: "me", Recipe: Recipe{Jobs: 1}}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	env := func(name, value string) func(*ScopedRecipe) {
		return func(r *ScopedRecipe) { r.Env = map[string]string{name: value} }
	}
	option := func(o string) func(*ScopedRecipe) { return func(r *ScopedRecipe) { r.PipOptions = []string{o} } }
	for want, change := range map[string]func(*ScopedRecipe){
		`package "": want a name`:                         func(r *ScopedRecipe) { r.Package = "" },
		`package "a[b]": want a name`:                     func(r *ScopedRecipe) { r.Package = "a[b]" },
		`package "a%": want a name`:                       func(r *ScopedRecipe) { r.Package = "a%" },
		`package "-a": want a name`:                       func(r *ScopedRecipe) { r.Package = "-a" },
		`package "aaaa`:                                   func(r *ScopedRecipe) { r.Package = strings.Repeat("a", 200) },
		`versions "2": want specifiers`:                   func(r *ScopedRecipe) { r.Versions = "2" },
		`target "x": want ABI-PLATFORM`:                   func(r *ScopedRecipe) { r.Target = "x" },
		`want a reason`:                                   func(r *ScopedRecipe) { r.Reason = "" },
		`reason "a\nb": want one line`:                    func(r *ScopedRecipe) { r.Reason = "a\nb" },
		`reason has 2000 bytes`:                           func(r *ScopedRecipe) { r.Reason = strings.Repeat("a", 2000) },
		`author "\x00": want one line`:                    func(r *ScopedRecipe) { r.Author = "\x00" },
		`it says nothing of how to build`:                 func(r *ScopedRecipe) { r.Recipe = Recipe{} },
		`timeout -1s: want 1s to 24h`:                     func(r *ScopedRecipe) { r.Timeout = -time.Second },
		`timeout 25h0m0s: want 1s to 24h`:                 func(r *ScopedRecipe) { r.Timeout = 25 * time.Hour },
		`memory of 1 bytes: want 128M`:                    func(r *ScopedRecipe) { r.Memory = 1 },
		`memory of -5 bytes: want 128M`:                   func(r *ScopedRecipe) { r.Memory = -5 },
		`jobs -1: want 1 to 256`:                          func(r *ScopedRecipe) { r.Jobs = -1 },
		`jobs 1000: want 1 to 256`:                        func(r *ScopedRecipe) { r.Jobs = 1000 },
		`network "all": want one of public, index, none`:  func(r *ScopedRecipe) { r.Network = "all" },
		`variable "path": want a name of A-Z`:             env("path", ""),
		`variable "A=B": want a name of A-Z`:              env("A=B", ""),
		`variable "": want a name of A-Z`:                 env("", ""),
		`variable PATH is not for recipes: the sandbox`:   env("PATH", "/tmp"),
		`variable HOME is not for recipes: the sandbox`:   env("HOME", "/tmp"),
		`LD_PRELOAD is not for recipes: it makes the`:     env("LD_PRELOAD", "x"),
		`LD_LIBRARY_PATH is not for recipes: it makes`:    env("LD_LIBRARY_PATH", "x"),
		`GCONV_PATH is not for recipes: it makes the`:     env("GCONV_PATH", "x"),
		`BASH_ENV is not for recipes: it makes the sand`:  env("BASH_ENV", "x"),
		`PIP_INDEX_URL is not for recipes: it changes w`:  env("PIP_INDEX_URL", "x"),
		`PIP_NO_BINARY is not for recipes: it changes w`:  env("PIP_NO_BINARY", "x"),
		`PYTHONPATH is not for recipes: it changes the`:   env("PYTHONPATH", "x"),
		`PYTHONNOUSERSITE is not for recipes: it change`:  env("PYTHONNOUSERSITE", ""),
		`_PYTHON_HOST_PLATFORM is not for recipes: the`:   env("_PYTHON_HOST_PLATFORM", "x"),
		`HTTPS_PROXY is not for recipes: it changes the`:  env("HTTPS_PROXY", "x"),
		`GIT_CONFIG_COUNT is not for recipes: it changes`: env("GIT_CONFIG_COUNT", "1"),
		`NPM_CONFIG_REGISTRY is not for recipes: it chan`: env("NPM_CONFIG_REGISTRY", "x"),
		`CARGO_SOURCE_X is not for recipes: it changes t`: env("CARGO_SOURCE_X", "x"),
		`SSL_CERT_FILE is not for recipes: it changes t`:  env("SSL_CERT_FILE", "x"),
		`PINWHEEL_BUILD is not for recipes: the sandbox`:  env("PINWHEEL_BUILD", "x"),
		`LC_ALL is not for recipes: what a log says mus`:  env("LC_ALL", "de_DE"),
		`variable A "a\x00b": want one line of text`:      env("A", "a\x00b"),
		`variable A "a\nb": want one line of text`:        env("A", "a\nb"),
		`variable A "\xff": want one line of text`:        env("A", "\xff"),
		`variable A has 5000 bytes`:                       env("A", strings.Repeat("a", 5000)),
		`pip option "--index-url" is not for recipes: w`:  option("--index-url=http://x/"),
		`pip option "--index" is not for recipes: want`:   option("--index"),
		`pip option "--target" is not for recipes: want`:  option("--target=/x"),
		`pip option "-w" is not for recipes: want one o`:  option("-w"),
		`pip option "evil" is not for recipes: want one`:  option("evil"),
		`pip option "" is not for recipes: want one of `:  option(""),
		`--no-build-isolation takes no value`:             option("--no-build-isolation=1"),
		`--global-option wants a value: --global-option`:  option("--global-option"),
		`"--config-settings=x": want --config-settings=`:  option("--config-settings=x"),
		`pip option --build-option "a\nb": want one lin`:  option("--build-option=a\nb"),
		`"Lib" is not the name of a Debian package`:       func(r *ScopedRecipe) { r.Packages = []string{"Lib"} },
		`"a;rm" is not the name of a Debian package`:      func(r *ScopedRecipe) { r.Packages = []string{"a;rm"} },
		`packages of Debian are not sorted at "aa"`:       func(r *ScopedRecipe) { r.Packages = []string{"bb", "aa"} },
		`100 entries in one list, at most 64`:             func(r *ScopedRecipe) { r.Packages = make([]string, 100) },
		`constraint "a": want a name with versions`:       func(r *ScopedRecipe) { r.Constraints = []string{"a"} },
		`constraint "A<1": want a name with versions`:     func(r *ScopedRecipe) { r.Constraints = []string{"A<1"} },
		`constraint "a @ x": want a name with versions`:   func(r *ScopedRecipe) { r.Constraints = []string{"a @ x"} },
		`constraint "-r x": want a name with versions`:    func(r *ScopedRecipe) { r.Constraints = []string{"-r x"} },
		`constraint "a<1\nb": want a name with version`:   func(r *ScopedRecipe) { r.Constraints = []string{"a<1\nb"} },
		`constraint "a<1; x": want a name with versions`:  func(r *ScopedRecipe) { r.Constraints = []string{"a<1; x"} },
		`constraint "a<2": there is another one on a`:     func(r *ScopedRecipe) { r.Constraints = []string{"a<1", "a<2"} },
		`it is made of others`:                            func(r *ScopedRecipe) { r.From = []string{"*"} },
	} {
		r := good
		change(&r)
		err := r.Check()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("more than one line: %v", err)
		}
	}
}

// TestWhatRecipesAreFor: what old packages want is taken.
func TestWhatRecipesAreFor(t *testing.T) {
	t.Parallel()
	r := ScopedRecipe{Scope: Scope{Package: "*-cffi*", Versions: "<2,>=1", Target: armv7}, Reason: "Größe", Recipe: Recipe{
		Env: map[string]string{"CFLAGS": "-O1 -DX='a b'", "_MY": "", "PYTHONUTF8": "1", "PYTHONHASHSEED": "0", "SETUPTOOLS_USE_DISTUTILS": "stdlib",
			"MALLOC_ARENA_MAX": "1", "PROXY": "x", "CC": "clang"},
		Timeout: 2 * time.Hour, Memory: 2 << 30, Jobs: 1, Network: NetworkPublic,
		PipOptions:  []string{"--no-build-isolation", "--use-pep517", "--config-settings=--build-option=x", "--global-option=--without-c", "--build-option=-q"},
		Constraints: []string{"cython!=3.0.*,<4", "setuptools<58"},
		Packages:    []string{"g++", "libffi-dev", "libstdc++6"},
	}}
	if err := r.Check(); err != nil {
		t.Error(err)
	}
	env := Recipe{Jobs: 3, Env: map[string]string{"MAX_JOBS": "1", "A": "b"}}.Environ()
	want := []string{"A=b", "CARGO_BUILD_JOBS=3", "CMAKE_BUILD_PARALLEL_LEVEL=3", "MAKEFLAGS=-j3", "MAX_JOBS=1", "NPY_NUM_BUILD_JOBS=3"}
	if diff := cmp.Diff(want, env); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if env := (Recipe{}).Environ(); len(env) > 0 {
		t.Errorf("without a recipe: %q", env)
	}
}

// FuzzRecipe: whatever comes over the wire, what passes the check cannot mean
// something to a shell's, a process's or pip's own reading.
func FuzzRecipe(f *testing.F) {
	f.Add("A", "b", "--config-settings=a=b", "libffi-dev", "numpy", ">=2")
	f.Add("LD_PRELOAD", "\x00", "-w", "../x", "a**", "=")
	f.Fuzz(func(t *testing.T, name, value, option, pkg, glob, versions string) {
		r := ScopedRecipe{Scope: Scope{Package: glob, Versions: versions}, Reason: "r", Recipe: Recipe{
			Env: map[string]string{name: value}, PipOptions: []string{option}, Packages: []string{pkg}}}.Normalize()
		if r.Check() != nil {
			return
		}
		if again := r.Normalize(); !again.Equal(r.Recipe) || again.Scope != r.Scope {
			t.Errorf("%+v is not normal", r)
		}
		for _, s := range append(append(r.Environ(), r.PipOptions...), r.Packages...) {
			if strings.ContainsAny(s, "\x00\n") {
				t.Errorf("%q", s)
			}
		}
		if _, ok := pipOptions()[strings.SplitN(r.PipOptions[0], "=", 2)[0]]; !ok {
			t.Errorf("pip option %q", r.PipOptions[0])
		}
		if b, err := NewRecipeBook([]ScopedRecipe{r}); err != nil || b.Empty() {
			t.Errorf("%+v: %v", r, err)
		}
	})
}

// TestRecipesCanBeSent: whatever a book holds, what comes out for a job passes the
// check of the wire; a book of which that is not sure is refused.
func TestRecipesCanBeSent(t *testing.T) {
	t.Parallel()
	var list []ScopedRecipe
	for i := range 200 {
		r := recipeOf(t, fmt.Sprintf("%s*: V%d=%s lib%d-dev", strings.Repeat("?", i%100), i, strings.Repeat("v", 20), i))
		r.Versions = fmt.Sprintf(">=0.%d", i)
		list = append(list, r)
	}
	b, err := NewRecipeBook(list)
	if err != nil {
		t.Fatal(err)
	}
	r := b.For(strings.Repeat("n", 100), "1.0", armv7)
	if err := r.Check(); err != nil || len(r.Env) != 200 || len(r.Packages) != 200 {
		t.Errorf("%d variables, %d packages: %v", len(r.Env), len(r.Packages), err)
	}
	if n := len(r.From); !strings.HasSuffix(r.From[0], " more general ones") || n < 10 || n > 100 {
		t.Errorf("from %d, the first %q", n, r.From[0])
	}
	large := recipeOf(t, "numpy: A="+strings.Repeat("v", 1000))
	for i := range 5 {
		large.Env[fmt.Sprint("A", i)] = strings.Repeat("v", 1000)
	}
	if _, err := NewRecipeBook(append(list, large)); err == nil || !strings.Contains(err.Error(), "the recipes for numpy have ") {
		t.Errorf("with a large one: %v", err)
	}
	large.Package = "nump*"
	if _, err := NewRecipeBook(append(list, large)); err == nil || !strings.Contains(err.Error(), "the recipes for patterns have ") {
		t.Errorf("with a large pattern: %v", err)
	}
}

// TestLimitsWithARecipe: the recipe's time instead of the farm's, but what a job has
// learnt only if that is more than either.
func TestLimitsWithARecipe(t *testing.T) {
	t.Parallel()
	theFarms := Limits{Timeout: time.Hour}
	if got := (Limits{}).For(Recipe{}, Limits{}); got != (Limits{}).Fill() {
		t.Errorf("of nothing: %+v", got)
	}
	for _, c := range []struct{ job, recipe, want time.Duration }{
		{0, 0, time.Hour}, {0, time.Minute, time.Minute}, {0, 2 * time.Hour, 2 * time.Hour},
		{3 * time.Hour, 0, 3 * time.Hour}, {3 * time.Hour, 2 * time.Hour, 3 * time.Hour}, {3 * time.Hour, 6 * time.Hour, 6 * time.Hour},
		{time.Minute, 0, time.Hour}, {time.Minute, 2 * time.Minute, 2 * time.Minute},
	} {
		if got := (Limits{Timeout: c.job}).For(Recipe{Timeout: c.recipe}, theFarms).Timeout; got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}
