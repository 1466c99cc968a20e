package manualtest

import (
	"slices"
	"testing"
)

// words are those of a command, as a shell and a script's line split it: by blanks, but for
// those between single quotes.
func words(line string) []string {
	var list []string
	word, begun, quoted := "", false, false
	for _, r := range line + " " {
		switch {
		case r == '\'':
			quoted, begun = !quoted, true
		case r != ' ' || quoted:
			word, begun = word+string(r), true
		case begun:
			list, word, begun = append(list, word), "", false
		}
	}
	return list
}

func TestWords(t *testing.T) {
	t.Parallel()
	for line, want := range map[string][]string{
		"a b  c":                      {"a", "b", "c"},
		"set 'torch*' --reason 'a b'": {"set", "torch*", "--reason", "a b"},
		"--reason=''":                 {"--reason="},
		"x '' > y.creds":              {"x", "", ">", "y.creds"},
	} {
		if got := words(line); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}
