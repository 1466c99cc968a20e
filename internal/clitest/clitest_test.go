package clitest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

// TestPlaceSeesWhatIsLeft: a script's last check must be able to fail.
func TestPlaceSeesWhatIsLeft(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	if err := p.files(); err != nil {
		t.Errorf("a fresh place: %v", err)
	}
	file := filepath.Join(p.Tmp, "pinwheel-left")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.files(); err == nil || !strings.Contains(err.Error(), "pinwheel-left") {
		t.Errorf("a file that is left: %v", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}

	for name, how := range map[string]spec{
		"its folder":       {dir: p.Tmp},
		"its environment":  {env: []string{"STATE=" + p.Dir + "/state"}},
		"its command line": {argv: []string{p.Dir + "/state"}},
	} {
		how.argv = append([]string{"/bin/sh", "-c", "echo ready; read forever", "sh"}, how.argv...)
		child, closeInput := waiting(t, how)
		if err := p.processes(); err == nil || !strings.Contains(err.Error(), "read forever") {
			t.Errorf("a process that is known by %s: %v", name, err)
		}
		closeInput()
		if code, err := child.wait(t.Context()); err != nil || code > 1 {
			t.Errorf("end of a process: %d, %v", code, err)
		}
	}
	if err := p.awaitEmpty(); err != nil {
		t.Errorf("after the end of all: %v", err)
	}
}

// waiting starts a program that waits for the end of its input.
func waiting(t *testing.T, how spec) (*process, func()) {
	t.Helper()
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	how.stdin = in
	child, err := start(how)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := child.await(t.Context(), regexp.MustCompile("^ready$")); err != nil {
		t.Fatal(err)
	}
	return child, func() { out.Close() }
}

func TestProcess(t *testing.T) {
	t.Parallel()
	child, err := start(spec{argv: []string{"/bin/sh", "-c", "echo 1 a; echo 2 b >&2; echo 1 c; kill -9 $$"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a", "c"} {
		found, err := child.await(t.Context(), regexp.MustCompile(`^1 (.)$`))
		if err != nil || found[1] != want {
			t.Errorf("await: %q, %v; want %s", found, err, want)
		}
	}
	if found, err := child.await(t.Context(), regexp.MustCompile("^1")); err == nil {
		t.Errorf("await found %q a second time", found)
	}
	if code, err := child.wait(t.Context()); code != -int(syscall.SIGKILL) || err != nil {
		t.Errorf("wait: %d, %v", code, err)
	}
}

// TestRowsAreFound: what a script runs, and what it does not.
func TestRowsAreFound(t *testing.T) {
	t.Parallel()
	root := &cobra.Command{Use: "master"}
	target, add := &cobra.Command{Use: "target"}, &cobra.Command{Use: "add TARGET"}
	for _, flag := range []string{"json", "config", "database-url"} {
		add.Flags().String(flag, "", "")
	}
	target.AddCommand(add)
	root.AddCommand(target)
	commands := wanted(root, "master")
	for _, words := range commands {
		slices.Sort(words)
	}
	want := map[string][]string{"master": {"good", "usage"}, "master target": {"good", "usage"},
		"master target add": {"config", "good", "interrupt", "json", "nodatabase", "usage"}}
	if diff := cmp.Diff(want, commands); diff != "" {
		t.Errorf("rows wanted (-want +got):\n%s", diff)
	}
	for script, want := range map[string][]string{
		"exits 0 env A=b master target add x":                                 {"master target add: good"},
		"start master '\"ready\"' $S/bin/master target":                       {"master target: good"},
		"exits 1 master target add x":                                         nil,
		"start at - master target add x\nblocked\nend at INT 1":               {"master target add: good", "master target add: interrupt"},
		"start at - master target add x\nend at KILL -9\nend other INT 1":     {"master target add: good"},
		"interrupt TERM 'ready' 0 master target add x":                        {"master target add: interrupt", "master target add: good"},
		"refused 2 'see `master target add --help`' master --frob":            {"master: usage"},
		"refused 2 'x' master target add --config x":                          {"master target add: config"},
		"refused 1 'connect to the database: x' master target add":            {"master target add: nodatabase"},
		"exits 0 master target add --json\ncmp stdout a.json":                 {"master target add: good", "master target add: json"},
		"exits 1 master target add x --json\nshape\ncmpenv stdout a.json":     {"master target add: json"},
		"exits 0 master target add x\ncmp stdout a.json":                      {"master target add: good"},
		"exits 1 master target add --json\nexits 1 master\ncmp stdout a.json": nil,
		"stdout 'master target add'\ncmp stdout a.json":                       nil,
	} {
		if diff := cmp.Diff(want, found(commands, script)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", script, diff)
		}
	}
}

func TestShape(t *testing.T) {
	t.Parallel()
	got, err := shape([]byte(`{"schema": 1, "n": 17, "s": "x", "no": null, "ok": true, "list": [{"a": "b"}, {"a": "c"}, 3], "empty": []}`))
	want := `{
  "empty": [],
  "list": [
    {
      "a": "string"
    },
    0
  ],
  "n": 0,
  "no": null,
  "ok": true,
  "s": "string",
  "schema": 1
}
`
	if err != nil || got != want {
		t.Errorf("shape: %v\n%s", err, got)
	}
	if _, err := shape([]byte("{}{}")); err == nil {
		t.Error("two objects are taken for one")
	}
}
