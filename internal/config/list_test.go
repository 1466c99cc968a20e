package config

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// dish is a value that a table describes.
type dish struct{ name, side string }

func newMenu() TableList[dish] {
	read := func(table map[string]string) (dish, error) {
		if table["name"] == "" {
			return dish{}, errors.New("name: want one")
		}
		return dish{table["name"], table["side"]}, nil
	}
	return TableList[dish]{Read: read, Write: func(d dish) string { return "name=" + d.name + ",side=" + d.side }}
}

type menu struct {
	Table  string          `key:"table" help:"which"`
	Dishes TableList[dish] `key:"dish" help:"one, <TABLE>"`
}

// order settles a menu and returns its dishes.
func order(t *testing.T, text string, env map[string]string, args ...string) ([]dish, error) {
	t.Helper()
	set := menu{Dishes: newMenu()}
	flags := pflag.NewFlagSet("p", pflag.ContinueOnError)
	Bind(flags, &set)
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	f := pflag.NewFlagSet("config", pflag.ContinueOnError)
	WithFile(f, "p", &set)
	lookup := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	if err := FromEnv(flags, lookup); err != nil {
		return nil, err
	}
	entries, err := parseTOML("p.toml", []byte(text))
	if err != nil {
		return nil, err
	}
	err = fromFile(flags, f.Lookup(fileFlag), &file{"p.toml", entries})
	return set.Dishes.List, err
}

func TestTablesOfSettings(t *testing.T) {
	t.Parallel()
	soup, roast := dish{"soup", ""}, dish{"roast", "peas"}
	file := "table = 'x'\n[[dish]]\nname = 'soup'\n\n[[dish]]\nname = 'roast'\nside = 'peas'\n"
	for _, c := range []struct {
		file, env string
		args      []string
		want      []dish
	}{
		{file, "", nil, []dish{soup, roast}},
		{"", "name=soup;name=roast,side=peas", nil, []dish{soup, roast}},
		{"", "", []string{"--dish", "name=soup", "--dish=name=roast,side=peas"}, []dish{soup, roast}},
		{file, "name=roast,side=peas", nil, []dish{roast}}, // the first source counts, whole
		{file, "name=soup", []string{"--dish", "name=roast,side=peas"}, []dish{roast}},
		{"table = 'x'", "", nil, nil},
	} {
		got, err := order(t, c.file, map[string]string{"PINWHEEL_DISH": c.env}, c.args...)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%q, %q, %q: %v, %v; want %v", c.file, c.env, c.args, got, err, c.want)
		}
	}
}

func TestBadTablesOfSettings(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		"\n[[dish]]\nside = 'peas'":                "p.toml:2: dish: name: want one",
		"[[dish]]\nname = 1":                       "p.toml:1: [[dish]]: name: want a string",
		"[[dish]]\nname = 'a,b'":                   "p.toml:1: [[dish]]: name: want no comma and no semicolon",
		"[[dish]]":                                 `p.toml:1: [[dish]]: want KEY = "VALUE" below it`,
		"[[dish]]\nname = 'a'\n[[dish]]":           `p.toml:3: [[dish]]: want KEY = "VALUE" below it`,
		"[[dish]]\nname = 'a'\n[dish.x]\ny = 'z'":  "p.toml:1: [[dish]]: x: want a string",
		"[[dish.side]]\nname = 'a'":                "p.toml:1: dish: want [[KEY]] with plain keys below it",
		"dish = 'name=soup'":                       "p.toml:1: dish: want a [[table]], not a string",
		"[[table]]\nname = 'a'":                    "p.toml:1: table: want a string, not a [[table]]",
		"[[dishes]]\nname = 'a'":                   `p.toml:1: unknown key "dishes"`,
		"[[dish]]\nname = 'a'\n[other]\nname = ''": `p.toml:4: unknown key "other-name"`,
	} {
		if _, err := order(t, file, nil); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", file, err, want)
		}
	}
	for _, flag := range []string{"", "soup", "name=a,name=b", "side=x", "name=a;", "=", ";"} {
		if got, err := order(t, "", nil, "--dish", flag); err == nil {
			t.Errorf("--dish %q is taken as %v", flag, got)
		}
	}
}
