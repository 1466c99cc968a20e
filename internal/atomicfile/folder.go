package atomicfile

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Folder writes several files of one folder, each whole or not at all, for the
// price of about one: a file system flushes many files at once nearly as fast as
// one. It is for one goroutine.
type Folder struct {
	dir     string
	disk    *Disk
	empty   bool        // nothing was there before us, and nothing was placed yet
	ready   []readyFile // written, and not yet under their names
	renamed bool        // names are not flushed
	failed  error       // of a Commit, after which some of what was written is gone
}

type readyFile struct {
	name    string
	file    *temp
	time    time.Time
	flushed bool
	err     error // of the flush: a kernel tells of what it lost once, and not again
}

// mostReady is how many files are kept open.
const mostReady = 64

// In makes a Folder of a folder that is there, on this Disk. It must be closed.
func (d *Disk) In(dir string) *Folder { return &Folder{dir: dir, disk: d} }

// InNew is In for a folder that the caller has just made and nobody else writes to:
// nothing is looked for there, which is half of the calls that a small file takes.
func (d *Disk) InNew(dir string) *Folder { return &Folder{dir: dir, disk: d, empty: true} }

// Path is where the file of that name is.
func (f *Folder) Path(name string) string { return filepath.Join(f.dir, name) }

// Look tells of the plain file that stands under a name; nil: there is none, or
// something else.
func (f *Folder) Look(name string) fs.FileInfo {
	if f.empty {
		return nil
	}
	info, err := os.Lstat(f.Path(name))
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	return info
}

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
	if !f.empty && same(f.Path(name), data, like) {
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
	t, err := newTemp(f.Path(name), perm)
	if err != nil {
		return err
	}
	r := readyFile{name: name, file: t, time: like}
	_, err = t.Write(data)
	if err == nil && !(f.empty && like.IsZero()) {
		err = t.setTime(like)
	}
	if err == nil && like.IsZero() {
		r.time, err = t.modTime()
	}
	if err != nil {
		return errors.Join(err, t.discard())
	}
	f.ready = append(f.ready, r)
	return nil
}

// Link is that of the package; the name is there at once, and flushed by Commit.
func (f *Folder) Link(src, name string) error {
	changed, err := link(src, f.Path(name))
	f.renamed = f.renamed || changed
	return err
}

// Doubt has the next Commit flush the names in the folder, also if nothing is new: whoever
// gave them may have died before he did.
func (f *Folder) Doubt() { f.renamed = true }

// Commit gives the files their names, in the order in which they were written,
// and flushes those too. placed hears of each in between; it may be nil. After an
// error some may have their names, and the others are gone: whoever goes on hears of it
// again, since there may have been a Commit before that the caller did not ask for. The
// names that there are have been flushed all the same.
func (f *Folder) Commit(placed func(name string)) error {
	defer f.Close()
	if f.failed == nil {
		f.failed = f.name(placed)
	}
	if !f.renamed {
		return f.failed
	}
	f.renamed, f.empty = false, false
	return cmp.Or(f.failed, f.disk.Flush(Names(f.dir)))
}

func (f *Folder) name(placed func(name string)) error {
	if err := Flush(f); err != nil {
		return err
	}
	for _, r := range f.ready {
		if err := r.file.place(); err != nil {
			return fmt.Errorf("write %s: %w", f.Path(r.name), err)
		}
		f.renamed = true
		if placed != nil {
			placed(r.name)
		}
	}
	return nil
}

// Flush flushes the bytes of all files that were written and have no names yet, at
// once, which costs about as much as one. Commit has less to wait for then, also of
// folders that are to be committed one after the other. They are on one Disk.
func Flush(folders ...*Folder) error {
	var ready []*readyFile
	var files []Flusher
	for _, f := range folders {
		for i := range f.ready {
			if r := &f.ready[i]; !r.flushed {
				r.flushed = true
				ready, files = append(ready, r), append(files, r.file)
			}
		}
	}
	if len(files) > 0 {
		for i, err := range folders[0].disk.flush(files) {
			ready[i].err = err
		}
	}
	var errs []error
	for _, f := range folders {
		for _, r := range f.ready {
			if r.err != nil {
				errs = append(errs, fmt.Errorf("write %s: %w", f.Path(r.name), r.err))
			}
		}
	}
	return errors.Join(errs...)
}

// Close removes what was not committed.
func (f *Folder) Close() {
	for _, r := range f.ready {
		r.file.discard() //nolint:errcheck // rubbish either way; harmless after the rename
	}
	f.ready = nil
}
