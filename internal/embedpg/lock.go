package embedpg

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrInUse says that another process has the folder.
var ErrInUse = errors.New("in use by another master")

// lock is an open-file-description lock: it ends with the process that holds
// it, also by kill -9, children do not inherit it, and others can ask about it
// without taking it.
type lock struct{ file *os.File }

// takeLock locks the file at path, or returns an ErrInUse that names the
// holder. The file stays when the lock goes: removing it would let two hold it.
func takeLock(path string) (*lock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	request := wholeFile()
	err = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &request)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		err = fmt.Errorf("%w (process %s)", ErrInUse, holder(f))
	}
	if err == nil {
		err = signLock(f)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &lock{f}, nil
}

// isLocked says whether some process holds the lock of the file at path.
func isLocked(path string) (bool, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	question := wholeFile()
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &question); err != nil {
		return false, fmt.Errorf("ask for lock %s: %w", path, err)
	}
	return question.Type != unix.F_UNLCK, nil
}

// release unlocks before it closes: a child that was forked a moment ago and is
// not yet another program has the file open too, and closing ours alone would
// leave the lock to it.
func (l *lock) release() error {
	request := unix.Flock_t{Type: unix.F_UNLCK, Whence: 0}
	return errors.Join(unix.FcntlFlock(l.file.Fd(), unix.F_OFD_SETLK, &request), l.file.Close())
}

func wholeFile() unix.Flock_t {
	return unix.Flock_t{Type: unix.F_WRLCK, Whence: 0}
}

// signLock writes our process number, for whoever is refused.
func signLock(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

func holder(f *os.File) string {
	text := make([]byte, 20)
	n, _ := f.ReadAt(text, 0) // io.EOF is usual; an unsigned lock reads as ""
	if pid, err := strconv.Atoi(strings.TrimSpace(string(text[:n]))); err == nil {
		return strconv.Itoa(pid)
	}
	return "unknown"
}
