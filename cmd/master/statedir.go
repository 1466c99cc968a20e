package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// makeState makes the state directory. It is 0711: the database's and the
// builds' users pass through it to folders of their own, and read nothing.
func makeState(dir string) error {
	_, known := os.Stat(dir)
	err := os.MkdirAll(dir, 0o711)
	if err == nil && known != nil {
		err = os.Chmod(dir, 0o711) // whatever the umask; one that was there keeps its mode
	}
	if err != nil {
		return fmt.Errorf("state directory %s: %w; choose another with --state-dir", dir, err)
	}
	// Asked of the kernel: a read-only file system refuses root as well.
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return fmt.Errorf("state directory %s is not writable: %w; choose another with --state-dir", dir, err)
	}
	return nil
}

// lockState makes sure of one daemon per state directory. The lock goes with the
// process, however it ends.
func lockState(dir string) (*os.File, error) {
	if err := makeState(dir); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "master.lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("state directory %s is not writable: %w; choose another with --state-dir", dir, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		return nil, refusedLock(f, dir, err)
	}
	// The number is for the error of whoever comes second.
	if err = f.Truncate(0); err == nil {
		_, err = fmt.Fprintln(f, os.Getpid())
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("state directory %s is not writable: %w; choose another with --state-dir", dir, err)
	}
	return f, nil
}

func refusedLock(f *os.File, dir string, err error) error {
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("lock the state directory %s: %w; choose another with --state-dir", dir, err)
	}
	pid, _ := io.ReadAll(io.LimitReader(f, 20)) // without it the rest is as true
	return fmt.Errorf("another master (pid %s) runs on the state directory %s; stop it, or choose another with --state-dir",
		strings.TrimSpace(string(pid)), dir)
}
