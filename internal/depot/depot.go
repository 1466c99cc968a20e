// Package depot keeps wheel files and logs under their SHA-256.
//
// Input: streams that claim a hash and a size. Output: files whose content is
// what their name says. It owns one folder:
//
//	sha256/ab/abcdef…   whole files, never changed
//	tmp/                files on their way in, and for a day on their way out
//
// A file gets its name by a rename after its bytes were hashed and flushed, so
// after a crash at any moment it is there as a whole or not at all; what is left
// in tmp/ is nobody's, and goes at the next Open once it is a day old.
//
// It never deletes a file on its own account, and never believes a hash that it
// did not compute.
package depot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"pinwheel/internal/atomicfile"
)

// Sentinel errors. A file that is not there is farm.ErrNotFound.
var (
	// ErrMismatch means that a stream was not the file that it was said to be.
	ErrMismatch = errors.New("content is not what was announced")
	// ErrFull means that the disk, or this user's share of it, is full.
	ErrFull = errors.New("no space left for the depot: free some, or move it with --depot-dir")
	// ErrForeign means that something lies among the depot's files and is none.
	ErrForeign = errors.New("is no file of the depot: move it away")
)

const (
	filesDir   = "sha256"
	stagingDir = "tmp"

	// A staging file that was not written to for so long belongs to no upload:
	// another master may be using the same folder, so newer ones are left alone.
	staleAfter = 24 * time.Hour

	// A file of more bytes is flushed by itself, before the others have to wait for it.
	largeFile = 1 << 20
)

// Local is a depot in a folder of this machine. It may be used by several
// goroutines and several processes at once.
type Local struct {
	dir  string
	disk *atomicfile.Disk
}

// Open makes the folder if there is none, and tries it: what cannot be written
// is an error here, not in the middle of the first upload.
func Open(dir string) (*Local, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open depot: %w", err)
	}
	for _, d := range []string{filesDir, stagingDir} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return nil, fmt.Errorf("open depot %s: %w", dir, err)
		}
	}
	d := &Local{dir: dir, disk: atomicfile.OpenDisk(filepath.Join(dir, filesDir))}
	if err := d.probe(); err != nil {
		return nil, fmt.Errorf("open depot %s: cannot write there: %w", dir, explain(err))
	}
	if err := d.sweep(time.Now().Add(-staleAfter)); err != nil {
		return nil, fmt.Errorf("open depot %s: %w", dir, err)
	}
	// Whoever made a folder in there may have died before its name was on the disk.
	if err := d.disk.Flush(atomicfile.Names(filepath.Join(dir, filesDir))); err != nil {
		return nil, fmt.Errorf("open depot %s: %w", dir, explain(err))
	}
	return d, nil
}

// probe writes where uploads are staged, and renames to where files are kept:
// the two must be on one file system.
func (d *Local) probe() error {
	f, err := os.CreateTemp(d.staging(), "probe-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString("probe\n")
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	kept := filepath.Join(d.dir, filesDir, ".probe")
	if err := os.Rename(f.Name(), kept); err != nil {
		return err
	}
	// Another process that opens the same depot may be faster.
	if err := os.Remove(kept); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// sweep removes what crashes left behind before the time given.
func (d *Local) sweep(before time.Time) error {
	entries, err := os.ReadDir(d.staging())
	if err != nil {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) || err == nil && info.ModTime().After(before) {
			continue
		}
		if err != nil {
			return err
		}
		if err := os.Remove(filepath.Join(d.staging(), e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (d *Local) staging() string { return filepath.Join(d.dir, stagingDir) }

// Path is where the file is, or would be: for a hard link into the site. The
// file must not be changed through it.
func (d *Local) Path(sha string) (string, error) {
	// Checked before it becomes a path: hashes come from slaves.
	if !isSHA256(sha) {
		return "", fmt.Errorf("depot: %.80q is not a SHA-256 in lower-case hex", sha)
	}
	return filepath.Join(d.dir, filesDir, sha[:2], sha), nil
}

// isSHA256 is asked a dozen times for each build: a regexp takes as long as looking for
// the file.
func isSHA256(s string) bool { return len(s) == 64 && strings.TrimLeft(s, "0123456789abcdef") == "" }
