package proc_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"pinwheel/internal/proc"
)

// roleVariable turns a copy of the test binary into a parent that can be killed.
const roleVariable = "PROC_TEST_ROLE"

// prefixVariable tells one that owns a folder how it is to begin.
const prefixVariable = "PROC_TEST_PREFIX"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "parent":
		parent()
	case "owner":
		owner(os.Getenv(prefixVariable))
	}
	os.Exit(m.Run())
}

// parent starts a child that would live for ever, says its number, and stays.
func parent() {
	child, err := proc.Start(exec.Command("sleep", "infinity"))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(child.Pid())
	_ = child.Wait()
	os.Exit(0)
}

func TestChildDiesWithKilledParent(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"=parent")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := readNumber(t, out)
	gone := watch(t, pid)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // says "killed", which is what we did
	gone()
}

func TestWaitDoesNotHangOnGrandchild(t *testing.T) {
	t.Parallel()
	// The grandchild inherits the pipe and would hold it open for ever.
	var out bytes.Buffer
	cmd := exec.Command("sh", "-c", "sleep infinity & echo $!")
	cmd.Stdout = &out
	child, err := proc.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Wait(); err != nil {
		t.Fatalf("wait: %v", err)
	}
	if _, err := strconv.Atoi(strings.TrimSpace(out.String())); err != nil {
		t.Errorf("output is lost: %q", out.String())
	}
}

func TestKillEndsTheGroup(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("sh", "-c", "sleep infinity & echo $!; wait")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	child, err := proc.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	gone := watch(t, readNumber(t, out))
	child.Kill()
	gone()
	var exit *exec.ExitError
	if err := child.Wait(); !errors.As(err, &exit) {
		t.Errorf("wait after kill = %v, want an exit error", err)
	}
	child.Kill() // after the end it must be harmless
}

func TestSignalReachesTheChildOnly(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("sh", "-c", "trap 'exit 7' TERM; echo 0; while :; do sleep 0.01; done")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	child, err := proc.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	readNumber(t, out)
	if err := child.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-child.Done()
	if code := cmd.ProcessState.ExitCode(); code != 7 {
		t.Errorf("exit code %d, want 7 from the trap", code)
	}
	if err := child.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal after the end = %v, want os.ErrProcessDone", err)
	}
}

func TestStartNamesTheProgram(t *testing.T) {
	t.Parallel()
	_, err := proc.Start(exec.Command("/no/such/program"))
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "start /no/such/program") {
		t.Errorf("error = %v", err)
	}
}

func TestGroupOrSession(t *testing.T) {
	t.Parallel()
	for _, setsid := range []bool{false, true} {
		cmd := exec.Command("sleep", "infinity")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: setsid}
		child, err := proc.Start(cmd)
		if err != nil {
			t.Fatalf("setsid %v: %v", setsid, err)
		}
		group, err := unix.Getpgid(child.Pid())
		if err != nil || group != child.Pid() {
			t.Errorf("setsid %v: group %d, %v; want its own, %d", setsid, group, err, child.Pid())
		}
		session, err := unix.Getsid(child.Pid())
		if err != nil || (session == child.Pid()) != setsid {
			t.Errorf("setsid %v: session %d, %v of child %d", setsid, session, err, child.Pid())
		}
		child.Kill()
		<-child.Done()
	}
}

// watch returns a function that waits for a process that is not our child.
func watch(t *testing.T, pid int) func() {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatalf("watch process %d: %v", pid, err)
	}
	return func() {
		defer unix.Close(fd)
		for {
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 60_000)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err != nil || n == 0 {
				t.Errorf("process %d still lives: %v", pid, err)
			}
			return
		}
	}
}

func readNumber(t *testing.T, r io.Reader) int {
	t.Helper()
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatalf("read a process number: %q, %v", line, err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatalf("read a process number: %q", line)
	}
	return n
}

// TestKeyrings: a child keeps nothing in the kernel that the next one finds. It says which
// session keyring it has; where keyrings are forbidden, it has none.
func TestKeyrings(t *testing.T) {
	t.Parallel()
	script := fmt.Sprintf("import ctypes; print(ctypes.CDLL(None).syscall(%d, %d, %d, 0))",
		unix.SYS_KEYCTL, unix.KEYCTL_GET_KEYRING_ID, unix.KEY_SPEC_SESSION_KEYRING)
	seen := map[string]bool{}
	for range 2 {
		cmd := exec.Command("python3", "-c", script)
		var out bytes.Buffer
		cmd.Stdout = &out
		child, err := proc.Start(cmd)
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Wait(); err != nil {
			t.Fatal(err)
		}
		if id := strings.TrimSpace(out.String()); id != "-1" && seen[id] {
			t.Errorf("two children have the keyring %s", id)
		} else {
			seen[id] = true
		}
	}
}
