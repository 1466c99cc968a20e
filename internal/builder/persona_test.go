package builder

import (
	"os/exec"
	"strings"
	"testing"

	"pinwheel/internal/farm"
)

// machineName is what a program says that this machine is.
func machineName(t *testing.T, argv ...string) string {
	t.Helper()
	said, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).Output()
	must(t, err)
	return strings.TrimSpace(string(said))
}

// smallMachine is what the kernel says where 32 bits are meant.
func smallMachine(t *testing.T) string { return machineName(t, "setarch", "linux32", "uname", "-m") }

// TestSeem32: a build that is told that its Python is not of the kernel's size is told so
// by the kernel, too, and so is the import test.
func TestSeem32(t *testing.T) {
	t.Parallel()
	for _, mode := range modes() {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			code := strings.ReplaceAll(`assert os.uname()[4] == "MACHINE", os.uname()
return wheel(d, seems="import os; assert os.uname()[4] == 'MACHINE', os.uname()")
`, "MACHINE", smallMachine(t))
			b := newBuild(t, mode, "seems", index(t, map[string][]byte{"seems": sdist(t, "seems", code)}))
			b.Python.HostPlatform = strings.ReplaceAll(b.Python.Platform, "linux_", "linux-") // its own: only the kernel's word changes
			b.SkipImports = false
			r := build(t, b)
			if r.Outcome != farm.OutcomeBuilt {
				t.Fatalf("%+v\n%s", r, readLog(t, b))
			}
			if i := r.Record.Imports; len(i.Modules) != 1 || len(i.Findings) != 0 {
				t.Errorf("imports: %+v", i)
			}
		})
	}
}
