package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type thing struct {
	Name string            `toml:"name"`
	N    int               `toml:"n,omitempty"`
	List []string          `toml:"list,omitempty"`
	Env  map[string]string `toml:"env,inline,omitempty"`
	Own  string            `toml:"-"`
}

func TestTables(t *testing.T) {
	t.Parallel()
	const text = "# things\n\n[[thing]]\nname = 'a'\nenv = {A = \"b\"}\n\n[[ thing ]]\nname = \"b\"\nn = 2\nlist = [\n  'x', # more\n  'y',\n]\n  [thing.env]\n  B = ''\n"
	got, err := ReadTables[thing]("t.toml", "thing", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := []Table[thing]{
		{3, thing{Name: "a", Env: map[string]string{"A": "b"}}},
		{7, thing{Name: "b", N: 2, List: []string{"x", "y"}, Env: map[string]string{"B": ""}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got, err := ReadTables[thing]("t.toml", "thing", []byte("# nothing\n")); err != nil || len(got) > 0 {
		t.Errorf("an empty file: %v, %v", got, err)
	}
}

func TestNoTables(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"[[thing]]\nname = 'a'\nfrob = 1\n":          `t.toml:3: unknown key "frob"; there are name, n, list, env`,
		"[[thing]]\nname = 'a'\n[thing.more]\nx=1\n": `t.toml:3: unknown key "more"; there are name,`,
		"[[thing]]\nOwn = 'a'\n":                     `t.toml:2: unknown key "Own"; there are name,`,
		"[[thing]]\nname = 1\n":                      "t.toml:2: name: want a string",
		"[[thing]]\nn = 'x'\n":                       "t.toml:2: n: want a number",
		"[[thing]]\nname = 'a'\nname = 'b'\n":        "t.toml:",
		"[[thing]]\nname = 'a\n":                     "t.toml:2: ",
		"name = 'a'\n":                               "t.toml:1: ",
		"[thing]\nname = 'a'\n":                      "t.toml:",
		"thing = [{name = 'a'}]\n":                   "t.toml:1: want nothing but tables that begin with [[thing]]",
		"[[other]]\nname = 'a'\n":                    "t.toml:1: want nothing but tables that begin with [[thing]]",
		"[[thing]]\nname = 'a'\n[[other]]\nname='b'": "t.toml:3: want nothing but tables that begin with [[thing]]",
		"[[thing.name]]\nname = 'a'\n":               "t.toml:",
		"\xff":                                       "t.toml:",
	} {
		got, err := ReadTables[thing]("t.toml", "thing", []byte(text))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, %v, want %s", text, got, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: more than one line: %v", text, err)
		}
	}
}

// FuzzTables: no text panics, and what is read can be written as a file that reads
// the same.
func FuzzTables(f *testing.F) {
	for _, seed := range []string{"", "[[thing]]\nname = 'a'\nenv = {A = 'b'}", "[[thing]]\n[[thing]]\nn=1\n[thing.env]\nX='''\ny'''", "[[x", "thing = []"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := ReadTables[thing]("t.toml", "thing", data)
		if err != nil {
			return
		}
		var values []thing
		for _, l := range list {
			l.Value.List = append([]string(nil), l.Value.List...)
			if len(l.Value.Env) == 0 {
				l.Value.Env = nil
			}
			values = append(values, l.Value)
		}
		text, err := WriteTables("thing", values)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ReadTables[thing]("t.toml", "thing", text)
		if err != nil {
			t.Fatalf("%q is written as %q: %v", data, text, err)
		}
		var second []thing
		for _, l := range again {
			second = append(second, l.Value)
		}
		if diff := cmp.Diff(values, second); diff != "" {
			t.Errorf("%q, %q (-first +again)\n%s", data, text, diff)
		}
	})
}
