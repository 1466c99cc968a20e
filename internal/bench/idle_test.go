package bench_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"pinwheel/internal/proc"
)

// settle is how long the programs run before their memory is read.
const settle = 20 * time.Second

// BenchmarkIdle tells the sizes of the programs, stripped as `make build` does,
// and what they hold in memory when nothing is to be done: the master on the
// largest queue asked for, with embedded NATS and an external database.
func BenchmarkIdle(b *testing.B) {
	rows := rowCounts(b)
	dsn := database(b, rows[len(rows)-1])
	user, err := proc.PostgresUser()
	if err != nil {
		b.Fatal(err)
	}
	dir, err := proc.SharedTempDir("pinwheel-bench-", user)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	master, slave := program(b, dir, "master"), program(b, dir, "slave")
	state := filepath.Join(dir, "state")
	serve := exec.Command(master, "serve", "--state-dir", state, "--database-url", dsn, "--listen", "127.0.0.1:0",
		"--nats-listen", "127.0.0.1:0", "--upstream", "http://127.0.0.1:1/simple/")
	out, err := serve.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	start(b, serve)
	var ready struct {
		NATS string `json:"nats"`
	}
	if err := json.NewDecoder(bufio.NewReader(out)).Decode(&ready); err != nil {
		b.Fatal("master not ready: ", err)
	}
	creds := filepath.Join(dir, "creds")
	enroll := exec.Command(master, "enroll", fmt.Sprintf("idle%d", time.Now().UnixNano()), "--state-dir", state, "--database-url", dsn)
	text, err := enroll.Output()
	if err == nil {
		err = os.WriteFile(creds, text, 0o600)
	}
	if err != nil {
		b.Fatal(err)
	}
	// The slave serves this machine's target, which the large queue does not
	// have: it says hello, is refused in words, and idles.
	run := exec.Command(slave, "run", "--nats-url", ready.NATS, "--creds", creds, "--state-dir", filepath.Join(dir, "slave-state"))
	start(b, run)
	for range b.N {
		time.Sleep(settle)
	}
	b.ReportMetric(float64(rss(b, serve.Process.Pid))/1e6, "master-MB")
	b.ReportMetric(float64(rss(b, run.Process.Pid))/1e6, "slave-MB")
	b.ReportMetric(0, "ns/op")
}

// program builds one of ours and reports its size.
func program(b *testing.B, dir, name string) string {
	b.Helper()
	path := filepath.Join(dir, name)
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "pinwheel/cmd/"+name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("build %s: %v: %s", name, err, out)
	}
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(info.Size())/1e6, name+"-file-MB")
	return path
}

// start runs a program until the benchmark ends.
func start(b *testing.B, cmd *exec.Cmd) {
	b.Helper()
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		if b.Failed() {
			b.Log(said.String())
		}
	})
}

// rss is a process's resident memory in bytes.
func rss(b *testing.B, pid int) int64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			return kb << 10
		}
	}
	b.Fatalf("process %d has no VmRSS", pid)
	return 0
}
