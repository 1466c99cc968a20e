package farm

import (
	"testing"
	"unicode/utf8"
)

func TestGist(t *testing.T) {
	t.Parallel()
	for excerpt, want := range map[string]string{
		"": "",
		"Collecting demo==1.0\n  × Building wheel for demo (pyproject.toml) did not run successfully.\n  │ exit code: 1\n  ╰─> See above for output.\n": "Collecting demo==N.N",
		"  sorry, 17 gremlins\n  error: subprocess-exited-with-error\n  \n  note: This error originates from a subprocess\n":                            "sorry, N gremlins",
		"  /tmp/pip-abc/x.py:12: no Fortran, cannot go on at 0xdeadbeef\n  bye\nERROR: Failed to build demo":                                            "…/x.py:N: no Fortran, cannot go on at N",
	} {
		if got := Gist(excerpt); got != want {
			t.Errorf("Gist(%q) = %q, want %q", excerpt, got, want)
		}
	}
}

func FuzzGist(f *testing.F) {
	f.Add("a/b/c: error 12\n")
	f.Fuzz(func(t *testing.T, excerpt string) {
		if g := Gist(Clean(excerpt)); len(g) > maxGist || !utf8.ValidString(g) {
			t.Errorf("Gist(%q) = %q", excerpt, g)
		}
	})
}
