package deploytest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// write makes a file and returns its path.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func testSettings(t *testing.T, p programs) {
	dir := t.TempDir()
	file := write(t, dir, "farm.toml", "# the farm\nlisten = ':1'\nstate-dir = '/s'\nlog-level = 'warn'\n")
	env := environment(dir, "PINWHEEL_CONFIG="+file, "PINWHEEL_DATABASE_URL=postgres://pi:geheim@db/farm", "PINWHEEL_STATE_DIR=/v")
	text := must(t, env, p.master, "config", "--json", "--nats-url=nats://geheim@nats:4222")
	if strings.Contains(text, "geheim") {
		t.Errorf("a secret is shown:\n%s", text)
	}
	var shown struct {
		Schema   int
		File     string
		Settings []struct{ Key, Value, Source, Place, Note string }
	}
	if err := json.Unmarshal([]byte(text), &shown); err != nil || shown.Schema != 1 || shown.File != file {
		t.Errorf("schema %d, file %q, %v", shown.Schema, shown.File, err)
	}
	want := map[string]string{
		"state-dir": "/v variable PINWHEEL_STATE_DIR", "database-url": "postgres://pi:xxxxx@db/farm variable PINWHEEL_DATABASE_URL",
		"depot-dir": "/v/depot default ", "site-dir": "/v/site default ", "listen": ":1 file " + file + ":2",
		"public-url": " default ", "nats-listen": "127.0.0.1:4222 default ", "nats-url": "nats://xxxxx@nats:4222 flag --nats-url",
		"upstream": " default ", "log-level": "warn file " + file + ":4",
	}
	got := map[string]string{}
	for _, s := range shown.Settings {
		if want[s.Key] != "" {
			got[s.Key] = strings.Join([]string{s.Value, s.Source, s.Place}, " ")
		} else if s.Source != "default" { // all others, whatever they are called: nobody has set them
			t.Errorf("%s has the source %q", s.Key, s.Source)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	wrong := write(t, dir, "wrong.toml", "listen = ':1'\nlissten = ':2'\n")
	for _, command := range []string{"serve", "status", "config"} {
		r := run(t, environment(dir), p.master, command, "--config", wrong)
		refuses(t, r, 2, wrong+`:2: unknown key "lissten"`)
	}
	r := run(t, environment(dir), p.slave, "run", "--config", write(t, dir, "s.toml", "listen = ':1'"))
	refuses(t, r, 2, `s.toml:1: unknown key "listen"`)
	refuses(t, run(t, environment(dir), p.master, "serve", "--nats-creds", "x"), 2, "--nats-creds", "--nats-url")
}

const manual = "../../docs/configuration.md"

// testManual holds the tables of the manual to the programs' own.
func testManual(t *testing.T, p programs) {
	text, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	want := string(text)
	for name, program := range map[string]string{"master": p.master, "slave": p.slave, "monitor": p.monitor} {
		begin, end := "<!-- settings of "+name+" -->\n", "<!-- end -->"
		head, rest, ok := strings.Cut(want, begin)
		_, tail, whole := strings.Cut(rest, end)
		if !ok || !whole {
			t.Fatalf("%s has no place for the settings of %s", manual, name)
		}
		want = head + begin + must(t, environment(t.TempDir()), program, "config", "--markdown") + end + tail
	}
	if *update {
		if err := os.WriteFile(manual, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("%s is out of date (-programs +manual); run go test ./internal/deploytest -run TestDeployed/manual -update\n%s", manual, diff)
	}
}
