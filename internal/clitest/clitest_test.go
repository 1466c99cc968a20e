package clitest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
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
