package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/cli"
	"pinwheel/internal/farm"
)

func TestParseItems(t *testing.T) {
	t.Parallel()
	items, err := parseItems([]string{"Foo_Bar==1.0", "pure", "foo-bar==1.0", "foo-bar==2.0", "pure"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, it := range items {
		got = append(got, it.asked)
	}
	if diff := cmp.Diff([]string{"Foo_Bar==1.0", "pure", "foo-bar==2.0"}, got); diff != "" {
		t.Errorf("items (-want +got):\n%s", diff)
	}
	for _, bad := range []string{"", "a b", "a==", "a==1==2", "-a", "a==x"} {
		if _, err := parseItems([]string{bad}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// TestPlainly: no cause may be without words, and none may lose its own.
func TestPlainly(t *testing.T) {
	t.Parallel()
	for _, c := range farm.Causes() {
		got := plainly(farm.Failure{Cause: c, Detail: "ffi.h", Hint: "apt: libffi-dev"})
		known := causeWords()[c] != "" || c == farm.Unknown
		if !known || !strings.HasSuffix(got, ": ffi.h (apt: libffi-dev; "+string(c)+")") {
			t.Errorf("%s in plain words: %q", c, got)
		}
	}
	if got := plainly(farm.Failure{Cause: farm.Timeout}); got != "it took too long (timeout)" {
		t.Errorf("without detail: %q", got)
	}
}

func TestLastLines(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ log, want string }{
		{"", ""},
		{"a\nb\nc\n", "b\nc"},
		{"a\nb\n  error: subprocess-exited-with-error\nnote: x\n", "a\nb"},
		{"error: subprocess-exited-with-error\nx", "error: subprocess-exited-with-error\nx"},
	} {
		if got := strings.Join(lastLines(c.log, 2), "\n"); got != c.want {
			t.Errorf("last lines of %q: %q, want %q", c.log, got, c.want)
		}
	}
}

// TestDraw holds what is drawn while packages are under way to the screen, since
// what has scrolled away cannot be drawn over.
func TestDraw(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	v := newView(&out)
	for i := range 40 {
		it := &item{asked: fmt.Sprintf("p%d", i), phase: phaseBuilding}
		if i == 1 {
			it.fail("does not build: "+strings.Repeat("long ", 100), "the end", "of the log")
		}
		v.items = append(v.items, it)
		v.shown[it] = shown{item: *it}
	}
	wide, high := size(&out)
	v.draw(false)
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) >= high || lines[len(lines)-1] != fmt.Sprintf("… and %d more", 40-len(lines)+1) {
		t.Errorf("%d lines on a screen of %d, the last is %q", len(lines), high, lines[len(lines)-1])
	}
	for _, l := range lines {
		if n := len([]rune(l)); n > wide {
			t.Errorf("a line of %d on a screen of %d: %q", n, wide, l)
		}
	}
	first := len(lines)
	out.Reset()
	v.draw(true)
	if !strings.HasPrefix(out.String(), fmt.Sprintf("\x1b[%dA\x1b[J", first)) || !strings.Contains(out.String(), "\n    of the log\n") {
		t.Errorf("the last drawing does not replace the one before, or lacks the log: %q", out.String()[:200])
	}
}

func TestItemFailsInOneLine(t *testing.T) {
	t.Parallel()
	it := &item{}
	it.fail("two\nlines")
	if it.why != cli.OneLine(it.why) || !it.ended() {
		t.Errorf("%+v", it)
	}
}
