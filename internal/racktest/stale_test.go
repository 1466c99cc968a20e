package racktest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestStale is what a play knows of a service whose files are newer than what runs. No clock
// tells that its program was replaced, right after it has started.
func TestStale(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program, settings := filepath.Join(dir, "program"), filepath.Join(dir, "settings")
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	binary, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	put := func(path, data string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(data), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	put(program, string(binary))
	put(settings, "")
	service := exec.CommandContext(t.Context(), program, "1h")
	if err := service.Start(); err != nil {
		t.Fatal(err)
	}
	runs := func(pid int) { put(filepath.Join(dir, "systemctl"), fmt.Sprintf("#!/bin/sh\necho MainPID=%d\n", pid)) }
	want := func(what, within, want string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "python3", "../../ansible/roles/common/files/stale.py", "unit", within, settings, program, filepath.Join(dir, "absent"))
		cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		if err != nil || string(out) != want {
			t.Errorf("%s: %q (%v), want %q", what, out, err, want)
		}
	}
	runs(service.Process.Pid)
	want("as it has started", "30", "")
	put(settings, "new")
	want("settings within the doubt", "30", "")
	want("settings, no doubt", "-30", settings+"\n"+program+"\n")
	put(program, string(binary))
	want("a program", "30", program+"\n")
	runs(0)
	want("it does not run", "-30", "")
	_ = service.Process.Kill()
	_ = service.Wait() // killed
	runs(service.Process.Pid)
	want("it has ended", "-30", "")
}
