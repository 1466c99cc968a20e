package depot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"pinwheel/internal/farm"
)

// File is a stored file, open for reading. It must be closed.
type File interface {
	io.ReadSeekCloser
	io.ReaderAt
	Size() int64 // bytes
}

type localFile struct {
	*os.File
	size int64
}

func (f localFile) Size() int64 { return f.size }

// Has says whether the file is there with that size. A file of another size is
// a damaged one, and as good as missing: Put replaces it.
func (d *Local) Has(sha string, size int64) (bool, error) {
	path, err := d.Path(sha)
	if err != nil {
		return false, err
	}
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for %s in the depot: %w", sha, err)
	}
	return info.Mode().IsRegular() && info.Size() == size, nil
}

// Open opens a file; one that is not there is farm.ErrNotFound.
func (d *Local) Open(sha string) (File, error) {
	path, err := d.Path(sha)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open %s in the depot: %w", sha, farm.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s in the depot: %w", sha, err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open %s in the depot: %w", sha, err)
	}
	return localFile{f, info.Size()}, nil
}

// Remove deletes a file; one that is not there is removed already.
func (d *Local) Remove(sha string) error {
	path, err := d.Path(sha)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s from the depot: %w", sha, err)
	}
	return nil
}

// Walk calls f for each file, in the order of the hashes, until f returns an
// error. Files that come or go meanwhile may be missed. What lies among the
// files and is none does not stop the walk: the error at its end names it.
func (d *Local) Walk(f func(sha string, size int64) error) error {
	root := filepath.Join(d.dir, filesDir)
	shards, err := os.ReadDir(root)
	if err != nil {
		return fmt.Errorf("walk depot: %w", err)
	}
	var strange []error
	for _, shard := range shards {
		dir := filepath.Join(root, shard.Name())
		if strings.HasPrefix(shard.Name(), ".") {
			continue // a probe
		}
		if !shard.IsDir() {
			strange = append(strange, notOurs(dir))
			continue
		}
		odd, err := walkShard(dir, f)
		if err != nil {
			return err
		}
		strange = append(strange, odd...)
	}
	return errors.Join(strange...)
}

func walkShard(dir string, f func(sha string, size int64) error) (strange []error, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("walk depot: %w", err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("walk depot: %w", err)
		}
		sha := e.Name()
		if !isSHA256(sha) || sha[:2] != filepath.Base(dir) || !info.Mode().IsRegular() {
			strange = append(strange, notOurs(filepath.Join(dir, sha)))
			continue
		}
		if err := f(sha, info.Size()); err != nil {
			return nil, err
		}
	}
	return strange, nil
}

func notOurs(path string) error {
	return fmt.Errorf("walk depot: %s %w", path, ErrForeign)
}
