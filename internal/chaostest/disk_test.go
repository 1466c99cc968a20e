package chaostest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Sizes of disks, which are memory only as far as they are written to. A slave
// wants 64 MiB free.
const (
	siteDisk  = 256 << 20
	slaveDisk = 160 << 20
)

// disk is a small file system, or a plain folder where this process may not mount.
type disk struct {
	dir     string
	mounted bool
	filler  string
}

func newDisk(dir string, size int) (*disk, error) {
	if err := os.Mkdir(dir, 0o711); err != nil {
		return nil, err
	}
	d := &disk{dir: dir, filler: filepath.Join(dir, "filler")}
	if os.Getenv(mountVariable) == "" {
		return d, nil
	}
	err := unix.Mount("pinwheel-chaos", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0711", size))
	if err != nil {
		return nil, fmt.Errorf("mount %s: %w", dir, err)
	}
	d.mounted = true
	return d, nil
}

func (d *disk) close() {
	if d.mounted {
		_ = unix.Unmount(d.dir, unix.MNT_DETACH) // it goes with this process in any case
	}
}

// fill takes all the space that is left.
func (d *disk) fill() error {
	f, err := os.Create(d.filler)
	if err != nil {
		return err
	}
	defer f.Close()
	block := make([]byte, 1<<20)
	for len(block) > 0 {
		if _, err = f.Write(block); errors.Is(err, unix.ENOSPC) {
			block = block[:len(block)/2]
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (d *disk) empty() error { return os.Remove(d.filler) }
