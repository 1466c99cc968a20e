package elffile

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// TestIllegalInstruction runs the same code, compiled for both, on the processor of a Pi
// Zero: what is not proven dies there, and that is what its users are spared.
func TestIllegalInstruction(t *testing.T) {
	t.Parallel()
	qemu, err := exec.LookPath("qemu-arm-static")
	if err != nil {
		t.Fatal("no qemu-arm-static: apt install qemu-user-static; as root, `make test` does")
	}
	for _, c := range []struct {
		program, cpu string
		proven, runs bool
	}{
		{"run-v6", "arm1176", true, true},
		{"run-v6", "cortex-a7", true, true},
		{"run-v7", "arm1176", false, false},
		{"run-v7", "cortex-a7", false, true},
	} {
		t.Run(c.program+" on "+c.cpu, func(t *testing.T) {
			t.Parallel()
			if p := ProveARMv6(realFile(t, c.program), false); p.Proven != c.proven {
				t.Errorf("proven %v: %s", p.Proven, p.Reason)
			}
			b, err := os.ReadFile(filepath.Join("testdata", c.program))
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), c.program)
			if err := os.WriteFile(path, b, 0o755); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), qemu, "-cpu", c.cpu, path)
			cmd.Dir = t.TempDir() // a core may be left there
			var end *exec.ExitError
			if err := cmd.Run(); !errors.As(err, &end) {
				t.Fatalf("it ended with %v, want a status", err)
			}
			status := end.Sys().(syscall.WaitStatus)
			if runs := status.Exited() && status.ExitStatus() == 42; runs != c.runs {
				t.Errorf("it ran: %v, want %v; status %#x", runs, c.runs, int(status))
			}
			if !c.runs && (!status.Signaled() || status.Signal() != syscall.SIGILL) {
				t.Errorf("it ended with status %#x, want an illegal instruction", int(status))
			}
		})
	}
}
