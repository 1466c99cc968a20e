// Package atomicfile writes files that are whole or not there: under another
// name first, flushed to the disk, renamed, and the folder flushed too.
//
// Input: bytes or another file. Output: one file under its final name. Where many write
// at the same time, a Disk has them flushed together, and keeps a folder open for that.
// It owns nothing. After a crash the final name holds the old content or the new one,
// never a part; at worst a file named ".NAME" and a random end lies beside it, which no
// reader looks for and which may be deleted.
//
// A file that replaces another is given a later time than it, so that time and
// size tell a reader what stood under one name at different times, also when the
// clock of the kernel has not ticked in between or was set back.
//
// It never makes folders and never follows what is written.
package atomicfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// WriteFile puts data at path with exactly the mode perm (the umask does not
// apply), replacing what is there.
func WriteFile(path string, data []byte, perm fs.FileMode) error {
	err := replace(path, perm, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
	if err == nil {
		err = SyncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// WriteIfChanged is WriteFile for content that is mostly the same as before: an
// equal file is left alone, its time included, so that caches and mirrors see
// only what is new. It says whether the file was written.
func WriteIfChanged(path string, data []byte, perm fs.FileMode) (bool, error) {
	if same(path, data, time.Time{}) {
		return false, nil
	}
	if err := WriteFile(path, data, perm); err != nil {
		return false, err
	}
	return true, nil
}

// same is false for whatever cannot be read: writing then meets the same
// trouble and reports it.
func same(path string, data []byte, like time.Time) bool {
	if !stands(path, int64(len(data)), like) {
		return false
	}
	old, err := os.ReadFile(path)
	return err == nil && bytes.Equal(old, data)
}

// Create is WriteFile for a file that must not be there yet: of several
// processes that create it at once, one succeeds and the others get fs.ErrExist.
func Create(path string, data []byte, perm fs.FileMode) error {
	err := create(path, data, perm)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("create %s: %w", path, err)
	}
	return err
}

func create(path string, data []byte, perm fs.FileMode) error {
	t, err := newTemp(path, perm)
	if err != nil {
		return err
	}
	defer t.discard() //nolint:errcheck // its bytes have their name, or are rubbish
	if _, err := t.Write(data); err != nil {
		return err
	}
	if err := t.Sync(); err != nil {
		return err
	}
	// A link, not a rename: it is the one step that fails when the name is taken.
	if err := os.Link(t.Name(), path); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// SyncDir makes the names in a folder as durable as the files that they name.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("flush folder: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("flush folder: %w", err)
	}
	return nil
}

// replace runs fill on a new file that then takes the place of path. Whoever calls
// it has to flush the folder.
func replace(path string, perm fs.FileMode, fill func(io.Writer) error) error {
	t, err := newTemp(path, perm)
	if err != nil {
		return err
	}
	defer t.discard() //nolint:errcheck // harmless after its end, and rubbish before
	if err := fill(t); err != nil {
		return err
	}
	if err := t.later(); err != nil {
		return err
	}
	return t.finish()
}
