package builder

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestSysv: a segment that nobody has attached is seen, in the list of a namespace that
// is open, by whoever has it.
func TestSysv(t *testing.T) {
	t.Parallel()
	lists, err := openLists()
	must(t, err)
	var s sysv
	s.hold(lists)
	defer s.close()
	const size = 8 << 20
	now := time.Now()
	before := s.look(now)
	id, err := unix.SysvShmGet(unix.IPC_PRIVATE, size, unix.IPC_CREAT|0o600)
	must(t, err)
	defer func() { _, _ = unix.SysvShmCtl(id, unix.IPC_RMID, nil) }()
	at, err := unix.SysvShmAttach(id, 0, 0)
	must(t, err)
	for i := range at {
		at[i] = 1
	}
	must(t, unix.SysvShmDetach(at))
	if got := s.look(now); got != before {
		t.Errorf("read again at once: %+v", got)
	}
	s.next = time.Time{}
	grown := s.look(time.Now()).shared - before.shared
	// The list is the machine's: a Postgres that ends beside this test takes 4 kB away. Then
	// the segment is told by its end.
	for tries := 0; (grown < size || grown >= 2*size) && tries < 5; tries++ {
		grown = shrinks(t, &s, size)
	}
	if grown < size || grown >= 2*size {
		t.Errorf("a segment of %d bytes: %d more", size, grown)
	}
	var none *sysv
	if got := none.look(time.Now()); got != (held{}) {
		t.Errorf("without a fence: %+v", got)
	}
}

// shrinks is how much less is held when a segment of size goes.
func shrinks(t *testing.T, s *sysv, size int) int64 {
	t.Helper()
	id, err := unix.SysvShmGet(unix.IPC_PRIVATE, size, unix.IPC_CREAT|0o600)
	must(t, err)
	at, err := unix.SysvShmAttach(id, 0, 0)
	must(t, err)
	for i := range at {
		at[i] = 1
	}
	must(t, unix.SysvShmDetach(at))
	s.next = time.Time{}
	with := s.look(time.Now()).shared
	_, err = unix.SysvShmCtl(id, unix.IPC_RMID, nil)
	must(t, err)
	s.next = time.Time{}
	return with - s.look(time.Now()).shared
}

// TestHeld: the kernel's lists, as Linux 6 writes them.
func TestHeld(t *testing.T) {
	t.Parallel()
	const (
		shm = "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime      dtime      ctime                   rss                  swap\n" +
			"         0          0  1600              52428800     3     3      0 60999 60999 60999 60999 1764547200 1764547200 1764547200              52428800                  8192\n"
		msg = "       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid      stime      rtime      ctime\n" +
			"         0          7   600       12288          3     3     0 60999 60999 60999 60999 1764547200          0 1764547200\n"
		sem = "       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n" +
			"         0          1  1600      32000 60999 60999 60999 60999          0 1764547200\n"
	)
	var h held
	for _, list := range []string{shm, msg, sem, "", "rss", "rss\n-5 7\nx\n99999999999999999999\n"} {
		h.add(strings.NewReader(list), func() bool { return false })
	}
	h.add(strings.NewReader(shm), func() bool { return true })
	if want := (held{shared: 52428800 + 8192, kernel: 12288 + 3*messageHead + 32000*semaphore}); h != want {
		t.Errorf("%+v, want %+v", h, want)
	}
}

// BenchmarkSysv is the cost of reading a list that is as long as the kernel lets one be:
// then it is read ten times less often.
func BenchmarkSysv(b *testing.B) {
	var list strings.Builder
	list.WriteString("key msqid perms cbytes qnum lspid lrpid uid gid cuid cgid stime rtime ctime\n")
	for i := range 32000 {
		fmt.Fprintf(&list, "%10d %10d  %4o  %10d %10d %5d %5d %5d %5d %5d %5d %10d %10d %10d\n", 0, i, 0o600, 16384, 4, 3, 0, 60999, 60999, 60999, 60999, 1764547200, 0, 1764547200)
	}
	for b.Loop() {
		var h held
		h.add(strings.NewReader(list.String()), func() bool { return false })
	}
}
