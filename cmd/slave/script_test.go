package main

import (
	"os"
	"path/filepath"
	"testing"

	"pinwheel/internal/builder"
	"pinwheel/internal/clitest"
)

// TestMain runs the tests, or is the program: scripts start this very binary
// under the program's name.
func TestMain(m *testing.M) {
	builder.Inside()
	if filepath.Base(os.Args[0]) == "slave" {
		main()
	}
	os.Exit(m.Run())
}

// TestScript runs each command as a process: good use, wrong use, what it prints,
// its exit status.
func TestScript(t *testing.T) {
	t.Parallel()
	clitest.Run(t, clitest.Params{
		Dir:      filepath.Join("testdata", "script"),
		Programs: map[string]string{"slave": ""},
	})
}

// TestEveryCommandHasScripts: a new one without them fails here.
func TestEveryCommandHasScripts(t *testing.T) {
	t.Parallel()
	// What run is for, the master's scripts show.
	clitest.Rows(t, newRoot(), nil, filepath.Join("testdata", "script"), filepath.Join("..", "master", "testdata", "farm"))
}
