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
	"syscall"

	"pinwheel/internal/atomicfile"
	"pinwheel/internal/crash"
	"pinwheel/internal/farm"
)

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
	has, err := d.Has(want.SHA256, want.Size)
	if err != nil {
		return err
	}
	if has {
		// Whoever gave it its name may not have come to flush that.
		return d.flushNames(want, filepath.Dir(path))
	}
	staged, err := d.stage(ctx, r, want)
	if err != nil {
		return fmt.Errorf("store %s: %w", want.Name, explain(err))
	}
	crash.At(crash.DepotStaged)
	if err := d.keep(staged, path); err != nil {
		os.Remove(staged)
		return fmt.Errorf("store %s: %w", want.Name, explain(err))
	}
	return nil
}

func (d *Local) flushNames(want farm.File, dir string) error {
	if err := d.disk.Flush(atomicfile.Names(dir)); err != nil {
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
	if want.Size > largeFile {
		return f.Name(), f.Sync()
	}
	return f.Name(), d.disk.Flush(f)
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
	// Its folder is there, but for the first files of a depot.
	err := os.Rename(staged, path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeShard(shard); err != nil {
			return err
		}
		err = os.Rename(staged, path)
	}
	if err != nil {
		return err
	}
	return d.disk.Flush(atomicfile.Names(shard))
}

// makeShard flushes the folder's name too, also if another has made it since we looked,
// who may not have come so far.
func makeShard(shard string) error {
	if err := os.Mkdir(shard, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return atomicfile.SyncDir(filepath.Dir(shard))
}

// explain says in our words that the disk is full.
func explain(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}
