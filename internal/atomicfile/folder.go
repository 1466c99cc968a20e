package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/renameio/v2"
)

// Folder writes several files of one folder, each whole or not at all, for the
// price of about one: a file system flushes many files at once nearly as fast as
// one. It is for one goroutine.
type Folder struct {
	dir     string
	ready   []readyFile // written, and not yet under their names
	renamed bool        // names are not flushed
}

type readyFile struct {
	name string
	file *renameio.PendingFile
	time time.Time
}

// mostReady is how many files are kept open.
const mostReady = 64

// In makes a Folder of a folder that is there. It must be closed.
func In(dir string) *Folder { return &Folder{dir: dir} }

// Path is where the file of that name is.
func (f *Folder) Path(name string) string { return filepath.Join(f.dir, name) }

// Write is WriteIfChanged for a file that gets its name with Commit, or earlier.
func (f *Folder) Write(name string, data []byte, perm fs.FileMode) error {
	return f.write(name, data, perm, time.Time{})
}

// WriteLike is Write for a file that is made from another of the folder, which
// was written before: it gets the time of that one, by which a reader knows that
// the two belong together.
func (f *Folder) WriteLike(name string, data []byte, perm fs.FileMode, other string) error {
	for _, r := range f.ready {
		if r.name == other {
			return f.write(name, data, perm, r.time)
		}
	}
	info, err := os.Lstat(f.Path(other))
	if err != nil {
		return fmt.Errorf("write %s: %w", f.Path(name), err)
	}
	return f.write(name, data, perm, info.ModTime())
}

func (f *Folder) write(name string, data []byte, perm fs.FileMode, like time.Time) error {
	if same(f.Path(name), data, like) {
		return nil
	}
	if len(f.ready) == mostReady {
		if err := f.Commit(nil); err != nil {
			return err
		}
	}
	if err := f.prepare(name, data, perm, like); err != nil {
		return fmt.Errorf("write %s: %w", f.Path(name), err)
	}
	return nil
}

func (f *Folder) prepare(name string, data []byte, perm fs.FileMode, like time.Time) error {
	t, err := pending(f.Path(name), perm)
	if err != nil {
		return err
	}
	_, err = t.Write(data)
	if err == nil {
		err = setTime(t, f.Path(name), like)
	}
	var info fs.FileInfo
	if err == nil {
		info, err = t.Stat()
	}
	if err != nil {
		return errors.Join(err, t.Cleanup())
	}
	f.ready = append(f.ready, readyFile{name, t, info.ModTime()})
	return nil
}

// Link is that of the package; the name is there at once, and flushed by Commit.
func (f *Folder) Link(src, name string) error {
	changed, err := link(src, f.Path(name))
	f.renamed = f.renamed || changed
	return err
}

// Commit gives the files their names, in the order in which they were written,
// and flushes those too. placed hears of each in between; it may be nil. After an
// error some may have their names, and the others are gone.
func (f *Folder) Commit(placed func(name string)) error {
	defer f.Close()
	if err := f.flush(); err != nil {
		return err
	}
	for _, r := range f.ready {
		if err := r.file.CloseAtomicallyReplace(); err != nil {
			return fmt.Errorf("write %s: %w", f.Path(r.name), err)
		}
		f.renamed = true
		if placed != nil {
			placed(r.name)
		}
	}
	if !f.renamed {
		return nil
	}
	f.renamed = false
	return SyncDir(f.dir)
}

// flush flushes all files at once, which is one write of the journal.
func (f *Folder) flush() error {
	errs := make([]error, len(f.ready))
	var wg sync.WaitGroup
	for i, r := range f.ready {
		wg.Go(func() {
			if err := r.file.Sync(); err != nil {
				errs[i] = fmt.Errorf("write %s: %w", f.Path(r.name), err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Close removes what was not committed.
func (f *Folder) Close() {
	for _, r := range f.ready {
		r.file.Cleanup() //nolint:errcheck // rubbish either way; harmless after the rename
	}
	f.ready = nil
}
