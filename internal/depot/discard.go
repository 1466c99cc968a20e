package depot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"pinwheel/internal/atomicfile"
	"pinwheel/internal/crash"
	"pinwheel/internal/farm"
)

// discarded is the beginning of the names of files that were taken out.
const discarded = "discarded-"

// Look opens a depot for reading only: nothing is made, tried or swept.
func Look(dir string) (*Local, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open depot: %w", err)
	}
	if _, err := os.Stat(filepath.Join(dir, filesDir)); err != nil {
		return nil, fmt.Errorf("open depot %s: %w", dir, err)
	}
	return &Local{dir: dir}, nil
}

// StoredAt says when a file was put here; one that is not there is
// farm.ErrNotFound. Putting it again, while it is there, does not change the time.
func (d *Local) StoredAt(sha string) (time.Time, error) {
	path, err := d.Path(sha)
	if err != nil {
		return time.Time{}, err
	}
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = farm.ErrNotFound
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("look for %s in the depot: %w", sha, err)
	}
	return info.ModTime(), nil
}

// Discard takes a file out of the depot that no row names. It is kept aside for a
// day, until an Open or the next DiscardUnnamed sweeps it away: a row that was about
// to name it when it was taken can have it back with Reclaim.
func (d *Local) Discard(sha string) error {
	path, err := d.Path(sha)
	if err != nil {
		return err
	}
	// The day begins now. Before the rename: an old file in tmp/ is anybody's to
	// sweep.
	now := time.Now()
	err = os.Chtimes(path, now, now)
	if err == nil {
		err = os.Rename(path, d.aside(sha))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("discard %s from the depot: %w", sha, err)
	}
	return nil
}

// DiscardUnnamed discards those of the files that no row names, as named says of a
// list of hashes. It is asked before and after: somebody may report one of the files
// at this very moment, and gets it back. What was discarded more than a day ago goes
// for good, since a master may run for years between two Opens.
func (d *Local) DiscardUnnamed(hashes []string, named func(hashes []string) ([]string, error)) error {
	keep, err := named(hashes)
	if err != nil {
		return err
	}
	for _, sha := range hashes {
		if !slices.Contains(keep, sha) {
			if err := d.Discard(sha); err != nil {
				return err
			}
		}
	}
	// A crash here leaves aside what a row may have come for meanwhile; its file is
	// missing then, and an audit takes it back.
	crash.At(crash.DepotAside)
	if keep, err = named(hashes); err != nil {
		return err
	}
	for _, sha := range keep {
		if _, err := d.Reclaim(sha); err != nil {
			return err
		}
	}
	if err := d.sweep(time.Now().Add(-staleAfter)); err != nil {
		return fmt.Errorf("remove what was discarded long ago: %w", err)
	}
	return nil
}

// Reclaim brings a discarded file back; false says that there is none.
func (d *Local) Reclaim(sha string) (bool, error) {
	path, err := d.Path(sha)
	if err != nil {
		return false, err
	}
	// A link, not a rename: whoever put the file here again meanwhile keeps his.
	err = os.Link(d.aside(sha), path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return false, fmt.Errorf("reclaim %s for the depot: %w", sha, err)
	}
	if err := atomicfile.SyncDir(filepath.Dir(path)); err != nil {
		return false, err
	}
	if err := os.Remove(d.aside(sha)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("reclaim %s for the depot: %w", sha, err)
	}
	return true, nil
}

func (d *Local) aside(sha string) string { return filepath.Join(d.staging(), discarded+sha) }
