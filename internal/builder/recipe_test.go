package builder

import (
	"strings"
	"testing"

	"pinwheel/internal/farm"
)

// TestRecipeIsApplied: the build itself sees what a recipe says of it.
func TestRecipeIsApplied(t *testing.T) {
	t.Parallel()
	code := sdist(t, "seasoned", `
import resource
assert os.environ["SAUCE"] == "a 'b' $c", os.environ
assert os.environ["MAKEFLAGS"] == "-j2" and os.environ["MAX_JOBS"] == "7", os.environ
assert os.environ["HOME"].endswith("/home"), os.environ
assert config_settings == {"salt": "yes please"}, config_settings
assert open(os.environ["PIP_CONSTRAINT"]).read() == "cython<3\nsetuptools<58\n"
limit = resource.getrlimit(resource.RLIMIT_DATA)
assert limit == (512 << 20, 512 << 20), limit
return wheel(d)
`)
	for _, mode := range modes() {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			b := newBuild(t, mode, "seasoned", index(t, map[string][]byte{"seasoned": code}))
			b.Recipe = farm.Recipe{Env: map[string]string{"SAUCE": "a 'b' $c", "MAX_JOBS": "7"}, Memory: 512 << 20, Jobs: 2,
				Constraints: []string{"cython<3", "setuptools<58"}, PipOptions: []string{"--config-settings=salt=yes please"}, From: []string{"*"}}
			r := build(t, b)
			if r.Outcome != farm.OutcomeBuilt {
				t.Fatalf("%+v\n%s", r, readLog(t, b))
			}
			if !r.Record.Recipe.Equal(b.Recipe) || r.Record.Recipe.From[0] != "*" {
				t.Errorf("recorded %+v", r.Record.Recipe)
			}
			b.Recipe = farm.Recipe{}
			if r := build(t, b); r.Outcome != farm.OutcomeFailed || !r.Record.Recipe.IsZero() {
				t.Errorf("without the recipe: %+v", r)
			}
		})
	}
}

// TestRecipeConstrains: pip keeps to the constraints.
func TestRecipeConstrains(t *testing.T) {
	t.Parallel()
	for _, mode := range modes() {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			b := newBuild(t, mode, "sd-ok", index(t, nil))
			b.Recipe.Constraints = []string{"other<2", "sd-ok<1"}
			if r := build(t, b); r.Outcome != farm.OutcomeFailed || !strings.Contains(readLog(t, b), "constraint") {
				t.Errorf("%+v\n%s", r, readLog(t, b))
			}
			b.Recipe.Constraints = []string{"other<2", "sd-ok>=1"}
			if r := build(t, b); r.Outcome != farm.OutcomeBuilt {
				t.Errorf("%+v\n%s", r, readLog(t, b))
			}
		})
	}
}

// TestRecipeBoundsMemory: a build that asks for more fails, and it is said of what.
func TestRecipeBoundsMemory(t *testing.T) {
	t.Parallel()
	code := sdist(t, "hungry", "b = bytearray(1 << 30)\nreturn wheel(d)\n")
	for _, mode := range modes() {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			b := newBuild(t, mode, "hungry", index(t, map[string][]byte{"hungry": code}))
			b.Recipe.Memory = 256 << 20
			if r := build(t, b); r.Failure.Cause != farm.OutOfMemory {
				t.Errorf("%+v\n%s", r, readLog(t, b))
			}
		})
	}
}

// TestHostileRecipeIsNotBegun: whoever it comes from, nothing is run with it.
func TestHostileRecipeIsNotBegun(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]farm.Recipe{
		"preloads":       {Env: map[string]string{"LD_PRELOAD": "/tmp/evil.so"}},
		"another index":  {PipOptions: []string{"--index-url=http://evil.example/"}},
		"another folder": {PipOptions: []string{"--wheel-dir=/"}},
		"another way":    {Env: map[string]string{"PIP_INDEX_URL": "http://evil.example/"}},
		"no network":     {Network: "lan"},
		"another source": {Constraints: []string{"a @ http://evil.example/a.zip"}},
		"an option":      {Constraints: []string{"--index-url http://evil.example/"}},
	} {
		b := newBuild(t, None, "sd-ok", "http://127.0.0.1:1/simple/")
		b.Recipe = r
		if _, err := Run(t.Context(), b); err == nil || !strings.Contains(err.Error(), "this slave does not take the recipe: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
