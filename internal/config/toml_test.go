package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTOML(t *testing.T) {
	t.Parallel()
	text := "# a comment\r\n\r\n  a = 'x' # 'y'\r\n\tb-1_\t=\t\"q\\\"\\\\\\t\\u00e9\\U0001F600\"\n" +
		"'c d' = 1_000\nd = -5\ne = +7\nf=true#x\ng = ''\nh = 'C:\\new'\n1 = 0"
	got, err := parseTOML("p.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := []entry{
		{"a", "x", kindString, 3}, {"b-1_", "q\"\\\té😀", kindString, 4}, {"c d", "1000", kindInteger, 5},
		{"d", "-5", kindInteger, 6}, {"e", "7", kindInteger, 7}, {"f", "true", kindBool, 8}, {"g", "", kindString, 9},
		{"h", `C:\new`, kindString, 10}, {"1", "0", kindInteger, 11},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(entry{})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestSections: a key in a section is the setting of both names.
func TestSections(t *testing.T) {
	t.Parallel()
	got, err := parseTOML("p.toml", []byte("a = 1\n[tls]\ncert = 'x' # c\n\nkey-2 = true\n[[b]]\nc = 'd'\n[e]\nf = 5\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []entry{{"a", "1", kindInteger, 1}, {"tls-cert", "x", kindString, 3}, {"tls-key-2", "true", kindBool, 5},
		{"b", "c=d", kindTable, 6}, {"e-f", "5", kindInteger, 9}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(entry{})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for text, want := range map[string]string{
		"tls-cert = 'a'\n[tls]\ncert = 'b'\n": "p.toml:3: tls-cert stands in line 1 already",
		"[a]\nb-c = 1\n[a-b]\nc = 2\n":        "p.toml:4: a-b-c stands in line 2 already",
		"[tls]\n":                             "p.toml:1: [tls]: want KEY = VALUE below it",
		"[tls.more]\ncert = 'b'\n":            "p.toml:1: [tls]: want KEY = VALUE below it, and no dots",
		"[tls]\ncert = [1]\n":                 "p.toml:2: tls-cert: want a",
		"[tls]\na.b = 1\n":                    "p.toml:2: a: settings have no dots",
	} {
		_, err := parseTOML("p.toml", []byte(text))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestNoTOML(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"a", "a =", "= 1", "a = b", "a = 1 2", "a = 'x' 'y'", "a = \"x", `a = "\u12"`, `a = "\ud800"`, `a = "\`,
		"a.b = 1", "'a'.b = 1", "a = [1]", "a = {}", "a = 1.5", "a = 007", "a = 1__0",
		"a = 9223372036854775808", "a = True", "a = 'x\x01'", "# \x00", "a = 1\ra = 2", "[a]", "é = 1", "a = 2026-01-01", "\"a = 1",
	} {
		if got, err := parseTOML("p.toml", []byte(text)); err == nil {
			t.Errorf("%q is taken as %v", text, got)
		}
	}
}

// FuzzTOML: no text panics, and what is read can be written as a file that reads
// the same.
func FuzzTOML(f *testing.F) {
	for _, seed := range []string{"", "a = 'x'", "a = \"\\u00e9\"\nb=1_0 # c", "[t]", "[t]\na=1", "t-a=1\n[t]\na=2", "a='''", "x = \"\\", "\xff", "a = true\r\n", "a = 1\n[[b]]\nc = 'd'\ne = ''\n[[b]]\nc = 'f'"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := parseTOML("p.toml", data)
		if err != nil {
			return
		}
		var again []byte
		for _, e := range list {
			again = append(again, e.text()...)
		}
		second, err := parseTOML("p.toml", again)
		if err != nil {
			t.Fatalf("%q is written as %q: %v", data, again, err)
		}
		for i := range list {
			list[i].line = second[i].line
		}
		if diff := cmp.Diff(list, second, cmp.AllowUnexported(entry{})); diff != "" {
			t.Errorf("%q (-first +again)\n%s", data, diff)
		}
	})
}

// text is the entry as it stands in a file.
func (e entry) text() string {
	switch e.kind {
	case kindString:
		return quote(e.key) + " = " + quote(e.value) + "\n"
	case kindTable:
		out := "[[" + quote(e.key) + "]]\n"
		for pair := range strings.SplitSeq(e.value, ",") {
			key, value, _ := strings.Cut(pair, "=")
			out += quote(key) + " = " + quote(value) + "\n"
		}
		return out
	}
	return quote(e.key) + " = " + e.value + "\n"
}

// quote writes a basic string with the two escapes that must be, and those for
// what no line may hold.
func quote(s string) string {
	out := `"`
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			out += `\` + string(r)
		case r < ' ' || r == 0x7f:
			out += `\u00` + string("0123456789abcdef"[r>>4]) + string("0123456789abcdef"[r&15])
		default:
			out += string(r)
		}
	}
	return out + `"`
}
