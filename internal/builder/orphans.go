package builder

import (
	"bytes"
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// process is what /proc says of one process (proc(5), stat).
type process struct {
	pid, parent int
	zombie      bool
	start       uint64 // ticks since boot: with pid it names a process for good
}

// orphans are what keeps pip waiting in vain, if it does. In a sandbox its own /proc is
// asked first, which has its processes and no others: only if pip waits there, which it
// rarely does, all of the machine is walked over, whose numbers they are ended by.
func (k *kin) orphans() []process {
	if k.mode == Bwrap {
		base, _ := k.list()
		if base == "" || len(waitsInVain(base, 1)) == 0 {
			return nil
		}
	}
	return waitsInVain("/proc", k.first)
}

// waitsInVain says whether pip, the oldest child of first, waits for a build
// step that has ended: the step is a zombie, since pip reads its output up to
// the end before it looks after it, and something that the step left behind
// holds that output open. These orphans are returned. Processes have the numbers
// that they have in the /proc at base.
func waitsInVain(base string, first int) []process {
	children := childTable(base)
	mine := children[first]
	if len(mine) < 2 {
		return nil
	}
	steps := children[mine[0].pid]
	if len(steps) == 0 || slices.ContainsFunc(steps, func(p process) bool { return !p.zombie }) {
		return nil
	}
	var orphans []process
	for todo := slices.Clone(mine[1:]); len(todo) > 0; todo = todo[1:] {
		if !todo[0].zombie {
			orphans = append(orphans, todo[0])
		}
		todo = append(todo, children[todo[0].pid]...)
	}
	return orphans
}

// childTable lists the children of every process of a /proc, the oldest first.
func childTable(base string) map[int][]process {
	table := map[int][]process{}
	for _, pid := range pidsIn(base) {
		if p, ok := readStat(base + "/" + pid + "/stat"); ok {
			table[p.parent] = append(table[p.parent], p)
		}
	}
	for _, c := range table {
		slices.SortFunc(c, func(a, b process) int {
			return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.pid, b.pid))
		})
	}
	return table
}

func readStat(path string) (process, bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return process{}, false // it ended meanwhile
	}
	return parseStat(text)
}

// parseStat reads a stat line. The name in parentheses is the process's own
// choice and may hold anything, also parentheses.
func parseStat(text []byte) (p process, ok bool) {
	open, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return p, false
	}
	fields := bytes.Fields(text[end+1:])
	if len(fields) < 20 {
		return p, false
	}
	var errs [3]error
	p.pid, errs[0] = strconv.Atoi(string(bytes.TrimSpace(text[:open])))
	p.parent, errs[1] = strconv.Atoi(string(fields[1]))
	p.start, errs[2] = strconv.ParseUint(string(fields[19]), 10, 64)
	p.zombie = string(fields[0]) == "Z"
	return p, errs == [3]error{}
}

// end kills the process, if it is still the one that was seen.
func (p process) end() {
	h, err := hold(p.pid)
	if err != nil {
		return // gone meanwhile
	}
	defer h.close()
	path := filepath.Join("/proc", strconv.Itoa(p.pid), "stat")
	if now, ok := readStat(path); ok && now.start == p.start {
		h.kill()
	}
}
