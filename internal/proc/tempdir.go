package proc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"pinwheel/internal/tree"
)

const (
	// TempLock is the file in a TempDir that its owner keeps locked.
	TempLock = ".lock"
	halfLock = ".lock-new" // not locked yet

	// beginning is how long an owner may take to lock a fresh folder, by far.
	beginning = time.Hour
)

// TempDir is a folder of SharedTempDir that its owner keeps locked for as long as
// it lives. What a killed owner leaves is removed by whoever makes the next one.
type TempDir struct {
	Path string
	lock *os.File
}

// NewTempDir makes a folder named prefix and something random, as SharedTempDir
// does, and removes those of the prefix whose owners are dead: where it could make
// one, of ours or of one of the users, by the kernel's word that nobody holds the
// lock. That is a courtesy; what cannot be removed is left to the next.
func NewTempDir(prefix string, users ...User) (*TempDir, error) {
	for _, base := range tempBases() {
		found, _ := filepath.Glob(filepath.Join(base, prefix+"*")) // only a bad pattern is an error
		for _, dir := range found {
			sweepDead(dir, users)
		}
	}
	dir, err := SharedTempDir(prefix+"*", users...)
	if err != nil {
		return nil, err
	}
	// Locked under another name first: who sees the lock file sees it locked.
	lock, err := lockFile(filepath.Join(dir, halfLock), os.O_CREATE|os.O_EXCL)
	if err == nil {
		err = os.Rename(lock.Name(), filepath.Join(dir, TempLock))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock the temporary folder %s: %w", dir, err), os.RemoveAll(dir))
	}
	return &TempDir{Path: dir, lock: lock}, nil
}

// Remove removes the folder with all that is in it.
func (d *TempDir) Remove() error { return errors.Join(tree.Remove(d.Path), d.Release()) }

// Release gives the folder up to whoever sweeps.
func (d *TempDir) Release() error { return Unlock(d.lock) }

// Unlock gives up a lock that was taken with flock(2), and closes the file.
// Closing alone would leave the lock to a child that was forked a moment ago and
// has the file open until it is another program.
func Unlock(f *os.File) error {
	return errors.Join(syscall.Flock(int(f.Fd()), syscall.LOCK_UN), f.Close())
}

// lockFile opens a file and locks it, or fails at once. The lock goes with the
// process, however it ends, and its children do not inherit it.
func lockFile(path string, flags int) (*os.File, error) {
	// No link and no pipe: others may write in a folder that was given to them.
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK|flags, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// sweepDead removes a folder whose owner is dead. The lock is kept until it is
// gone, so that two who sweep do not meet.
func sweepDead(dir string, users []User) {
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() || !belongsTo(info, users) {
		return
	}
	lock, err := lockFile(filepath.Join(dir, TempLock), 0)
	if errors.Is(err, os.ErrNotExist) && time.Since(info.ModTime()) > beginning {
		// Its owner died before it had the lock. Or it is of a version that had no
		// locks, and then it is not empty and stays.
		_ = os.Remove(filepath.Join(dir, halfLock))
		_ = os.Remove(dir)
	}
	if err != nil {
		return
	}
	_ = tree.Remove(dir)
	_ = Unlock(lock)
}

// belongsTo says whether we or one of the users own it; the zero User is us.
func belongsTo(info os.FileInfo, users []User) bool {
	owner := info.Sys().(*syscall.Stat_t).Uid
	return owner == uint32(os.Geteuid()) ||
		slices.ContainsFunc(users, func(u User) bool { return !u.IsZero() && owner == u.UID })
}
