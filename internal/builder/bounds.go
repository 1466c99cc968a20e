package builder

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"pinwheel/internal/farm"
)

// bound is a limit that the kernel holds by itself (setrlimit(2)), the same for
// each process of a build; of processes, for all of its user.
type bound struct {
	resource int
	value    int64
}

// bounds are those of a build. The first net is the watch, which looks at the whole
// build and can say what was too much; these are the second, which nothing
// slips through between two looks.
func (x *box) bounds(l farm.Limits) []bound {
	list := []bound{{unix.RLIMIT_CORE, 0}}
	for _, b := range []bound{
		{unix.RLIMIT_DATA, l.Memory}, // heap and private mappings
		{unix.RLIMIT_FSIZE, l.FileSize},
		{unix.RLIMIT_NOFILE, int64(l.OpenFiles)},
		{unix.RLIMIT_NPROC, x.processes(l.Processes)},
	} {
		if b.value > 0 {
			list = append(list, b)
		}
	}
	return list
}

// processes is the bound for so many processes of a build. Since Linux 5.14 the
// kernel counts them by user namespace, of which the sandbox has its own; before
// it, and without a sandbox, all that the user runs on this machine counts, and may
// get more meanwhile: then the watch is exact and the bound has room.
func (x *box) processes(most int) int64 {
	if most <= 0 || x.mode == Bwrap && countsByNamespace() {
		return int64(most)
	}
	uid := uint32(os.Geteuid())
	if !x.user.IsZero() {
		uid = x.user.UID
	}
	return int64(most + tasksOf(uid) + room)
}

// room is for what else the user of builds may come to run.
const room = 1000

func countsByNamespace() bool {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return false
	}
	var major, minor int
	if n, err := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &major, &minor); n < 2 || err != nil {
		return false
	}
	return major > 5 || major == 5 && minor >= 14
}

// inShell are commands that set bounds, for a shell that is to run a build. A bound
// above one that is there already changes nothing, as it should. Shells disagree on
// the letter for processes.
func inShell(list []bound) string {
	var b strings.Builder
	for _, x := range list {
		n := strconv.FormatInt(x.value, 10)
		switch x.resource {
		case unix.RLIMIT_CORE:
			b.WriteString("ulimit -c " + n)
		case unix.RLIMIT_DATA:
			b.WriteString("ulimit -d " + strconv.FormatInt(x.value>>10, 10))
		case unix.RLIMIT_FSIZE:
			b.WriteString("ulimit -f " + strconv.FormatInt((x.value+511)>>9, 10))
		case unix.RLIMIT_NOFILE:
			b.WriteString("ulimit -n " + n)
		case unix.RLIMIT_NPROC:
			b.WriteString("ulimit -u " + n + " 2>/dev/null || ulimit -p " + n)
		}
		b.WriteString(" 2>/dev/null\n")
	}
	return b.String()
}

// inWords are bounds as the supervisor takes them: "4:0,7:4096".
func inWords(list []bound) string {
	var words []string
	for _, x := range list {
		words = append(words, fmt.Sprintf("%d:%d", x.resource, x.value))
	}
	return strings.Join(words, ",")
}

// endsFirst says who goes when the machine runs out of memory: the build, rather
// than who looks after it. By the build itself, since that is always allowed.
const endsFirst = "echo " + firstToEnd + " 2>/dev/null >/proc/self/oom_score_adj\n"

// firstToEnd is the kernel's word for it (proc_pid_oom_score_adj(5)).
const firstToEnd = "1000"

// keepFirstToEnd says it again of processes that have taken it back: without privileges
// they may, down to what they inherited.
func keepFirstToEnd(base string, pids []string) {
	for _, pid := range pids {
		path := base + "/" + pid + "/oom_score_adj"
		if is, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(is)) != firstToEnd {
			_ = os.WriteFile(path, []byte(firstToEnd), 0) // gone, or hidden from us
		}
	}
}

// leader runs the build's program as the first process of its PID namespace.
// When that process ends, the kernel kills all others; until then the shell
// takes in orphans.
func (x *box) leader(l farm.Limits) string {
	return endsFirst + inShell(x.bounds(l)) + `"$@"; exit $?`
}

// unasked keeps programs from asking a person, who is not there: without it git
// and ssh look for a terminal or a display.
func unasked() []string {
	return []string{"GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=/bin/false", "SSH_ASKPASS=/bin/false",
		"SSH_ASKPASS_REQUIRE=force", "GIT_SSH_COMMAND=ssh -oBatchMode=yes"}
}

// tasksOf counts the threads of a user on this machine, as the kernel does.
func tasksOf(uid uint32) int {
	n := 0
	for _, pid := range pidsIn("/proc") {
		if owner, ok := ownerOf("/proc/" + pid); ok && owner == uid {
			n += readStatus("/proc/" + pid).tasks
		}
	}
	return n
}

func ownerOf(path string) (uint32, bool) {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return 0, false
	}
	return st.Uid, true
}
