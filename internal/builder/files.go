package builder

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"pinwheel/internal/tree"
)

// count is what files of a build take on the disk.
type count struct {
	bytes, files int64
	whole        bool // nothing was left out
	took         time.Duration
}

// maxSeen bounds what a count keeps in mind: hard links and files without a name.
const maxSeen = 500_000

// countFiles adds up what a build's files take on the disk: those in its folder, those
// without a name that its processes have open or map. It is not whole where they could
// not be looked at, or not until the end of ctx.
func countFiles(ctx context.Context, dir, base string, pids []string) (c count) {
	began := time.Now()
	defer func() { c.took = time.Since(began) }()
	var top unix.Stat_t
	if unix.Lstat(dir, &top) != nil {
		return count{}
	}
	seen := map[uint64]bool{} // inodes that may come again
	goOn := func() bool { return ctx.Err() == nil && len(seen) < maxSeen }
	c.whole = tree.Walk(dir, func(st *unix.Stat_t) bool {
		again := st.Nlink > 1 && st.Mode&unix.S_IFMT == unix.S_IFREG
		if !again || !seen[st.Ino] {
			c.add(st.Blocks * 512)
		}
		if again {
			seen[st.Ino] = true
		}
		return goOn()
	})
	open := nameless(ctx, base, pids, func(f openFile) bool {
		if f.dev == uint64(top.Dev) && !seen[f.inode] {
			seen[f.inode] = true
			c.add(f.size)
		}
		return goOn()
	})
	mapped := true
	for _, pid := range pids {
		size, n, whole := mappedOnly(ctx, base+"/"+pid, uint64(top.Dev), seen)
		c.bytes, c.files, mapped = c.bytes+size, c.files+n, mapped && whole
	}
	c.whole = c.whole && open && mapped
	return c
}

func (c *count) add(bytes int64) {
	c.bytes += max(bytes, leastFile)
	c.files++
}

// openFile is a plain file without a name that a process has open.
type openFile struct {
	name       string // as the kernel calls it
	dev, inode uint64
	size       int64 // bytes that it takes
}

// nameless finds them; one that two processes have comes twice. What a process has
// open may be a million descriptors, so it returns false when ctx has ended before all
// were looked at, or found said that it is enough; also when there are some that nobody
// has open, on their way between processes.
func nameless(ctx context.Context, base string, pids []string, found func(openFile) bool) (whole bool) {
	whole = true
	for _, pid := range pids {
		dir, err := os.Open(base + "/" + pid + "/fd")
		if err != nil {
			continue // gone, or not ours to look at
		}
		all, transit := namelessIn(ctx, dir, base+"/"+pid+"/fdinfo/", found)
		dir.Close()
		if !all {
			return false
		}
		whole = whole && !transit
	}
	return whole && ctx.Err() == nil
}

// namelessIn looks through the fd folder of one process. That all were looked at does not
// mean that they are all there is: files may be in transit.
func namelessIn(ctx context.Context, dir *os.File, info string, found func(openFile) bool) (all, transit bool) {
	at := int(dir.Fd())
	for ctx.Err() == nil {
		fds, err := dir.Readdirnames(256)
		for _, fd := range fds {
			var st unix.Stat_t
			if unix.Fstatat(at, fd, &st, 0) != nil {
				continue
			}
			if st.Mode&unix.S_IFMT == unix.S_IFSOCK {
				transit = transit || holdsFiles(info+fd)
			}
			if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Nlink > 0 {
				continue
			}
			name := make([]byte, 64)              // more than is looked at
			n, _ := unix.Readlinkat(at, fd, name) // gone meanwhile: no name
			if !found(openFile{string(name[:max(n, 0)]), uint64(st.Dev), st.Ino, st.Blocks * 512}) {
				return false, transit
			}
		}
		if err != nil || len(fds) == 0 {
			return true, transit
		}
	}
	return false, transit
}

// holdsFiles says whether files that were sent to a socket (SCM_RIGHTS of unix(7)) wait
// there to be taken: whoever sent them may have closed them since. The kernel tells how
// many there are, not which. Before Linux 5.6 it did not.
func holdsFiles(info string) bool { return readFields(info, "scm_fds")["scm_fds"] > 0 }

// mappedOnly is the size, in bytes, of files without a name that a process has
// mapped and that are not in seen, and how many they are. As much as is mapped may be on
// the disk.
func mappedOnly(ctx context.Context, dir string, dev uint64, seen map[uint64]bool) (size, files int64, whole bool) {
	text, err := os.Open(dir + "/maps")
	if err != nil {
		return 0, 0, true
	}
	defer text.Close()
	mine := map[uint64]bool{}
	at := fmt.Sprintf("%02x:%02x", unix.Major(dev), unix.Minor(dev))
	lines := bufio.NewScanner(text)
	for n := 0; lines.Scan(); n++ {
		if n%256 == 0 && ctx.Err() != nil {
			return size, files, false
		}
		inode, length, ok := deletedMapping(lines.Text(), at)
		if !ok || seen[inode] && !mine[inode] {
			continue
		}
		if !mine[inode] {
			files++
		}
		seen[inode], mine[inode] = true, true
		size += length
	}
	return size, files, ctx.Err() == nil
}

// deletedMapping reads a line of /proc/PID/maps (proc(5)) that is about a file without
// a name on the device at: from-to, mode, offset, device, inode, name.
func deletedMapping(line, at string) (inode uint64, length int64, ok bool) {
	if !strings.HasSuffix(line, " (deleted)") {
		return 0, 0, false
	}
	f := strings.Fields(line)
	if len(f) < 6 || f[3] != at {
		return 0, 0, false
	}
	inode, err := strconv.ParseUint(f[4], 10, 64)
	from, to, cut := strings.Cut(f[0], "-")
	a, err1 := strconv.ParseUint(from, 16, 64)
	b, err2 := strconv.ParseUint(to, 16, 64)
	if err != nil || !cut || err1 != nil || err2 != nil || b < a {
		return 0, 0, false
	}
	return inode, int64(b - a), true
}
