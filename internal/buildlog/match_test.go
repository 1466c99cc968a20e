package buildlog

import (
	"bytes"
	"context"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func search(t testing.TB, pattern, log string) (bool, error) {
	t.Helper()
	return NewSearch(regexp.MustCompile("(?m)"+pattern)).In(t.Context(), bytes.NewReader(compressed(t, log)))
}

func TestSearch(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("gcc -O2 -c x.c\n", 40_000) // several windows
	for _, c := range []struct {
		name, pattern, log string
		want               bool
	}{
		{"at the end", `fatal error: (\w+)\.h`, long + "x.c:1: fatal error: ffi.h: No such file", true},
		{"in the middle", `^fatal: no$`, long + "fatal: no\n" + long, true},
		{"nowhere", `fatal: no`, long, false},
		{"nothing", `x`, "", false},
		{"a line of two windows", `begin.*end$`, long + "begin" + strings.Repeat(" ", 2*window) + "end\n" + long, true},
		{"a line of two windows, not so", `begin.*ends$`, "begin" + strings.Repeat(" ", 2*window) + "end", false},
		{"across lines", `(?s)begin.*end`, "begin\n" + long + "end", true},
		{"across lines, not so", `(?s)begin.*ends`, "begin\n" + long + "end", false},
		{"a blank that is a newline", `one\stwo`, "one\ntwo", true},
		{"the beginning of all", `\Agcc`, long, true},
		{"the beginning of all, not of a window", `\Acc`, "g" + long, false},
		{"not UTF-8", `caf.`, "\xff\x00caf\xe9", true},
	} {
		if got, err := search(t, c.pattern, c.log); got != c.want || err != nil {
			t.Errorf("%s: %v, %v; want %v", c.name, got, err, c.want)
		}
	}
}

// TestSearchIsMatch: a window changes nothing, wherever it ends.
func TestSearchIsMatch(t *testing.T) {
	t.Parallel()
	patterns := []string{"a", "^b", "c$", "^a*$", "a.b", "a[^b]c", `a\sb`, "(?s)a.*b", "^$", "(?i)AB|c+", `\Aa`, `c\z`, `\bb\b`}
	rapid.Check(t, func(r *rapid.T) {
		log := rapid.StringOfN(rapid.SampledFrom([]rune("abc \n")), 0, 60, -1).Draw(r, "log")
		re := regexp.MustCompile("(?m)" + rapid.SampledFrom(patterns).Draw(r, "pattern"))
		s := NewSearch(re)
		s.buf = make([]byte, rapid.IntRange(1, 20).Draw(r, "window"))
		got, err := s.In(t.Context(), strings.NewReader(log))
		if want := re.MatchString(log); got != want || err != nil {
			t.Fatalf("%q in %q: %v, %v; want %v", re, log, got, err, want)
		}
	})
}

func TestSearchSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	stored := compressed(t, strings.Repeat("line\n", 1000))
	for _, pattern := range []string{"other", "(?s)line.*other"} {
		re := regexp.MustCompile(pattern)
		_, err := NewSearch(re).In(t.Context(), bytes.NewReader(stored[:len(stored)-9]))
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("%s in a log that is cut off: %v", pattern, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := NewSearch(re).In(ctx, bytes.NewReader(stored)); !errors.Is(err, context.Canceled) {
			t.Errorf("%s, interrupted: %v", pattern, err)
		}
	}
}

// BenchmarkSearch beside reading the same log to its end.
func BenchmarkSearch(b *testing.B) {
	log := strings.Repeat("x86_64-linux-gnu-gcc -Wno-unused-result -O2 -fPIC -I/usr/include/python3.11 -c src/module.c -o build/module.o\n", 50_000)
	stored := compressed(b, log)
	b.Run("plain", func(b *testing.B) {
		b.SetBytes(int64(len(log)))
		for b.Loop() {
			if _, err := io.Copy(io.Discard, Text(b.Context(), bytes.NewReader(stored))); err != nil {
				b.Fatal(err)
			}
		}
	})
	for name, pattern := range map[string]string{"line": `fatal error: (\S+\.h)`, "class": `[Ee]rror: .*\.h`, "across": `(?s)error.*\.h`} {
		b.Run(name, func(b *testing.B) {
			s := NewSearch(regexp.MustCompile("(?m)" + pattern))
			b.SetBytes(int64(len(log)))
			for b.Loop() {
				if _, err := s.In(b.Context(), bytes.NewReader(stored)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
