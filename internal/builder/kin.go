package builder

import (
	"fmt"
	"os"
	"strconv"
)

// kin are the processes of one build.
type kin struct {
	mode  Mode
	first int      // the first process of the sandbox; without one, the supervisor
	proc  *os.File // the sandbox's own /proc, which has its processes and no others
}

// list gives the folder of /proc where they are, and their numbers there. Nothing
// yet is no error: a sandbox is not made at once.
func (k *kin) list() (base string, pids []string) {
	if k.mode != Bwrap {
		return "/proc", below(k.first)
	}
	if k.proc == nil && !k.open() {
		return "", nil
	}
	base = fmt.Sprintf("/proc/self/fd/%d", k.proc.Fd())
	return base, pidsIn(base)
}

// open takes hold of the sandbox's /proc, so that a look costs as much as the build
// has processes, not the machine. Before bwrap has put it there, the same path is
// the host's.
func (k *kin) open() bool {
	if k.first <= 0 {
		return false
	}
	path := fmt.Sprintf("/proc/%d/root/proc", k.first)
	ours, err1 := os.Readlink("/proc/self/ns/pid")
	its, err2 := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", k.first))
	shown, err3 := os.Readlink(path + "/1/ns/pid")
	if err1 != nil || err2 != nil || err3 != nil || its == ours || its != shown {
		return false
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	k.proc = f
	return true
}

func (k *kin) close() {
	if k.proc != nil {
		k.proc.Close() // only read
	}
}

// pidsIn lists the processes of a /proc.
func pidsIn(base string) []string {
	f, err := os.Open(base + "/.")
	if err != nil {
		return nil
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil
	}
	pids := names[:0]
	for _, name := range names {
		if name[0] >= '1' && name[0] <= '9' {
			pids = append(pids, name)
		}
	}
	return pids
}

// below lists the descendants of a process.
func below(first int) []string {
	children := childTable("/proc")
	var pids []string
	for todo := children[first]; len(todo) > 0; todo = todo[1:] {
		pids = append(pids, strconv.Itoa(todo[0].pid))
		todo = append(todo, children[todo[0].pid]...)
	}
	return pids
}
