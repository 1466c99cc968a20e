package crash

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// passings makes this test binary a process that passes two points, thrice each.
const passings = "CRASH_TEST_PASSINGS"

func TestMain(m *testing.M) {
	if os.Getenv(passings) == "" {
		os.Exit(m.Run())
	}
	for n := range 3 {
		At(AgentBuilt)
		At(AgentSpooled)
		fmt.Println(n + 1)
	}
}

func TestAt(t *testing.T) {
	t.Parallel()
	tests := []struct {
		at     string
		out    string // what it still says
		stderr string
		killed bool
		status int
	}{
		{at: "", out: "1 2 3"},
		{at: "agent-built", stderr: "killed at agent-built", killed: true},
		{at: "agent-spooled:1", stderr: "killed at agent-spooled", killed: true},
		{at: "agent-spooled:3", out: "1 2", stderr: "killed at agent-spooled", killed: true},
		{at: "agent-spooled:4", out: "1 2 3"},
		{at: "collect-stored", out: "1 2 3"},
		{at: "nowhere", stderr: `"nowhere": no such point`, status: 2},
		{at: "agent-built:0", stderr: "want NAME or NAME:N", status: 2},
		{at: "agent-built:x", stderr: "want NAME or NAME:N", status: 2},
	}
	for _, test := range tests {
		t.Run(test.at, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			var stderr strings.Builder
			cmd.Env, cmd.Stderr = append(os.Environ(), passings+"=1", Variable+"="+test.at), &stderr
			out, err := cmd.Output()
			if got := strings.Join(strings.Fields(string(out)), " "); got != test.out {
				t.Errorf("it said %q, want %q", got, test.out)
			}
			if got := stderr.String(); !strings.Contains(got, test.stderr) || test.stderr == "" && got != "" {
				t.Errorf("stderr: %q, want %q", got, test.stderr)
			}
			status := ended(t, err)
			if status.Signaled() != test.killed || test.killed && status.Signal() != syscall.SIGKILL {
				t.Errorf("ended by %v", status.Signal())
			}
			if !test.killed && status.ExitStatus() != test.status {
				t.Errorf("exit status %d, want %d", status.ExitStatus(), test.status)
			}
		})
	}
}

func ended(t *testing.T, err error) syscall.WaitStatus {
	t.Helper()
	var exit *exec.ExitError
	if err == nil {
		return 0
	}
	if !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return exit.Sys().(syscall.WaitStatus)
}

func BenchmarkAtWhenOff(b *testing.B) {
	for b.Loop() {
		At(CollectStored)
	}
}
