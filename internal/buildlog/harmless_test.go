package buildlog

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// harmless is what becomes of a text that is written in these pieces.
func harmless(secrets []string, pieces ...string) string {
	var b strings.Builder
	h := NewHarmless(func(p []byte) { b.Write(p) }, secrets...)
	for _, p := range pieces {
		_, _ = h.Write([]byte(p))
	}
	h.Flush()
	return b.String()
}

func TestHarmless(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                                       "",
		"plain text\n\tindented\n":               "plain text\n\tindented\n",
		"f\u00fcr \u20ac 3 \U0001f600":           "f\u00fcr \u20ac 3 \U0001f600",
		"\x1b[31;1mred\x1b[0m":                   "red",
		"\x1b[?25l\x1b[2K\x1b[ qup":              "up",
		"\x1b]0;a title with spaces\x07text":     "text",
		"\x1b]8;;https://x/\x1b\\link\x1b]8;;\a": "link",
		"\x1bPq#0;2;0;0;0\x1b\\sixel":            "sixel",
		"\x1b(Bascii\x1b=\x1bcreset":             "asciireset",
		"\x1b]never ended\nnext line":            "never ended\nnext line",
		"\x1b[31\nno order":                      "31\nno order",
		"\x1b\x1b[1mtwice":                       "twice",
		"nul\x00 bell\a back\b del\x7f":          "nul bell back del",
		"c1 \u009b31m \u0085.":                   "c1 31m .",
		"latin1 \xfc\xff":                        "latin1 \ufffd\ufffd",
		"cut \xe2\x82":                           "cut \ufffd",
		"trojan \u202e\u2066source\u2069":        "trojan source",
		"10%\r20%\rdone\r\nnext\r":               "10%\n20%\ndone\nnext\n",
		"at the end \x1b[3":                      "at the end 3",
		"\x1b]0;half \xe2\x82\nnext":             "0;half \ufffd\nnext",
		"\x1b]" + strings.Repeat("x", 9000):      strings.Repeat("x", 8192) + "[... 808 bytes left out ...]",
	} {
		if got := harmless(nil, in); got != want {
			t.Errorf("harmless(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestSecretsAreHidden(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"Looking in indexes: https://user:pass@host/simple/, https://o@p.example/x": "Looking in indexes: https://****@host/simple/, https://****@p.example/x",
		"git+https://ghp_token:x-oauth-basic@host/a@v1":                             "git+https://****@host/a@v1",
		"https://us:p@ss@host":                                "https://****@host",
		"git clone ssh://git@host/a and ssh://root@host":      "git clone ssh://git@host/a and ssh://****@host",
		"mail a@b and https://host/@scope/x":                  "mail a@b and https://host/@scope/x",
		"'https://a:b@c','https://d:e@f'":                     "'https://****@c','https://****@f'",
		"https://u:\x1b[31mp\x1b[0mw@h/":                      "https://****@h/",
		"https://h/f?token=abc&x=1&X-Amz-Signature=0a%2F#end": "https://h/f?token=****&x=1&X-Amz-Signature=****#end",
		"https://h/?monkey=1&author=me&page=2":                "https://h/?monkey=1&author=me&page=2",
		"https://h/?private_token=a&amp;api_key=b":            "https://h/?private_token=****&amp;api_key=****",
		"env: SECRET is hunter22, hunter22hunter22":           "env: SECRET is ****, ********",
	} {
		if got := harmless([]string{"hunter22"}, in); got != want {
			t.Errorf("harmless(%q) = %q, want %q", in, got, want)
		}
	}
}

// In however many pieces it is written, the same becomes of it.
func TestHarmlessInPieces(t *testing.T) {
	t.Parallel()
	alphabet := []string{"word ", "https://user:", "secret", "@host/", "\x1b[31m", "\x1b]0;t", "\a", "\r", "\n", "\u20ac", "\xe2", "\x00",
		"?token=", "value", "&", "\u202e", strings.Repeat("long", maxWord/3), " "}
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.SampledFrom(alphabet), 0, 20).Draw(t, "text")
		seed := rapid.Uint64().Draw(t, "cuts")
		text := strings.Join(parts, "")
		rng := rand.New(rand.NewPCG(seed, 0))
		var pieces []string
		for rest := text; rest != ""; {
			n := 1 + rng.IntN(min(len(rest), 1+rng.IntN(3*maxWord)))
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		whole, cut := harmless([]string{"hunter22"}, text), harmless([]string{"hunter22"}, pieces...)
		if whole != cut {
			t.Fatalf("in one piece %q, in %d %q", whole, len(pieces), cut)
		}
		if strings.Contains(whole, "user:secret@") {
			t.Fatalf("a password is shown: %q", whole)
		}
	})
}

// One line of a megabyte is kept in its beginning, and holds no memory.
func TestLongWordsAreCut(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1<<20)
	want := "see " + strings.Repeat("x", maxWord) + "[... 1040384 bytes left out ...] end\n"
	h := NewHarmless(func([]byte) {})
	for range 64 {
		_, _ = h.Write([]byte(long[:1<<14]))
	}
	if cap(h.held) > 1<<17 {
		t.Errorf("holds %d bytes", cap(h.held))
	}
	if got := harmless(nil, "see "+long+" end\n"); got != want {
		t.Errorf("%d bytes, %.60q … %q", len(got), got, got[max(0, len(got)-60):])
	}
	// Half of a password shows as little as all of it.
	begin := strings.Repeat("y", maxWord-16) + "https://u:hunter22hunter22@h"
	for _, text := range []string{begin + " ", begin + long, begin} {
		if got := harmless(nil, text); strings.Contains(got, "u:h") {
			t.Errorf("a piece of a password is shown: %q", got[maxWord-30:])
		}
	}
}

func FuzzHarmless(f *testing.F) {
	f.Add([]byte("\x1b[31mhttps://a:b@c\r\n\xff\u202e"), 3)
	f.Add([]byte("\x1b]52;c;AAAA\x07 ?token=x"), 1)
	f.Fuzz(func(t *testing.T, text []byte, at int) {
		var got bytes.Buffer
		h := NewHarmless(func(p []byte) { got.Write(p) })
		at = max(0, min(at, len(text)))
		_, _ = h.Write(text[:at])
		_, _ = h.Write(text[at:])
		h.Flush()
		if !utf8.Valid(got.Bytes()) {
			t.Fatalf("not UTF-8: %q", got.Bytes())
		}
		for _, r := range got.String() {
			if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
				t.Fatalf("%U in %q", r, got.String())
			}
		}
	})
}

func BenchmarkHarmless(b *testing.B) {
	line := "  gcc -pthread -Wno-unused-result -O2 -fPIC -I/usr/include/python3.11 -c src/_speedups.c -o build/temp/_speedups.o\n"
	text := []byte(strings.Repeat(line, 500))
	h := NewHarmless(func([]byte) {}, "hunter22")
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		_, _ = h.Write(text)
	}
}
