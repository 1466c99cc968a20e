package builder

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pinwheel/internal/farm"
)

// settled looks until no count is under way, and says what the last look said.
func (d *diskWatch) settled(k *kin) (over count, full string) {
	for {
		d.next = time.Time{}
		over, full = d.look(time.Now(), k)
		d.count.running.Wait()
		if over.bytes > 0 || full != "" || !d.count.busy() {
			return over, full
		}
	}
}

// TestOthersOnTheDisk: what others write where a build's files are does not end it,
// and does not hide what it writes itself.
func TestOthersOnTheDisk(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	dir, other := top+"/build", top+"/other"
	must(t, os.Mkdir(dir, 0o700))
	d := newDiskWatch(dir, 16<<20)
	defer d.count.close()
	noProcesses := &kin{mode: Bwrap}
	look := func() {
		t.Helper()
		if over, full := d.settled(noProcesses); over.bytes > 0 || full != "" {
			t.Errorf("look = %+v, %q; counted %d", over, full, d.counted)
		}
	}
	must(t, os.WriteFile(other, make([]byte, 40<<20), 0o600))
	look()
	must(t, os.WriteFile(dir+"/a", make([]byte, 10<<20), 0o600))
	look()
	must(t, os.Link(dir+"/a", dir+"/b")) // the same bytes again
	must(t, os.WriteFile(other, make([]byte, 80<<20), 0o600))
	look()
	// What others free meanwhile hides what is taken, so it may need more than a little.
	for i := range 20 {
		must(t, os.WriteFile(fmt.Sprintf("%s/c%d", dir, i), make([]byte, 10<<20), 0o600))
		if over, _ := d.settled(noProcesses); over.bytes > 0 {
			return
		}
	}
	t.Errorf("200 MB beyond the limit are not seen; counted %d", d.counted)
}

// TestSpace: of what a file system has, bytes and files run out alike; what was short
// before the build is not its doing; and one that knows no number of files wants none.
func TestSpace(t *testing.T) {
	t.Parallel()
	had := space{bytes: 1 << 30, files: 50_000, leastBytes: 64 << 20, leastFiles: 10_000}
	few := func(s space, bytes, files int64) space { s.bytes, s.files = bytes, files; return s }
	for name, c := range map[string]struct {
		before, now space
		full        string
		lost        int64
	}{
		"nothing happened":    {had, had, "", 0},
		"bytes":               {had, few(had, 63<<20, 50_000), "the disk of the builds is full", 1<<30 - 63<<20},
		"files":               {had, few(had, 1<<30, 9_999), "the disk of the builds has no room for more files", 40_001 * 4096},
		"both, not yet":       {had, few(had, 65<<20, 10_001), "", 1<<30 - 65<<20 + 39_999*4096},
		"short before":        {few(had, 1<<20, 9), few(had, 0, 0), "", 1<<20 + 9*4096},
		"given back":          {few(had, 65<<20, 10_001), had, "", 0},
		"files without count": {space{bytes: 1 << 30}, space{bytes: 1 << 20}, "", 1<<30 - 1<<20},
	} {
		if full, lost := c.now.full(c.before), c.now.lostSince(c.before); full != c.full || lost != c.lost {
			t.Errorf("%s: %q, lost %d; want %q, %d", name, full, lost, c.full, c.lost)
		}
	}
}

// TestCountEmptyFiles: a file takes room, whatever is in it.
func TestCountEmptyFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i := range 1000 {
		must(t, os.WriteFile(filepath.Join(dir, strconv.Itoa(i)), nil, 0o600))
	}
	c := countFiles(t.Context(), dir, "/proc", nil)
	if c.files != 1001 || c.bytes < 1001*leastFile || !c.whole {
		t.Errorf("%+v", c)
	}
}

// openNameless opens files without a name, as many as this process may without harm.
func openNameless(t *testing.T, dir string, n int) {
	t.Helper()
	for range n {
		f, err := os.CreateTemp(dir, "")
		must(t, err)
		t.Cleanup(func() { f.Close() })
		_, err = f.Write(make([]byte, 8192))
		must(t, err)
		must(t, os.Remove(f.Name()))
	}
}

// TestManyDescriptors: with more of them than can be looked at in time, a look ends in
// time all the same, and what was not seen counts as all that the disk lost. Not beside
// others, whose builds have files in transit to this process.
func TestManyDescriptors(t *testing.T) {
	dir := t.TempDir()
	openNameless(t, dir, 300)
	us := []string{strconv.Itoa(os.Getpid())}
	if c := countFiles(t.Context(), dir, "/proc", us); !c.whole || c.files < 301 || c.bytes < 300*8192 {
		t.Errorf("counted %+v", c)
	}
	late, cancel := context.WithCancel(t.Context())
	cancel()
	c := countFiles(late, dir, "/proc", us)
	if c.whole || c.files > 300 {
		t.Errorf("after the end of its time: %+v", c)
	}
	if _, whole := memoryFiles(late, "/proc", us); whole {
		t.Error("after the end of its time memory was looked at as a whole")
	}
	d := &diskWatch{limit: 1 << 20, start: space{bytes: 1 << 30}, last: space{bytes: 1<<30 - 300*8192}}
	if over := d.judge(time.Now(), c); over.bytes != 300*8192 {
		t.Errorf("what could not be counted does not end the build: %+v", over)
	}
}

// TestLooksGoOn: while files are counted, looks do not wait for it.
func TestLooksGoOn(t *testing.T) {
	t.Parallel()
	d := newDiskWatch(t.TempDir(), 1)
	d.count.begin(time.Minute, func(ctx context.Context) count { <-ctx.Done(); return count{} })
	defer d.count.close()
	d.last.bytes += 1 << 30
	if over, full := d.look(time.Now(), &kin{mode: Bwrap}); over.bytes > 0 || full != "" {
		t.Errorf("a look said %+v, %q", over, full)
	}
	if d.lost < 1<<29 {
		t.Errorf("what is lost meanwhile is not noted: %d", d.lost)
	}
}

// TestMemoryLooksGoOn: so it is with memory, and a machine that runs out of it does not
// wait for the exact count.
func TestMemoryLooksGoOn(t *testing.T) {
	t.Parallel()
	now := machine{total: 1 << 30, free: 1 << 30}
	w := &watch{limits: farm.Limits{Memory: 1}, began: now, read: func() machine { return now }}
	us := []string{strconv.Itoa(os.Getpid())}
	w.pages.begin(time.Minute, func(ctx context.Context) memory { <-ctx.Done(); return memory{} })
	if f, err := w.memory(time.Now(), "/proc", us); f.Cause != "" || err != nil {
		t.Errorf("while pages are counted: %+v, %v", f, err)
	}
	now.free = 0
	w.pages.began = w.pages.began.Add(-2 * shortFor)
	if f, err := w.memory(time.Now(), "/proc", us); f.Cause == "" && err == nil {
		t.Error("a machine without memory waits for a count that does not end")
	}
	now.free = 1 << 30
	w.pages.close()
	if f, _ := w.memory(time.Now(), "/proc", us); f.Cause != "" || w.pages.busy() {
		t.Errorf("nothing was counted: %+v", f)
	}
	w.exact = time.Time{}
	if f, _ := w.memory(time.Now(), "/proc", us); f.Cause != "" || !w.pages.busy() {
		t.Fatalf("over its limit no count begins: %+v", f)
	}
	w.pages.running.Wait()
	if f, _ := w.memory(time.Now(), "/proc", us); f.Cause != farm.OutOfMemory {
		t.Errorf("a count that is over its limit: %+v", f)
	}
}

// TestMemoryFilesOnce: a memfd that is open twice is there once. Not beside others, as
// TestManyDescriptors.
func TestMemoryFilesOnce(t *testing.T) {
	fd, err := unix.MemfdCreate("pinwheel-test", unix.MFD_CLOEXEC)
	must(t, err)
	f := os.NewFile(uintptr(fd), "memfd")
	defer f.Close()
	again, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(again)
	before, _ := memoryFiles(t.Context(), "/proc", []string{strconv.Itoa(os.Getpid())})
	_, err = f.Write(make([]byte, 8<<20))
	must(t, err)
	after, whole := memoryFiles(t.Context(), "/proc", []string{strconv.Itoa(os.Getpid())})
	if grown := after - before; !whole || grown < 8<<20 || grown >= 12<<20 {
		t.Errorf("8 MB more in a memfd: %d, %v", grown, whole)
	}
}

// TestFilesInTransit: a file that nobody has open, since it is on its way through a
// socket, is not counted, and that is known. Not beside others, as TestManyDescriptors.
func TestFilesInTransit(t *testing.T) {
	dir, us := t.TempDir(), []string{strconv.Itoa(os.Getpid())}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	f, err := os.CreateTemp(dir, "")
	must(t, err)
	must(t, os.Remove(f.Name()))
	whole := func(when string, want bool) {
		t.Helper()
		if c := countFiles(t.Context(), dir, "/proc", us); c.whole != want {
			t.Errorf("%s: counted %+v", when, c)
		}
		if _, got := memoryFiles(t.Context(), "/proc", us); got != want {
			t.Errorf("%s: memory was looked at as a whole: %v", when, got)
		}
	}
	whole("before", true)
	must(t, unix.Sendmsg(pair[0], []byte{0}, unix.UnixRights(int(f.Fd())), nil, 0))
	must(t, f.Close())
	whole("in transit", false)
	_, _, _, _, err = unix.Recvmsg(pair[1], make([]byte, 1), nil, 0) // without room for it, it is closed
	must(t, err)
	whole("taken", true)
}
