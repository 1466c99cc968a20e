package proc

import (
	"os"
	"path/filepath"
)

// DefaultStateDir is where a program keeps what must survive: /var/lib/pinwheel
// for root, else pinwheel below XDG_STATE_HOME or ~/.local/state (XDG Base
// Directory Specification).
func DefaultStateDir() string {
	return defaultDir("/var/lib", "XDG_STATE_HOME", ".local/state")
}

// DefaultCacheDir is where a program keeps what it can fetch again:
// /var/cache/pinwheel for root, else pinwheel below XDG_CACHE_HOME or ~/.cache.
func DefaultCacheDir() string {
	return defaultDir("/var/cache", "XDG_CACHE_HOME", ".cache")
}

// defaultDir falls back to the current folder for a user without a home; a
// relative XDG variable is to be ignored, says the specification.
func defaultDir(system, variable, belowHome string) string {
	if os.Geteuid() == 0 {
		return filepath.Join(system, "pinwheel")
	}
	if base := os.Getenv(variable); filepath.IsAbs(base) {
		return filepath.Join(base, "pinwheel")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = "."
	}
	return filepath.Join(home, belowHome, "pinwheel")
}
