package pgtest

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"pinwheel/internal/embedpg"
	"pinwheel/internal/proc"
)

const (
	folderPattern = "pinwheel-pgtest-*"
	abandoned     = time.Hour // age of a folder that cannot be starting any more

	memory = "/dev/shm"
	roomy  = 2 << 30 // bytes free, from which on tests may use memory
)

// folder makes the server's folder, in memory where there is plenty: a database
// is a thousand files, and copying them is four times faster there. Containers
// often have 64 MB of it, so the room is looked at.
func folder(u proc.User) (string, error) {
	var fs unix.Statfs_t
	if unix.Statfs(memory, &fs) == nil && int64(fs.Bavail)*int64(fs.Bsize) >= roomy {
		dir, err := memoryFolder(u)
		if err == nil {
			return dir, nil
		}
	}
	return proc.SharedTempDir(folderPattern, u)
}

func memoryFolder(u proc.User) (string, error) {
	dir, err := os.MkdirTemp(memory, folderPattern)
	if err != nil {
		return "", err
	}
	if err := errors.Join(os.Chmod(dir, 0o711), u.CanEnter(dir)); err != nil {
		return "", errors.Join(err, os.Remove(dir))
	}
	return dir, nil
}

// sweep removes what killed test binaries left. It is a courtesy, so what does
// not work is left to the next.
func sweep() {
	for _, base := range []string{memory, os.TempDir()} {
		found, _ := filepath.Glob(filepath.Join(base, folderPattern))
		for _, dir := range found {
			info, err := os.Lstat(dir)
			if err != nil || !info.IsDir() || time.Since(info.ModTime()) < abandoned {
				continue
			}
			if _, err := embedpg.Find(filepath.Join(dir, "pg")); errors.Is(err, embedpg.ErrNotRunning) {
				_ = os.RemoveAll(dir)
			}
		}
	}
}
