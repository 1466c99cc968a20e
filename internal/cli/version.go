package cli

import "runtime/debug"

// commit is set by the Makefile (-ldflags -X): a clone built without version
// control stamping would not know it.
var commit string //nolint:gochecknoglobals // the linker can set nothing else

// Version names this build: the module's version, else the commit.
func Version() string {
	if commit != "" {
		return commit
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
