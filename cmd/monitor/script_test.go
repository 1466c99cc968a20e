package main

import (
	"os"
	"path/filepath"
	"testing"

	"pinwheel/internal/clitest"
)

// TestMain runs the tests, or is the program: scripts start this very binary
// under the program's name.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "monitor" {
		main()
	}
	os.Exit(m.Run())
}

// TestScript runs the command as a process: good use, wrong use, what it prints,
// its exit status.
func TestScript(t *testing.T) {
	t.Parallel()
	clitest.Run(t, clitest.Params{
		Dir:      filepath.Join("testdata", "script"),
		Programs: map[string]string{"monitor": ""},
	})
}

// TestEveryCommandHasScripts: a new one without them fails here.
func TestEveryCommandHasScripts(t *testing.T) {
	t.Parallel()
	clitest.Rows(t, newRoot(), nil, filepath.Join("testdata", "script"))
}

func TestUnicode(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		env  map[string]string
		want bool
	}{
		{nil, true},
		{map[string]string{"LANG": "C.UTF-8"}, true},
		{map[string]string{"LANG": "C"}, false},
		{map[string]string{"LANG": "de_DE.utf8"}, true},
		{map[string]string{"LANG": "C.UTF-8", "LC_ALL": "POSIX"}, false},
		{map[string]string{"LANG": "POSIX", "LC_CTYPE": "en_GB.UTF-8"}, true},
	} {
		lookup := func(name string) (string, bool) { v, ok := row.env[name]; return v, ok }
		if got := unicode(lookup); got != row.want {
			t.Errorf("%v: %v, want %v", row.env, got, row.want)
		}
	}
}
