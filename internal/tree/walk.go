package tree

import (
	"golang.org/x/sys/unix"
)

// maxPending bounds what Walk keeps in mind: levels above, and folders still to be gone
// into.
const maxPending = 100_000

// level is a folder that Walk is in, or below.
type level struct {
	dev, inode uint64
	todo       []string // folders in it that are still to be gone into
}

// Walk tells the facts of a folder and of each thing below it, until visit returns
// false. Others may change it meanwhile. It is whole if all was told that was there all
// along: a folder that cannot be read, is moved away, or is one of too many, is not.
func Walk(path string, visit func(st *unix.Stat_t) bool) (whole bool) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	w := walker{at: fd, visit: visit, whole: true}
	defer func() { unix.Close(w.at) }()
	if !w.enter() || !visit(&w.st) {
		return false
	}
	for len(w.levels) > 0 {
		in := &w.levels[len(w.levels)-1]
		if n := len(in.todo); n > 0 {
			name := in.todo[n-1]
			in.todo = in.todo[:n-1]
			w.pending--
			if !w.down(name) {
				return false
			}
			continue
		}
		if !w.up() {
			return false
		}
	}
	return w.whole
}

type walker struct {
	at      int // descriptor of the folder that it is in
	levels  []level
	pending int // names in all levels
	visit   func(*unix.Stat_t) bool
	whole   bool
	st      unix.Stat_t // of the last one looked at
}

// enter notes the folder at hand, and tells what is in it. It returns false when the
// walk is to end.
func (w *walker) enter() bool {
	if unix.Fstat(w.at, &w.st) != nil {
		return false
	}
	top := w.st
	in := level{dev: uint64(top.Dev), inode: top.Ino}
	goOn := true
	err := list(w.at, func(names []string) bool {
		for _, name := range names {
			var st unix.Stat_t
			switch err := unix.Fstatat(w.at, name, &st, unix.AT_SYMLINK_NOFOLLOW); {
			case err == unix.ENOENT: // gone meanwhile
				continue
			case err != nil:
				w.whole = false
				continue
			}
			if goOn = w.visit(&st); !goOn {
				return false
			}
			if st.Mode&unix.S_IFMT != unix.S_IFDIR {
				continue
			}
			if w.pending+len(w.levels) >= maxPending {
				w.whole = false
				continue
			}
			in.todo = append(in.todo, name)
			w.pending++
		}
		return true
	})
	w.whole = w.whole && err == nil
	w.levels = append(w.levels, in)
	w.st = top
	return goOn
}

// down goes into a folder of the one at hand.
func (w *walker) down(name string) bool {
	fd, err := unix.Openat(w.at, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		return true
	}
	if err != nil { // shut, or something else by now
		w.whole = false
		return true
	}
	unix.Close(w.at)
	w.at = fd
	return w.enter()
}

// up leaves the folder at hand. The one above is where it was, unless somebody moved
// the folder: then nobody knows where we are, and the walk ends.
func (w *walker) up() bool {
	w.levels = w.levels[:len(w.levels)-1]
	if len(w.levels) == 0 {
		return true
	}
	fd, err := unix.Openat(w.at, "..", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	unix.Close(w.at)
	w.at = fd
	above := w.levels[len(w.levels)-1]
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && uint64(st.Dev) == above.dev && st.Ino == above.inode
}
