package builder

import (
	"bytes"
	"context"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// status is what one process has, of /proc/PID/status (proc(5)).
type status struct {
	own    int64 // bytes that are no file's: its heap and stacks, also where they are swapped out
	shared int64 // bytes of shared memory that it maps
	tasks  int   // threads
}

func readStatus(dir string) (s status) {
	fields := readFields(dir+"/status", "RssAnon", "VmSwap", "RssShmem", "Threads")
	return status{own: (fields["RssAnon"] + fields["VmSwap"]) << 10, shared: fields["RssShmem"] << 10, tasks: int(fields["Threads"])}
}

// readFields reads numbers of a file whose lines are "Name:   123 kB", as the
// kernel writes many. What is not there is 0: a process may have ended meanwhile.
func readFields(path string, names ...string) map[string]int64 {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	return parseFields(text, names...)
}

func parseFields(text []byte, names ...string) map[string]int64 {
	found := make(map[string]int64, len(names))
	for line := range bytes.Lines(text) {
		name, rest, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			continue
		}
		for _, want := range names {
			if string(name) != want {
				continue
			}
			number := strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(string(rest)), "kB"))
			if n, err := strconv.ParseInt(number, 10, 64); err == nil && n >= 0 && n < 1<<50 {
				found[want] = n
			}
		}
	}
	return found
}

// usage is what a build has at one moment.
type usage struct {
	memory int64 // bytes of all its processes
	tasks  int   // threads of all its processes
}

// quickUsage adds up what each process has. What processes share, by fork or as
// shared memory, counts for each: it is never too little, and costs a read each.
func quickUsage(base string, pids []string) (u usage, shared int64) {
	for _, pid := range pids {
		s := readStatus(base + "/" + pid)
		u.memory += s.own
		u.tasks += s.tasks
		shared += s.shared
	}
	return u, shared
}

// memory is what a build has, in bytes, every page counted once.
type memory struct {
	own, shared int64
	files       int64 // in files of memory, mapped or not: memfds, and the sandbox's /dev
	whole       bool  // all files were looked at
	took        time.Duration
}

// countMemory counts pages by what the kernel says of them (PSS), for which it walks all
// page tables: some 15 ms for each gigabyte that a process maps, shared or not. Of
// processes that are not reached before the end of ctx their own sums count, which are
// never too little.
func countMemory(ctx context.Context, base string, pids []string) (c memory) {
	began := time.Now()
	defer func() { c.took = time.Since(began) }()
	c.files, c.whole = memoryFiles(ctx, base, pids)
	for _, pid := range pids {
		dir := base + "/" + pid
		var f map[string]int64
		if ctx.Err() == nil {
			f = readFields(dir+"/smaps_rollup", "Pss_Anon", "Pss_Shmem", "SwapPss", "Rss")
		}
		if f["Rss"] == 0 { // too late, hidden from us, or just gone
			s := readStatus(dir)
			c.own, c.shared = c.own+s.own, c.shared+s.shared
			continue
		}
		c.own += (f["Pss_Anon"] + f["SwapPss"]) << 10
		c.shared += f["Pss_Shmem"] << 10
	}
	return c
}

// memoryFiles is how many bytes are in files of memory that processes have open:
// memfds, each once, and what is in /dev of the sandbox, which is kept in memory. It is
// not whole if ctx ended before all were looked at.
func memoryFiles(ctx context.Context, base string, pids []string) (size int64, whole bool) {
	seen := map[uint64]bool{}
	whole = nameless(ctx, base, pids, func(f openFile) bool {
		if strings.HasPrefix(f.name, "/memfd:") && !seen[f.inode] {
			seen[f.inode] = true
			size += f.size
		}
		return len(seen) < maxSeen
	})
	return size + devSize(base), whole
}

// devSize is what the build has written to the sandbox's /dev. Without a sandbox
// /dev is the machine's, and none of the build's.
func devSize(base string) int64 {
	if base == "/proc" {
		return 0
	}
	var st unix.Statfs_t
	if unix.Statfs(base+"/1/root/dev", &st) != nil || st.Type != unix.TMPFS_MAGIC {
		return 0
	}
	return (int64(st.Blocks) - int64(st.Bfree)) * int64(st.Bsize)
}

// machine is what all processes of the machine leave, in bytes.
type machine struct{ total, free, shmem int64 }

// readMachine reads /proc/meminfo. Swap counts: whoever has some means it to be
// used.
func readMachine() machine {
	f := readFields("/proc/meminfo", "MemTotal", "MemAvailable", "SwapFree", "Shmem")
	return machine{total: f["MemTotal"] << 10, free: (f["MemAvailable"] + f["SwapFree"]) << 10, shmem: f["Shmem"] << 10}
}

// short says whether the machine has less than it must keep: then the build goes. A
// twentieth of its memory is what it takes in a look or two.
func (m machine) short() bool { return m.total > 0 && m.free < min(max(m.total/20, 48<<20), 1<<30) }

// scarce says whether the machine might come to be short: until then no process ends
// for want of memory.
func (m machine) scarce() bool { return m.free < m.total/4 }
