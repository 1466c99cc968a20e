// Package depot keeps wheel files and logs under their SHA-256.
//
// Input: streams that claim a hash and a size. Output: files whose content is
// what their name says. It owns one folder:
//
//	sha256/ab/abcdef…   whole files, never changed
//	tmp/                files on their way in
//
// A file gets its name by a rename after its bytes were hashed and flushed, so
// after a crash at any moment it is there as a whole or not at all; what is left
// in tmp/ is nobody's, and goes at the next Open once it is a day old.
//
// It never deletes a file on its own account, and never believes a hash that it
// did not compute.
package depot

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"pinwheel/internal/atomicfile"
	"pinwheel/internal/farm"
)

// Sentinel errors. A file that is not there is farm.ErrNotFound.
var (
	// ErrMismatch means that a stream was not the file that it was said to be.
	ErrMismatch = errors.New("content is not what was announced")
	// ErrFull means that the disk, or this user's share of it, is full.
	ErrFull = errors.New("no space left for the depot: free some, or move it with --depot-dir")
)

const (
	filesDir   = "sha256"
	stagingDir = "tmp"

	// A staging file that was not written to for so long belongs to no upload:
	// another master may be using the same folder, so newer ones are left alone.
	staleAfter = 24 * time.Hour
)

var shaForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Local is a depot in a folder of this machine. It may be used by several
// goroutines and several processes at once.
type Local struct {
	dir string
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
	d := &Local{dir: dir}
	if err := d.probe(); err != nil {
		return nil, fmt.Errorf("open depot %s: cannot write there: %w", dir, explain(err))
	}
	if err := d.sweep(time.Now().Add(-staleAfter)); err != nil {
		return nil, fmt.Errorf("open depot %s: %w", dir, err)
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
	if !shaForm.MatchString(sha) {
		return "", fmt.Errorf("depot: %.80q is not a SHA-256 in lower-case hex", sha)
	}
	return filepath.Join(d.dir, filesDir, sha[:2], sha), nil
}

// Put stores what r gives if it is the file want, by size and SHA-256; else the
// error matches ErrMismatch and nothing is kept. r is read to one byte past the
// size at most. Putting a file again is harmless, also at the same time; of a
// file that is there already r is not read. When Put returns nil, the file
// survives a power failure.
func (d *Local) Put(ctx context.Context, r io.Reader, want farm.File) error {
	path, err := d.Path(want.SHA256)
	if err != nil {
		return fmt.Errorf("store %s: %w", want.Name, err)
	}
	if has, err := d.Has(want.SHA256, want.Size); err != nil || has {
		return err
	}
	staged, err := d.stage(ctx, r, want)
	if err != nil {
		return fmt.Errorf("store %s: %w", want.Name, explain(err))
	}
	if err := d.keep(staged, path); err != nil {
		os.Remove(staged)
		return fmt.Errorf("store %s: %w", want.Name, explain(err))
	}
	return nil
}

// stage copies r into a file of its own, flushed, and returns its path.
func (d *Local) stage(ctx context.Context, r io.Reader, want farm.File) (path string, err error) {
	f, err := os.CreateTemp(d.staging(), want.SHA256[:16]+"-")
	if err != nil {
		return "", err
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	if err := copyExactly(ctx, f, r, want); err != nil {
		return "", err
	}
	// The site links to these files, and its web server is another user.
	if err := f.Chmod(0o644); err != nil {
		return "", err
	}
	return f.Name(), f.Sync()
}

func copyExactly(ctx context.Context, w io.Writer, r io.Reader, want farm.File) error {
	sum := sha256.New()
	// One byte more than announced is enough to know, however many follow.
	in := io.LimitReader(contextReader{ctx, r}, want.Size+1)
	n, err := io.Copy(io.MultiWriter(w, sum), in)
	if err != nil {
		return err
	}
	if n > want.Size {
		return fmt.Errorf("%w: more than %d bytes", ErrMismatch, want.Size)
	}
	if n < want.Size {
		return fmt.Errorf("%w: %d bytes instead of %d", ErrMismatch, n, want.Size)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != want.SHA256 {
		return fmt.Errorf("%w: SHA-256 %s instead of %s", ErrMismatch, got, want.SHA256)
	}
	return nil
}

// contextReader ends a stream when its context ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// keep gives a staged file its name. A crash before the rename leaves a file in
// tmp/, a crash after it a file that is whole; the caller hears of success only
// when the name is on the disk too.
func (d *Local) keep(staged, path string) error {
	shard := filepath.Dir(path)
	err := os.Mkdir(shard, 0o755)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err == nil {
		if err := atomicfile.SyncDir(filepath.Dir(shard)); err != nil {
			return err
		}
	}
	if err := os.Rename(staged, path); err != nil {
		return err
	}
	return atomicfile.SyncDir(shard)
}

// explain says in our words that the disk is full.
func explain(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}
