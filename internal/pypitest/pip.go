package pypitest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Pip runs this machine's real pip against the server, as a user with an empty home and no settings: nothing of
// the caller's PIP_* variables or configuration files. It returns all that pip wrote, and pip's error. Arguments
// follow the form of pip's command line; --index-url is added. Everything is ended after two minutes.
func (s *Server) Pip(t testing.TB, command string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	args = append([]string{"-m", "pip", command, "--no-cache-dir", "--index-url", s.URL()}, args...)
	cmd := exec.CommandContext(ctx, Python(t), args...)
	cmd.Dir = t.TempDir()
	cmd.Env = cleanEnv(cmd.Dir)
	cmd.WaitDelay = 5 * time.Second // a daemon may hold the pipe
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Python finds an interpreter with pip and venv that we can run: the system's, else the first of the PATH.
func Python(t testing.TB) string {
	t.Helper()
	var faults []string
	for _, candidate := range []string{"/usr/bin/python3", "python3"} {
		cmd := exec.CommandContext(t.Context(), candidate, "-c", "import pip, venv, ensurepip")
		out, err := cmd.CombinedOutput()
		if err == nil {
			return candidate
		}
		faults = append(faults, fmt.Sprintf("%s: %v %s", candidate, err, out))
	}
	t.Fatalf("no Python with pip and venv, install python3-pip and python3-venv: %s", strings.Join(faults, "; "))
	return ""
}

// cleanEnv is an environment with a home of its own.
func cleanEnv(home string) []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + filepath.Clean(home), "LANG=C.UTF-8",
		"PIP_CONFIG_FILE=" + os.DevNull, "PIP_DISABLE_PIP_VERSION_CHECK=1", "PIP_NO_INPUT=1",
	}
}
