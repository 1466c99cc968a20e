package builder

import (
	"context"
	"time"

	"golang.org/x/sys/unix"
)

// diskWatch follows how much disk a build takes. Each look asks the file system
// what it has left, which is one call and knows of files without a name too, but
// not whose they are: others write there. So what is lost only says when to count,
// and what is counted is the build's own (decision 30). Counting goes on beside the
// looks, which never wait for it.
type diskWatch struct {
	dir   string // all of the build's files that have a name
	limit int64  // bytes

	start, last space     // at the beginning, and at the last look
	lost        int64     // bytes that the file system lost since the last count began; what it got back meanwhile is not taken off
	counted     int64     // bytes, the build's own at the last count
	next        time.Time // no count before

	count beside[count]
}

// space is what a file system has left.
type space struct {
	bytes, files           int64
	leastBytes, leastFiles int64 // that it wants to be left; 0: whatever
}

// Each file counts as at least so many bytes, also an empty one: it takes an inode, and
// of those a file system has a number. Its folder wants room for it, too.
const leastFile = 4096

// countWithin bounds one count. What is not counted by then hides from us.
const countWithin = 30 * time.Second

func newDiskWatch(dir string, limit int64) *diskWatch {
	left := spaceIn(dir) // if it is unknown, nothing will be lost
	return &diskWatch{dir: dir, limit: limit, start: left, last: left}
}

// spaceIn is what nobody uses below dir. Some file systems make inodes as they are
// wanted, and tell of none.
func spaceIn(dir string) space {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return space{}
	}
	size := int64(st.Bsize)
	return space{
		bytes: int64(st.Bfree) * size, leastBytes: min(int64(st.Blocks)*size/20, 64<<20),
		files: int64(st.Ffree), leastFiles: min(int64(st.Files)/20, 10_000),
	}
}

// lostSince is how much of it others and the build have taken, in bytes, as files count.
func (s space) lostSince(before space) int64 {
	return max(before.bytes-s.bytes, 0) + leastFile*max(before.files-s.files, 0)
}

// full says what has run out that was there before; "": nothing.
func (s space) full(before space) string {
	switch {
	case s.bytes < s.leastBytes && before.bytes >= s.leastBytes:
		return "the disk of the builds is full"
	case s.files < s.leastFiles && before.files >= s.leastFiles:
		return "the disk of the builds has no room for more files"
	}
	return ""
}

// look says how much the build takes if that is more than its limit, and why the file
// system can take no more, if so.
func (d *diskWatch) look(now time.Time, k *kin) (over count, full string) {
	left := spaceIn(d.dir)
	d.lost += left.lostSince(d.last)
	d.last = left
	if full = left.full(d.start); full != "" {
		return count{}, full
	}
	if c, ok := d.count.take(); ok {
		return d.judge(now, c), ""
	}
	// Since the last count the build can have taken no more than was lost.
	if d.limit > 0 && !d.count.busy() && d.counted+d.lost > d.limit && now.After(d.next) {
		d.begin(k)
	}
	return count{}, ""
}

// begin has the build's files counted.
func (d *diskWatch) begin(k *kin) {
	base, pids := k.list()
	d.lost = 0
	d.count.begin(countWithin, func(ctx context.Context) count { return countFiles(ctx, d.dir, base, pids) })
}

// judge takes the result of a count.
func (d *diskWatch) judge(now time.Time, c count) count {
	if !c.whole { // it hides from us what it has
		c.bytes = max(c.bytes, d.last.lostSince(d.start))
	}
	d.counted, d.next = c.bytes, now.Add(10*c.took)
	if c.bytes > d.limit {
		return c
	}
	return count{}
}
