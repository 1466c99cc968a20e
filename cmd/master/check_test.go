package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pinwheel/internal/cli"
	"pinwheel/internal/farm"
	"pinwheel/internal/storetest"
)

type checkAnswer struct {
	Accepted bool
	Findings []struct{ Code, Severity, Message string }
	ELF      []farm.ELF
	ARMv6l   *farm.Proof
}

// TestCheckShowsELF is what check says of real wheels for ARM, for people and programs.
func TestCheckShowsELF(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		elves, flags string
		accepted     bool
		proven       string // what people read of the proof
		codes        string
	}{
		{"v6.so", "", true, "proven: by the attributes of its one ELF file", ""},
		{"v6.so v7.so", "", true, "not proven: _v7.cpython-311-arm-linux-gnueabihf.so: ARMv7, Thumb-2,", ""},
		{"v6-stripped.so", "", true, "not proven: _v6-stripped.cpython-311-arm-linux-gnueabihf.so: it has no attributes", ""},
		{"v6-stripped.so", "--vouches-armv6", true, "proven: the target vouches for its compiler", ""},
		{"v7.so", "--vouches-armv6", true, "not proven: ", ""},
		{"v6.so", "--glibc 2.3", false, "proven: ", "elf-glibc"},
		{"", "", true, "not proven: there is no ELF file in it", ""},
	} {
		t.Run(c.elves+" "+c.flags, func(t *testing.T) {
			t.Parallel()
			file, b := storetest.ARMWheel(t, "demo", strings.Fields(c.elves)...)
			path := filepath.Join(t.TempDir(), file.Name)
			if err := os.WriteFile(path, b, 0o644); err != nil {
				t.Fatal(err)
			}
			args := append([]string{"check", path, "--for", "demo==1.0", "--target", "cp311-linux_armv7l"}, strings.Fields(c.flags)...)
			run := func(args ...string) string {
				var out bytes.Buffer
				root := newRoot()
				root.SetOut(&out)
				root.SetErr(&out)
				if code := cli.Main(t.Context(), root, args); (code == cli.ExitDone) != c.accepted {
					t.Errorf("exit status %d: %s", code, out.String())
				}
				return out.String()
			}
			var got checkAnswer
			if err := json.Unmarshal([]byte(run(append(args, "--json")...)), &got); err != nil {
				t.Fatal(err)
			}
			var codes []string
			for _, x := range got.Findings {
				codes = append(codes, x.Code)
			}
			if got.Accepted != c.accepted || strings.Join(codes, " ") != c.codes || len(got.ELF) != len(strings.Fields(c.elves)) {
				t.Errorf("%+v", got)
			}
			if got.ARMv6l == nil || got.ARMv6l.Proven != strings.HasPrefix(c.proven, "proven") {
				t.Errorf("for armv6l: %+v", got.ARMv6l)
			}
			words := run(args...)
			if !strings.Contains(words, "armv6l: "+c.proven) || c.elves != "" && !strings.Contains(words, "arm, ") {
				t.Errorf("in words:\n%s", words)
			}
		})
	}
}
