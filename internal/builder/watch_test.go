package builder

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"pinwheel/internal/farm"
)

// TestVerdict: who is to blame for memory that is not there.
func TestVerdict(t *testing.T) {
	t.Parallel()
	const gig = 1 << 30
	for name, c := range map[string]struct {
		limit, has, free int64
		want             farm.Cause
		err              error
	}{
		"all well":                            {limit: 2 * gig, has: gig, free: 2 * gig},
		"no limit":                            {has: 3 * gig, free: gig},
		"over its limit":                      {limit: gig, has: gig + 1, free: 3 * gig, want: farm.OutOfMemory},
		"takes all there is":                  {has: 3 * gig, free: 100 << 20, want: farm.OutOfMemory},
		"others take all there is":            {has: 100 << 20, free: 100 << 20, err: errShort},
		"over its limit, and nothing is left": {limit: gig, has: gig + 1, free: 0, want: farm.OutOfMemory},
	} {
		w := &watch{limits: farm.Limits{Memory: c.limit}, began: machine{total: 4 * gig, free: 3 * gig}}
		f, err := w.verdict(c.has, machine{total: 4 * gig, free: c.free})
		if f.Cause != c.want || !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
}

// TestShort: a machine keeps a twentieth of its memory, within reason.
func TestShort(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		total, free int64
		want        bool
	}{
		{0, 0, false}, // no /proc/meminfo that we understand
		{512 << 20, 47 << 20, true}, {512 << 20, 49 << 20, false},
		{4 << 30, 200 << 20, true}, {4 << 30, 210 << 20, false},
		{256 << 30, 1 << 30, false}, {256 << 30, 1<<30 - 1, true},
	} {
		if got := (machine{total: c.total, free: c.free}).short(); got != c.want {
			t.Errorf("%d of %d left: %v", c.free, c.total, got)
		}
	}
}

// TestKernelsWords: what the kernel says of this very process and machine is
// understood. Not beside others, as TestManyDescriptors.
func TestKernelsWords(t *testing.T) {
	s := readStatus("/proc/self")
	if s.own < 1<<20 || s.own > 1<<40 || s.tasks < 2 {
		t.Errorf("status %+v", s)
	}
	if m := readMachine(); m.total < 64<<20 || m.free <= 0 {
		t.Errorf("machine %+v", m)
	}
	if c := countMemory(t.Context(), "/proc", []string{strconv.Itoa(os.Getpid())}); c.own < 1<<20 || c.own > 1<<40 || !c.whole {
		t.Errorf("exact %+v", c)
	}
	if gone := readStatus("/proc/0"); gone != (status{}) {
		t.Errorf("of nobody: %+v", gone)
	}
}

// TestFirstToEnd: a process that takes back that the kernel ends it first is that again
// before the machine is short.
func TestFirstToEnd(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", endsFirst+"echo 900 >/proc/self/oom_score_adj; cat /proc/self/oom_score_adj; read rest")
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	defer func() { in.Close(); _ = cmd.Wait() }()
	said, err := bufio.NewReader(out).ReadString('\n')
	must(t, err)
	if said != "900\n" {
		t.Fatalf("taken back, it is %q", said)
	}
	now := machine{total: 4 << 30, free: 2 << 30}
	w := &watch{began: now, read: func() machine { return now }}
	pids := []string{strconv.Itoa(cmd.Process.Pid)}
	for _, c := range []struct {
		free int64
		want string
	}{{2 << 30, "900"}, {1<<30 - 1, firstToEnd}} {
		now.free = c.free
		_, err = w.memory(time.Now(), "/proc", pids)
		must(t, err)
		is, err := os.ReadFile("/proc/" + pids[0] + "/oom_score_adj")
		must(t, err)
		if strings.TrimSpace(string(is)) != c.want {
			t.Errorf("with %s left it is %q, want %s", amount(c.free), is, c.want)
		}
	}
}

func FuzzParseFields(f *testing.F) {
	f.Add([]byte("Name:\tsh\nRssAnon:\t    1234 kB\nThreads:\t3\n"), "RssAnon")
	f.Add([]byte("RssAnon: 99999999999999999999 kB\n:\n\n"), "RssAnon")
	f.Add([]byte("MemTotal:       -5 kB"), "MemTotal")
	f.Fuzz(func(t *testing.T, text []byte, name string) {
		for found, n := range parseFields(text, name) {
			if found != name || n < 0 || n<<10 < n {
				t.Errorf("%q: %q is %d", text, found, n)
			}
		}
	})
}

// BenchmarkLook is the cost of one look at a build of twelve processes; a build has
// four of them a second.
func BenchmarkLook(b *testing.B) {
	k := kin{mode: None, first: os.Getpid()}
	pids := make([]string, 12)
	for i := range pids {
		pids[i] = strconv.Itoa(os.Getpid())
	}
	w := &watch{limits: farm.Limits{Memory: 1 << 40, Disk: 1 << 40}.Fill(), kin: k, disk: newDiskWatch(b.TempDir(), 1<<40), began: readMachine(), read: readMachine}
	for b.Loop() {
		if _, err := w.memory(w.exact, "/proc", pids); err != nil {
			b.Fatal(err)
		}
		w.disk.look(w.exact, &w.kin)
	}
}

// BenchmarkWalk is the cost of a walk over all processes of this machine, of which a
// sandbox, whose own /proc is asked first, is spared one a second.
func BenchmarkWalk(b *testing.B) {
	for b.Loop() {
		waitsInVain("/proc", os.Getpid())
	}
	b.ReportMetric(float64(len(pidsIn("/proc"))), "processes")
}
