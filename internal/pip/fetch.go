package pip

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"pinwheel/internal/pep"
)

// FetchWheel lets pip, with the caller's own settings, download the one wheel
// of that file name and SHA-256 (hex) into dir, and returns its path. The
// wheel need not be for this machine. pip refuses a file with another hash.
func FetchWheel(ctx context.Context, py Python, filename, sha256, dir string) (string, error) {
	wheel, err := pep.ParseWheelName(filename)
	if err != nil {
		return "", fmt.Errorf("fetch wheel %s: %w", filename, err)
	}
	list := filepath.Join(dir, filename+".requirement")
	line := fmt.Sprintf("%s==%s --hash=sha256:%s\n", wheel.Name(), wheel.Version, sha256)
	if err := os.WriteFile(list, []byte(line), 0o600); err != nil {
		return "", fmt.Errorf("fetch wheel %s: %w", filename, err)
	}
	defer os.Remove(list)
	argv := []string{py.Path, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:",
		"--require-hashes", "--progress-bar", "off", "-d", dir, "-r", list}
	argv = append(argv, wheelTarget(wheel.Tags[0])...)
	if _, err := (command{argv: argv, env: os.Environ(), dir: dir}).combined(ctx); err != nil {
		return "", fmt.Errorf("fetch wheel %s: %w", filename, err)
	}
	path := filepath.Join(dir, filename)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("fetch wheel %s: pip took another file of that hash: %w", filename, err)
	}
	return path, nil
}

// wheelTarget tells pip to choose as a machine would that the wheel is for.
func wheelTarget(t pep.Tag) []string {
	digits := strings.TrimLeft(t.Python, "abcdefghijklmnopqrstuvwxyz")
	return []string{"--implementation", strings.TrimSuffix(t.Python, digits), "--python-version", digits,
		"--abi", t.ABI, "--platform", t.Platform}
}
