package bench_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"pinwheel/internal/bus"
	"pinwheel/internal/bustest"
	"pinwheel/internal/farm"
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

// BenchmarkSlaveIdle tells what a slave holds in memory when nothing is to be done: after
// a start, greeted by a master that has no job, its neighbours asked. Each pass is another
// start; the medians count. It is built as `make build` does, for this machine and, where
// that is an x86_64, for 32 bits too, which is as near to arm as it comes natively, and for
// arm itself, where qemu is there to run it.
func BenchmarkSlaveIdle(b *testing.B) {
	natively := func(program string, args ...string) *exec.Cmd { return exec.Command(program, args...) }
	b.Run(runtime.GOARCH, func(b *testing.B) { slaveIdle(b, runtime.GOARCH, natively, wholeMemory) })
	if runtime.GOARCH != "amd64" {
		return
	}
	b.Run("386", func(b *testing.B) { slaveIdle(b, "386", natively, wholeMemory) })
	if qemu, err := exec.LookPath("qemu-arm-static"); err == nil {
		emulated := func(program string, args ...string) *exec.Cmd {
			return exec.Command(qemu, append([]string{program}, args...)...)
		}
		b.Run("arm", func(b *testing.B) { slaveIdle(b, "arm", emulated, guestMemory) })
	}
}

// wholeMemory is what a process has in memory, and what of that is no file's, in bytes.
func wholeMemory(b *testing.B, pid int) (resident, own int64) {
	return memoryOf(b, pid, "VmRSS"), memoryOf(b, pid, "RssAnon")
}

// guestMemory is wholeMemory of a 32-bit program that qemu runs, without qemu's own: all
// that the program has lies within 4 GB of one address, from which Go's for arm begin at
// 64 kB. Only what is its own is as on an arm: qemu does not let it give back pages of its file,
// and does not read them again for code that it has translated once.
func guestMemory(b *testing.B, pid int) (resident, own int64) {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps", pid))
	if err != nil {
		b.Fatal(err)
	}
	var base, at uint64
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if from, _, ok := strings.Cut(f[0], "-"); ok {
			if at, err = strconv.ParseUint(from, 16, 64); err != nil {
				b.Fatal(err)
			}
			if base == 0 && len(f) > 5 && filepath.Base(f[5]) == "slave" {
				base = at - 64<<10
			}
			continue
		}
		if base == 0 || at < base || at >= base+4<<30 || f[0] != "Rss:" && f[0] != "Anonymous:" {
			continue
		}
		kb, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		if f[0] == "Rss:" {
			resident += kb << 10
		} else {
			own += kb << 10
		}
	}
	if own == 0 {
		b.Fatalf("process %d has no slave in it", pid)
	}
	return resident, own
}

// starts is how often a slave is started.
const starts = 5

func slaveIdle(b *testing.B, arch string, command func(string, ...string) *exec.Cmd, memory func(*testing.B, int) (int64, int64)) {
	f := bustest.Start(b)
	greeted := make(chan bool, 100)
	_, err1 := f.Master.HandleHello(func(context.Context, string, bus.Hello) bus.Welcome {
		greeted <- true
		return bus.Welcome{HTTP: "http://127.0.0.1:1", Index: "http://127.0.0.1:1/simple/", Upstream: "http://127.0.0.1:1/simple/",
			Beat: 5 * time.Second, Lease: time.Minute, Now: time.Now()}
	})
	_, err2 := f.Master.HandleNext(func(ctx context.Context, _ string, _ bus.Next) bus.NextReply {
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
		return bus.NextReply{}
	})
	_, err3 := f.Master.HandleBeat(func(context.Context, string, bus.Beat) bus.BeatReply { return bus.BeatReply{Now: time.Now()} })
	dir, err4 := proc.SharedTempDir("pinwheel-bench-", proc.BuildUser())
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	slave := programFor(b, dir, "slave", arch)
	creds := filepath.Join(dir, "creds")
	if err := os.WriteFile(creds, f.Creds(b, "idle", farm.RoleSlave), 0o600); err != nil {
		b.Fatal(err)
	}
	var all, own []float64
	for range b.N {
		for i := range starts {
			run := command(slave, "run", "--nats-url", f.Server.URL(), "--creds", creds, "--state-dir", filepath.Join(dir, fmt.Sprint("state", i)))
			if err := run.Start(); err != nil {
				b.Fatal(err)
			}
			<-greeted
			time.Sleep(settle)
			resident, anonymous := memory(b, run.Process.Pid)
			all, own = append(all, float64(resident)/1e6), append(own, float64(anonymous)/1e6)
			_ = run.Process.Signal(syscall.SIGTERM)
			_ = run.Wait()
		}
	}
	slices.Sort(all)
	slices.Sort(own)
	b.ReportMetric(all[len(all)/2], "slave-MB")
	b.ReportMetric(all[len(all)-1], "worst-MB")
	b.ReportMetric(own[len(own)/2], "anonymous-MB")
	b.ReportMetric(0, "ns/op")
}

// program builds one of ours and reports its size.
func program(b *testing.B, dir, name string) string {
	b.Helper()
	return programFor(b, dir, name, runtime.GOARCH)
}

func programFor(b *testing.B, dir, name, arch string) string {
	b.Helper()
	path := filepath.Join(dir, name)
	cmd := exec.Command("make", "-s", "-C", filepath.Join("..", ".."), "program", "PROGRAM="+name, "OUT="+path)
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+arch, "GOARM=6")
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
	return memoryOf(b, pid, "VmRSS")
}

// memoryOf is a field of /proc/PID/status, in bytes.
func memoryOf(b *testing.B, pid int, field string) int64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			return kb << 10
		}
	}
	b.Fatalf("process %d has no %s", pid, field)
	return 0
}
