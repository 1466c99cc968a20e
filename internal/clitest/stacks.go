package clitest

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// stacks are what the goroutines of a program are at, as Go's own programs say when
// they are told to quit. It has a moment for it.
func (p *process) stacks() string {
	said, below := p.stderr.String(), below(p.cmd.Process.Pid)
	if err := p.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		return err.Error()
	}
	late := time.NewTimer(5 * time.Second)
	defer late.Stop()
	select {
	case <-p.done:
	case <-late.C:
	}
	return brief(p.stderr.String()[len(said):]) + "\nbelow it:" + below + "\nso far it had said:\n" + said
}

// below are the programs that one has started, and those have, each with its state: what
// a program waits for may be none of its goroutines.
func below(pid int) string {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // an error is one of the pattern
	var list string
	for _, path := range stats {
		stat, _ := os.ReadFile(path) // who has ended meanwhile is nobody's child
		m := ofStat.FindSubmatch(stat)
		if m == nil || string(m[4]) != strconv.Itoa(pid) {
			continue
		}
		child, err := strconv.Atoi(string(m[1]))
		if err == nil {
			list += fmt.Sprintf(" %s[%s]%s", m[2], m[3], below(child))
		}
	}
	return list
}

// ofStat takes number, name, state and parent out of proc_pid_stat(5).
var ofStat = regexp.MustCompile(`^(\d+) \((.*)\) (.) (\d+) `)

// own are the functions whose goroutines say where a program is: ours and the program's.
var own = regexp.MustCompile(`(?m)^((?:main|pinwheel/\S+?)\.\S+?)\(`)

// brief is a line for each goroutine that runs code of ours, the innermost call first. A
// runner shows the first lines of a long complaint, and all of a dump's registers and
// addresses come before the one goroutine that waits in vain.
func brief(dump string) string {
	var lines []string
	for block := range strings.SplitSeq(dump, "\n\n") {
		head, frames, ok := strings.Cut(block, "\n")
		if !ok || !strings.HasPrefix(head, "goroutine ") {
			continue
		}
		var calls []string
		for _, m := range own.FindAllStringSubmatch(frames, -1) {
			calls = append(calls, path.Base(m[1]))
		}
		if len(calls) > 0 {
			_, state, _ := strings.Cut(head, "[")
			lines = append(lines, "["+strings.TrimSuffix(state, ":")+" "+strings.Join(calls, " < "))
		}
	}
	if len(lines) == 0 {
		return dump
	}
	return strings.Join(lines, "\n")
}
