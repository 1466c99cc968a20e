package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

// program is a settings struct of every type that there is.
type programSettings struct {
	Listen string        `key:"listen" default:":1" help:"<ADDRESS> to listen on"`
	Lease  time.Duration `key:"lease" default:"90s" help:"how long"`
	Memory Size          `key:"memory" default:"1G" help:"how much"`
	Keep   bool          `key:"keep" help:"for ever"`
	Count  int           `key:"count" default:"4" help:"<NUMBER> of them"`
	URL    string        `key:"database-url" help:"an external <URL>" empty:"an embedded one"`
	Secret string        // no setting
}

// command is the flags of one command, settled.
type command struct {
	set   programSettings
	flags *pflag.FlagSet
}

func settle(t *testing.T, file string, env map[string]string, args []string, only ...string) (command, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "p.toml")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	c := command{flags: pflag.NewFlagSet("p", pflag.ContinueOnError)}
	Bind(c.flags, &c.set, only...)
	WithFile(c.flags, "p", &c.set)
	if err := c.flags.Parse(append([]string{"--config=" + path}, args...)); err != nil {
		t.Fatal(err)
	}
	err := Settle(c.flags, func(name string) (string, bool) { v, ok := env[name]; return v, ok })
	if err != nil {
		err = errorAt{strings.ReplaceAll(err.Error(), path, "p.toml")}
	}
	return c, err
}

type errorAt struct{ string }

func (e errorAt) Error() string { return e.string }

// sources lists "key value source place" of every setting.
func (c command) sources() []string {
	file := File(c.flags)
	var list []string
	for _, s := range Effective(c.flags, &c.set) {
		place := strings.ReplaceAll(s.Place, file, "p.toml")
		list = append(list, strings.TrimSpace(s.Key+"="+s.Value+" "+s.Source+" "+place))
	}
	return list
}

func TestFlagBeatsVariableBeatsFileBeatsDefault(t *testing.T) {
	t.Parallel()
	file := "lease = '1m'\nmemory = 512\n\ncount = 7\nkeep = true # for ever\n\"listen\" = \":file\"\n"
	env := map[string]string{"PINWHEEL_LISTEN": ":variable", "PINWHEEL_MEMORY": "2G"}
	c, err := settle(t, file, env, []string{"--listen=:flag"})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"listen=:flag flag --listen", "lease=1m0s file p.toml:1", "memory=2G variable PINWHEEL_MEMORY",
		"keep=true file p.toml:5", "count=7 file p.toml:4", "database-url= default",
	}
	if diff := cmp.Diff(want, c.sources()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	values := programSettings{Listen: ":flag", Lease: time.Minute, Memory: 2 << 30, Keep: true, Count: 7}
	if diff := cmp.Diff(values, c.set); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestOneFileServesAllCommands: a key of a flag that this command lacks is known.
func TestOneFileServesAllCommands(t *testing.T) {
	t.Parallel()
	c, err := settle(t, "listen = ':file'\nkeep = true\n", nil, nil, "keep")
	if err != nil || !c.set.Keep {
		t.Errorf("keep is %v, %v", c.set.Keep, err)
	}
}

func TestBadFiles(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ file, want string }{
		{"listen = ':1'\n\nlissten = ':2'", "p.toml:3: unknown key \"lissten\"; `p config` lists the keys"},
		{"config = 'other.toml'", "p.toml:1: unknown key \"config\"; `p config` lists the keys"},
		{"Listen = ':1'", "p.toml:1: unknown key \"Listen\"; `p config` lists the keys"},
		{"listen = 7070", "p.toml:1: listen: want a string, not a number"},
		{"keep = 'yes'", "p.toml:1: keep: want true or false, not a string"},
		{"lease = 90", "p.toml:1: lease: want a string, not a number"},
		{"lease = 'long'", `p.toml:1: lease: time: invalid duration "long"`},
		{"memory = 'lots'", `p.toml:1: memory: "lots" is not a size such as 512, 64K, 10M or 1G`},
		{"count = 'four'", "p.toml:1: count: want a number, not a string"},
		{"memory = true", "p.toml:1: memory: want a string, not true or false"},
		{"keep = true\nkeep = false", "p.toml:2: toml: key keep is already defined; want KEY = \"VALUE\", KEY = NUMBER, or KEY = true"},
		{"[serve]\nlisten = ':1'", "p.toml:2: unknown key \"serve-listen\"; `p config` lists the keys"},
		{"listen ':1'", "p.toml:1: toml: expected '=' after key; want KEY = \"VALUE\", KEY = NUMBER, or KEY = true"},
		{"database-url = postgres://u:geheim@h/d", "p.toml:1: toml: unexpected character U+0070 'p' at start of value; want KEY = \"VALUE\", KEY = NUMBER, or KEY = true"},
		{"listen = ':1", "p.toml:1: toml: unterminated literal string; want KEY = \"VALUE\", KEY = NUMBER, or KEY = true"},
		{"\xff\xfe", "p.toml:1: toml: invalid character at start of key: U+00FF 'ÿ'; want KEY = \"VALUE\", KEY = NUMBER, or KEY = true"},
	} {
		_, err := settle(t, c.file, nil, nil)
		if err == nil || err.Error() != c.want {
			t.Errorf("%q: error\n %v\nwant\n %s", c.file, err, c.want)
		}
	}
}

func TestFileThatIsNotThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, path := range []string{filepath.Join(dir, "absent.toml"), dir, "/dev/zero"} {
		var set programSettings
		flags := pflag.NewFlagSet("p", pflag.ContinueOnError)
		Bind(flags, &set)
		WithFile(flags, "p", &set)
		if err := flags.Set("config", path); err != nil {
			t.Fatal(err)
		}
		err := Settle(flags, os.LookupEnv)
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "--config") {
			t.Errorf("--config %s: error %v, want one that names it", path, err)
		}
	}
}

// TestErrorsHideSecrets: a value that is refused may still hold a password.
func TestErrorsHideSecrets(t *testing.T) {
	t.Parallel()
	_, err := settle(t, "", map[string]string{"PINWHEEL_LEASE": "postgres://u:geheim@h/d"}, nil)
	if err == nil || !strings.HasPrefix(err.Error(), `PINWHEEL_LEASE="postgres://u:xxxxx@h/d": `) {
		t.Errorf("error %v", err)
	}
}

func TestDefaultFile(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", dir)
	want := filepath.Join(dir, "pinwheel", "p.toml")
	if os.Geteuid() == 0 {
		want = "/etc/pinwheel/p.toml"
	}
	if got := DefaultFile("p"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestManual(t *testing.T) {
	t.Parallel()
	want := "| key | default | meaning |\n|---|---|---|\n" +
		"| `listen` | `:1` | `ADDRESS` to listen on |\n| `lease` | `90s` | how long |\n| `memory` | `1G` | how much |\n" +
		"| `keep` |  | for ever |\n| `count` | `4` | `NUMBER` of them |\n| `database-url` | an embedded one | an external `URL` |\n"
	if diff := cmp.Diff(want, Markdown(programSettings{})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	flags := pflag.NewFlagSet("p", pflag.ContinueOnError)
	Bind(flags, &programSettings{})
	for _, line := range []string{"--count NUMBER ", "--listen ADDRESS ", `ADDRESS to listen on (default ":1")`, "an external URL (default: an embedded one)"} {
		if !strings.Contains(flags.FlagUsages(), line) {
			t.Errorf("the help has no %q:\n%s", line, flags.FlagUsages())
		}
	}
}
