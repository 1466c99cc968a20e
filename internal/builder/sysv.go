package builder

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"strconv"
	"sync"
	"time"
)

// sysv is what a build keeps in System V's segments of shared memory, queues of messages
// and sets of semaphores. They are no process's: they stay when nobody has them, and no
// process's account has them. The kernel lists them by IPC namespace, of which a fenced
// build has its own, and always that of whoever opened the list: so the helper does it,
// inside, and hands the open files out. Zero, or nil, it knows of none.
type sysv struct {
	mu    sync.Mutex
	lists []*os.File
	next  time.Time // not read again before
	last  held
}

// held is what such objects take, in bytes.
type held struct {
	shared int64 // of shared memory, attached or not
	kernel int64 // of the kernel's own memory
}

// sysvLists are the lists, of proc_sysvipc(5).
func sysvLists() []string {
	return []string{"/proc/sysvipc/shm", "/proc/sysvipc/msg", "/proc/sysvipc/sem"}
}

// openLists opens those of this process's namespace. A kernel without System V's IPC has
// none.
func openLists() (lists []*os.File, err error) {
	for _, path := range sysvLists() {
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			closeAll(lists)
			return nil, err
		}
		lists = append(lists, f)
	}
	return lists, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close() // only read
	}
}

// hold takes the lists.
func (s *sysv) hold(lists []*os.File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lists = lists
}

// close lets go of them, and with that of the namespace: what is left in it goes.
func (s *sysv) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	closeAll(s.lists)
	s.lists = nil
}

// sysvWithin bounds a reading: nothing else is watched meanwhile, and before Linux 5.15 a
// list takes the square of its length. Segments, which are the largest, come first, and
// there are few of them.
const sysvWithin = 100 * time.Millisecond

// look adds up what the objects take. There may be tens of thousands of them, so they are
// read no sooner than ten times as long after as that took.
func (s *sysv) look(now time.Time) held {
	if s == nil {
		return held{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.lists) == 0 || now.Before(s.next) {
		return s.last
	}
	began := time.Now()
	var sum held
	for _, f := range s.lists {
		if _, err := f.Seek(0, io.SeekStart); err == nil {
			sum.add(f, func() bool { return time.Since(began) > sysvWithin })
		}
	}
	s.last, s.next = sum, now.Add(10*time.Since(began))
	return sum
}

// What the kernel keeps for each: a message's head, in the smallest piece of memory that
// has room for it, and a semaphore, in a cache line of its own.
const (
	messageHead = 64
	semaphore   = 64
)

// add adds up a list: a line of names of columns, and one with numbers for each object,
// until it is late.
func (h *held) add(list io.Reader, late func() bool) {
	lines := bufio.NewScanner(list)
	if !lines.Scan() {
		return
	}
	worth := map[string]int64{"cbytes": 1, "qnum": messageHead, "nsems": semaphore}
	var shared, kernel []int64 // what one of each column is worth
	for _, name := range bytes.Fields(lines.Bytes()) {
		one := int64(0)
		if n := string(name); n == "rss" || n == "swap" {
			one = 1
		}
		shared, kernel = append(shared, one), append(kernel, worth[string(name)])
	}
	for !late() && lines.Scan() {
		i := 0
		for field := range bytes.FieldsSeq(lines.Bytes()) {
			if i == len(shared) {
				break
			}
			if shared[i]+kernel[i] > 0 {
				if n, err := strconv.ParseInt(string(field), 10, 64); err == nil && n > 0 && n < 1<<50 {
					h.shared, h.kernel = h.shared+n*shared[i], h.kernel+n*kernel[i]
				}
			}
			i++
		}
	}
}
