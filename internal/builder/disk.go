package builder

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// diskWatch follows how much disk a build takes. Each look asks the file system
// what it has left, which is one call and knows of files without a name too, but
// not whose they are: others write there. So what is lost only says when to count,
// and what is counted is the build's own (decision 30).
type diskWatch struct {
	dir   string // all of the build's files that have a name
	limit int64  // bytes

	start, last int64     // free bytes at the beginning, and at the last look
	lost        int64     // bytes that the file system lost since the last count; what it got back meanwhile is not taken off
	counted     int64     // bytes, the build's own at the last count
	next        time.Time // no count before
}

func newDiskWatch(dir string, limit int64) *diskWatch {
	free, _ := freeSpace(dir) // if it is unknown, nothing will be lost
	return &diskWatch{dir: dir, limit: limit, start: free, last: free}
}

// freeSpace is how many bytes nobody uses below dir, and how many of it the file
// system wants to be left.
func freeSpace(dir string) (free, floor int64) {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return 0, 0
	}
	size := int64(st.Bsize)
	return int64(st.Bfree) * size, min(int64(st.Blocks)*size/20, 64<<20)
}

// look says how much the build takes if that is more than its limit, and whether the
// file system is about to be full.
func (d *diskWatch) look(now time.Time, k *kin) (over int64, full bool) {
	free, floor := freeSpace(d.dir)
	d.lost += max(d.last-free, 0)
	d.last = free
	if free < floor && d.start >= floor {
		return 0, true
	}
	// Since the last count the build can have taken no more than was lost.
	if d.limit <= 0 || d.counted+d.lost <= d.limit || now.Before(d.next) {
		return 0, false
	}
	lost := d.start - free
	size, whole := d.count(k)
	if !whole { // it hides from us what it has
		size = max(size, lost)
	}
	took := time.Since(now)
	d.counted, d.lost, d.next = size, 0, now.Add(10*took)
	if size > d.limit {
		return size, false
	}
	return 0, false
}

// count adds up what the build's files take on the disk: those in its folder, those
// without a name that its processes have open or map. It is not whole where they
// could not be looked at.
func (d *diskWatch) count(k *kin) (size int64, whole bool) {
	var top unix.Stat_t
	if unix.Lstat(d.dir, &top) != nil {
		return 0, false
	}
	whole, linked := true, map[uint64]bool{}
	walk := func(path string, _ fs.DirEntry, err error) error {
		var st unix.Stat_t
		if e := unix.Lstat(path, &st); err != nil || e != nil {
			whole = whole && os.IsNotExist(e)
			return nil
		}
		if st.Nlink > 1 && st.Mode&unix.S_IFMT == unix.S_IFREG {
			if linked[st.Ino] {
				return nil
			}
			linked[st.Ino] = true
		}
		size += st.Blocks * 512
		return nil
	}
	_ = filepath.WalkDir(d.dir, walk) // walk keeps its errors
	base, pids := k.list()
	for _, f := range openFiles(base, pids) {
		if f.nlink == 0 && f.dev == uint64(top.Dev) && !linked[f.inode] {
			linked[f.inode] = true
			size += f.size
		}
	}
	for _, pid := range pids {
		size += mappedOnly(base+"/"+pid, uint64(top.Dev), linked)
	}
	return size, whole
}

// openFile is a plain file that a process has open.
type openFile struct {
	name              string // as the kernel calls it
	dev, inode, nlink uint64
	size              int64 // bytes that it takes
}

// openFiles lists them; one that two processes have comes twice.
func openFiles(base string, pids []string) []openFile {
	var files []openFile
	for _, pid := range pids {
		dir := base + "/" + pid + "/fd"
		fds, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, fd := range fds {
			var st unix.Stat_t
			path := dir + "/" + fd.Name()
			if unix.Stat(path, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
				continue
			}
			name, _ := os.Readlink(path) // gone meanwhile: no name
			files = append(files, openFile{name, uint64(st.Dev), st.Ino, uint64(st.Nlink), st.Blocks * 512})
		}
	}
	return files
}

// mappedOnly is the size, in bytes, of files without a name that a process has
// mapped and that are not in seen. As much as is mapped may be on the disk.
func mappedOnly(dir string, dev uint64, seen map[uint64]bool) int64 {
	text, err := os.ReadFile(dir + "/maps")
	if err != nil {
		return 0
	}
	var size int64
	mine := map[uint64]bool{}
	at := fmt.Sprintf("%02x:%02x", unix.Major(dev), unix.Minor(dev))
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if !strings.HasSuffix(lines.Text(), " (deleted)") {
			continue
		}
		f := strings.Fields(lines.Text()) // from-to, mode, offset, device, inode, name
		if len(f) < 6 || f[3] != at {
			continue
		}
		inode, err := strconv.ParseUint(f[4], 10, 64)
		from, to, ok := strings.Cut(f[0], "-")
		a, err1 := strconv.ParseUint(from, 16, 64)
		b, err2 := strconv.ParseUint(to, 16, 64)
		if err != nil || !ok || err1 != nil || err2 != nil || b < a || seen[inode] && !mine[inode] {
			continue
		}
		seen[inode], mine[inode] = true, true
		size += int64(b - a)
	}
	return size
}
