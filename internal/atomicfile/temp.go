package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// temp is a new file beside the place that it is to take: only there a rename is sure
// to be possible.
type temp struct {
	*os.File
	path  string
	ended bool // it has its name, or is gone
}

func newTemp(path string, perm fs.FileMode) (*temp, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"*")
	if err != nil {
		return nil, err
	}
	t := &temp{File: f, path: path}
	if err := f.Chmod(perm); err != nil {
		return nil, errors.Join(err, t.discard())
	}
	return t, nil
}

// finish flushes the file and gives it its name.
func (t *temp) finish() error {
	if err := t.Sync(); err != nil {
		return err
	}
	return t.place()
}

// place gives the file its name, replacing what is there. It must be flushed: else
// the name may be on the disk before the bytes are. It is not flushed here, for a flush
// of what is flushed already makes the disk empty its cache once more.
func (t *temp) place() error {
	if err := t.File.Close(); err != nil {
		return errors.Join(err, t.remove())
	}
	if err := os.Rename(t.Name(), t.path); err != nil {
		return errors.Join(err, t.remove())
	}
	t.ended = true
	return nil
}

// discard removes the file, unless it has its name.
func (t *temp) discard() error {
	if t.ended {
		return nil
	}
	return errors.Join(t.File.Close(), t.remove())
}

func (t *temp) remove() error {
	t.ended = true
	return os.Remove(t.Name())
}

// setTime gives the file the time like or, if that is zero, one that is later
// than that of the file which it will replace.
func (t *temp) setTime(like time.Time) error {
	if like.IsZero() {
		return t.later()
	}
	return os.Chtimes(t.Name(), time.Time{}, like)
}

func (t *temp) modTime() (time.Time, error) {
	info, err := t.Stat()
	if err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), nil
}

// later makes the file younger than the one that it will replace.
func (t *temp) later() error {
	old, err := os.Lstat(t.path)
	if err != nil || !old.Mode().IsRegular() {
		return nil // whatever is wrong there, the rename meets it too
	}
	now, err := t.modTime()
	if err != nil || now.After(old.ModTime()) {
		return err
	}
	return os.Chtimes(t.Name(), time.Time{}, old.ModTime().Add(time.Nanosecond))
}
