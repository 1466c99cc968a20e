// Package atomicfile writes files that are whole or not there: under another
// name first, flushed to the disk, renamed, and the folder flushed too.
//
// Input: bytes or another file. Output: one file under its final name. It owns
// nothing. After a crash the final name holds the old content or the new one,
// never a part; at worst a file named ".NAME" and a random end lies beside it, which no
// reader looks for and which may be deleted.
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

	"github.com/google/renameio/v2"
)

// WriteFile puts data at path with exactly the mode perm (the umask does not
// apply), replacing what is there.
func WriteFile(path string, data []byte, perm fs.FileMode) error {
	err := replace(path, perm, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// WriteIfChanged is WriteFile for content that is mostly the same as before: an
// equal file is left alone, its time included, so that caches and mirrors see
// only what is new. It says whether the file was written.
func WriteIfChanged(path string, data []byte, perm fs.FileMode) (bool, error) {
	if same(path, data) {
		return false, nil
	}
	if err := WriteFile(path, data, perm); err != nil {
		return false, err
	}
	return true, nil
}

// same is false for whatever cannot be read: writing then meets the same
// trouble and reports it.
func same(path string, data []byte) bool {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() != int64(len(data)) {
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
	t, err := pending(path, perm)
	if err != nil {
		return err
	}
	defer t.Cleanup()
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

// replace runs fill on a new file that then takes the place of path.
func replace(path string, perm fs.FileMode, fill func(io.Writer) error) error {
	t, err := pending(path, perm)
	if err != nil {
		return err
	}
	defer t.Cleanup()
	if err := fill(t); err != nil {
		return err
	}
	if err := t.CloseAtomicallyReplace(); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// pending is in the folder of path, not in a folder for temporary files: only
// there a rename is sure to be possible.
func pending(path string, perm fs.FileMode) (*renameio.PendingFile, error) {
	return renameio.NewPendingFile(path, renameio.WithTempDir(filepath.Dir(path)), renameio.WithStaticPermissions(perm))
}
