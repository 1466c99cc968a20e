// Package tree does to a folder as a whole what its contents may have been made to
// prevent: it is for what builds of strangers leave.
//
// Input is a folder, however deep, wide, or shut by its owner; output is that it is gone
// (Remove), or the facts of each thing in it (Walk). Neither makes a path longer than
// one name, follows a link, or needs memory or descriptors that grow with the depth
// without bound. It owns nothing; a removal that was killed is simply begun again.
package tree

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// maxNested is how deep Remove goes before it lifts up what lies deeper: each level
// holds a descriptor. Hardly any honest folder is deeper.
const maxNested = 64

// Remove removes a folder or file with all that is in it; one that is not there is no
// error. Nobody else may write in it meanwhile. Folders that their owner shut are opened,
// where we may. What cannot be removed stays, and all else goes.
func Remove(path string) error {
	top, err := open(unix.AT_FDCWD, path)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP): // a file, a link
		return named(path, unix.Unlink(path))
	case err != nil:
		return named(path, err)
	}
	r := remover{top: top}
	defer unix.Close(top)
	for again := true; again; {
		r.gone, r.err = 0, nil
		r.clear(top, 0)
		// Lifted folders may not have been seen, and the full disk that kept one from
		// being lifted may have room by now.
		again = r.gone > 0
	}
	if err := unix.Rmdir(path); err != nil && !errors.Is(err, unix.ENOENT) {
		return named(path, errors.Join(r.err, err))
	}
	return nil
}

func named(path string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("remove %s: %w", path, err)
}

// remover is one removal under way.
type remover struct {
	top   int   // descriptor of the folder
	moved int   // names that were made up for what was lifted
	gone  int   // things removed in this pass
	err   error // the last that could not be
}

// clear removes what is in dir.
func (r *remover) clear(dir, depth int) {
	err := list(dir, func(names []string) bool {
		for _, name := range names {
			if err := r.one(dir, name, depth); err != nil {
				r.err = fmt.Errorf("%q: %w", name, err)
			} else {
				r.gone++
			}
		}
		return true
	})
	if err != nil {
		r.err = err
	}
}

// one removes a thing in dir.
func (r *remover) one(dir int, name string, depth int) error {
	err := unix.Unlinkat(dir, name, 0)
	if err == nil || errors.Is(err, unix.ENOENT) {
		return nil
	}
	if e := unix.Unlinkat(dir, name, unix.AT_REMOVEDIR); e == nil || errors.Is(e, unix.ENOENT) {
		return nil
	} else if errors.Is(e, unix.ENOTDIR) {
		return err
	}
	sub, err := open(dir, name)
	if err != nil {
		return err
	}
	if depth < maxNested {
		r.clear(sub, depth+1)
		unix.Close(sub)
		if err := unix.Unlinkat(dir, name, unix.AT_REMOVEDIR); err == nil || r.err == nil {
			return err
		}
		return r.err // why it is not empty
	}
	unix.Close(sub) // open has unlocked it, which being moved needs as well
	return r.lift(dir, name)
}

// lift moves a folder to the top, from where it is gone through like any other: so no
// depth is too deep.
func (r *remover) lift(dir int, name string) error {
	for {
		r.moved++
		err := unix.Renameat(dir, name, r.top, ".lifted-"+strconv.Itoa(r.moved))
		switch {
		case errors.Is(err, unix.ENOTEMPTY), errors.Is(err, unix.EEXIST), errors.Is(err, unix.ENOTDIR):
			continue // the name is taken
		}
		return err
	}
}

// open opens a folder for reading and writing in it, also one that its owner shut.
func open(dir int, name string) (int, error) {
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(dir, name, flags, 0)
	var st unix.Stat_t
	if err == nil && (unix.Fstat(fd, &st) != nil || st.Mode&0o700 == 0o700) {
		return fd, nil
	}
	if err == nil {
		_ = unix.Fchmod(fd, 0o700) // of somebody else: what cannot be removed says so
		return fd, nil
	}
	if !errors.Is(err, unix.EACCES) {
		return -1, err
	}
	// By a handle, so that no link is followed: fchmodat(2) would.
	handle, e := unix.Openat(dir, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if e != nil {
		return -1, err
	}
	defer unix.Close(handle)
	if os.Chmod("/proc/self/fd/"+strconv.Itoa(handle), 0o700) != nil {
		return -1, err
	}
	return unix.Openat(dir, name, flags, 0)
}

// list gives the names in a folder, from its beginning, as many at a time as come,
// until each returns false.
func list(dir int, each func(names []string) bool) error {
	if _, err := unix.Seek(dir, 0, unix.SEEK_SET); err != nil {
		return err
	}
	buf := make([]byte, 8<<10)
	for {
		n, err := unix.Getdents(dir, buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n <= 0 {
			return err
		}
		_, _, names := unix.ParseDirent(buf[:n], -1, nil) // without . and ..
		if !each(names) {
			return nil
		}
	}
}
