package clitest

import (
	"regexp"
	"strings"
	"testing"
)

// TestBrief: of all that a program says when it quits there is a line for each goroutine
// of its own, in the order of the dump.
func TestBrief(t *testing.T) {
	t.Parallel()
	dump := `SIGQUIT: quit
PC=0x49ace1 m=0 sigcode=0

goroutine 0 gp=0x290fac0 m=0 mp=0x2911380 [idle]:
runtime.futex(0x29114d8, 0x80, 0x0, 0x0, 0x0, 0x0)
	/usr/local/go/src/runtime/sys_linux_amd64.s:569 +0x21

goroutine 1 gp=0x2 m=nil [chan receive, 2 minutes]:
runtime.gopark(0x23f899775650?, 0x2?)
	/usr/local/go/src/runtime/proc.go:462 +0xce
main.(*demo).close(0x23f899910c88)
	/src/cmd/master/demofarm.go:117 +0x92
pinwheel/internal/cli.Main({0x1, 0x2})
	/src/internal/cli/main.go:38 +0x56
created by pinwheel/internal/proc.Start in goroutine 1
	/src/internal/proc/child.go:43 +0x158

rax    0x0
`
	if got, want := brief(dump), "[chan receive, 2 minutes] main.(*demo).close < cli.Main"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := brief("no dump\n\nat all"); got != "no dump\n\nat all" {
		t.Errorf("without goroutines: %q", got)
	}
}

// TestStacks: a program that hangs says where, after what it had said before.
func TestStacks(t *testing.T) {
	t.Parallel()
	p, err := start(spec{argv: []string{"/bin/sh", "-c", `trap 'kill $c; (echo "goroutine 1 [sleep]:"; echo "main.hang()") >&2; exit' QUIT; sleep 1000 >/dev/null 2>&1 & c=$!; until grep -q sleep /proc/$c/comm; do :; done; echo begun >&2; while :; do sleep 0.01; done`}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.kill(); err != nil {
			t.Error(err)
		}
	})
	if _, err := p.await(t.Context(), regexp.MustCompile("^begun$")); err != nil {
		t.Fatal(err)
	}
	if got := p.stacks(); !regexp.MustCompile(`^\[sleep\] main\.hang\nbelow it:( sleep\[.\]| sh\[.\])*\nso far it had said:\nbegun\n$`).MatchString(got) || !strings.Contains(got, " sleep[S]") {
		t.Errorf("%q", got)
	}
}
