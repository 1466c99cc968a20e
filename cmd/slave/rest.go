package main

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
)

// rest gives back what this program holds in memory and does not use while it waits:
// garbage, and the pages of its own file, most of which only the start or a build
// needed. Whoever needs one of those again finds it in the page cache, or on the disk,
// as after the start.
func rest() {
	debug.FreeOSMemory()
	text, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return
	}
	for _, m := range fileMappings(bytes.NewReader(text)) {
		// An error means that the pages stay.
		_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, m.from, m.to-m.from, syscall.MADV_DONTNEED)
	}
}

// mapping is a part of a process's memory, as addresses.
type mapping struct{ from, to uintptr }

// fileMappings finds, in the form of /proc/PID/smaps (proc(5)), what is mapped from files
// and is as it is there, so that dropping it loses nothing: it cannot be written, and
// none of it is a copy of its own.
func fileMappings(smaps io.Reader) []mapping {
	var found []mapping
	var at mapping
	clean := false
	end := func() {
		if clean {
			found = append(found, at)
		}
		clean = false
	}
	for lines := bufio.NewScanner(smaps); lines.Scan(); {
		f := strings.Fields(lines.Text())
		switch {
		case len(f) >= 6 && strings.Contains(f[0], "-"): // from-to, mode, offset, device, inode, name
			end()
			var ok bool
			at, ok = addresses(f[0])
			clean = ok && !strings.Contains(f[1], "w") && strings.HasPrefix(f[5], "/")
		case len(f) >= 2 && (f[0] == "Anonymous:" || f[0] == "Swap:") && f[1] != "0":
			clean = false
		case len(f) >= 5 && strings.Contains(f[0], "-"): // of no file
			end()
		}
	}
	end()
	return found
}

func addresses(text string) (m mapping, ok bool) {
	from, to, _ := strings.Cut(text, "-")
	a, err1 := strconv.ParseUint(from, 16, strconv.IntSize)
	b, err2 := strconv.ParseUint(to, 16, strconv.IntSize)
	return mapping{uintptr(a), uintptr(b)}, err1 == nil && err2 == nil && a < b
}
