package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Both are set by the Makefile (-ldflags -X): a clone built without version
// control stamping would not know them. A release has a version, and what is
// built between two has none.
var version, commit string //nolint:gochecknoglobals // the linker can set nothing else

// Version names this build in one word: the version of a release, else the
// commit, else what Go knows.
func Version() string {
	switch {
	case version != "":
		return version
	case commit != "":
		return commit
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

// build is all that a report of a fault should say of a program.
func build() string {
	or := func(s, d string) string {
		if s == "" {
			return d
		}
		return s
	}
	return fmt.Sprintf("%s, commit %s, %s %s/%s", or(version, "unreleased"), or(commit, "unknown"),
		runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
