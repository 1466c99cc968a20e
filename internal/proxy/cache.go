package proxy

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"pinwheel/internal/proc"
)

// unfinished begins the names of what is being downloaded.
const unfinished = ".pinwheel-download-"

// cache keeps files by their SHA-256 in one folder: DIR/HEX. Who wants a file that
// another one is downloading reads along. What was used last is kept longest; when it
// was used is the entry's access time, so that this survives as well.
type cache struct {
	dir  string
	size int64 // bytes that all entries may take
	free int64 // bytes of the disk that are left to the builds
	lock *os.File

	statfs func(dir string, st *syscall.Statfs_t) error

	mu      sync.Mutex
	flights map[string]*flight // by SHA-256
	sound   map[string]stamp   // entries that had their sum when last looked at
}

// stamp tells a file from one that was changed since.
type stamp struct {
	size     int64
	modified time.Time
}

// ErrInUse says that another process works in the cache's folder.
var ErrInUse = errors.New("another process works in it")

// openCache makes the folder ours, and what is in it as large as it may be.
func openCache(cfg Config) (_ *cache, err error) {
	dir := cfg.CacheDir
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the cache's folder: %w", err)
	}
	c := &cache{
		dir: dir, size: positive(cfg.CacheSize, DefaultCacheSize), free: positive(cfg.KeepFree, DefaultKeepFree),
		statfs: cfg.Statfs, flights: map[string]*flight{}, sound: map[string]stamp{},
	}
	if c.statfs == nil {
		c.statfs = syscall.Statfs
	}
	if c.lock, err = lock(dir); err != nil {
		return nil, fmt.Errorf("cache %s: %w", dir, err)
	}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	left, err := filepath.Glob(filepath.Join(dir, unfinished+"*"))
	if err != nil {
		return nil, fmt.Errorf("look through the cache: %w", err)
	}
	for _, path := range left { // of a process that was killed
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("look through the cache: %w", err)
		}
	}
	if err := c.spare(0); err != nil {
		return nil, fmt.Errorf("make the cache smaller: %w", err)
	}
	return c, nil
}

// lock makes the folder this process's, as long as it lives: with the very folder
// locked, nothing more lies in it.
func lock(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = ErrInUse
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (c *cache) close() { _ = proc.Unlock(c.lock) } // or our end frees it

func positive(n, otherwise int64) int64 {
	if n > 0 {
		return n
	}
	return otherwise
}

// fetch brings a file: its bytes and how many they are, -1 if nobody knows.
type fetch func(ctx context.Context) (io.ReadCloser, int64, error)

// errUncached says that a file must be fetched past the cache: its size is not known,
// it is too large, or there is no space.
var errUncached = errors.New("not for the cache")

// open gives the file of that sum and its size: from the disk, from a download under
// way, or by a new one, which goes on as long as anybody reads along. Its errors are
// errUncached and those of fetch.
func (c *cache) open(ctx context.Context, sum string, get fetch) (io.ReadCloser, int64, error) {
	for {
		if f := c.join(sum, get); f != nil {
			r := &along{f: f, ctx: ctx}
			if err := f.started(ctx); err != nil {
				return nil, 0, errors.Join(err, r.Close())
			}
			return r, f.size, nil
		}
		if file, size := c.kept(sum); file != nil {
			return file, size, nil
		}
		// What cannot be read and not be removed either would keep us here for ever: a
		// disk that became read-only, or a process without descriptors.
		if _, err := os.Lstat(filepath.Join(c.dir, sum)); !errors.Is(err, fs.ErrNotExist) {
			return nil, 0, errUncached
		}
		if err := ctx.Err(); err != nil {
			return nil, 0, err
		}
	}
}

// join takes part in the download of a file, which it begins unless there is an entry;
// then it gives nil.
func (c *cache) join(sum string, get fetch) *flight {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.flights[sum]
	if f == nil {
		if _, err := os.Stat(filepath.Join(c.dir, sum)); err == nil {
			return nil
		}
		f = newFlight(c, sum)
		c.flights[sum] = f
		go f.run(get)
	}
	f.readers++
	return f
}

// kept opens an entry that is sound. One that is not is removed: a disk that lost
// power, or somebody's hand.
func (c *cache) kept(sum string) (*os.File, int64) {
	path := filepath.Join(c.dir, sum)
	file, err := os.Open(path)
	if err != nil {
		return nil, 0
	}
	info, err := file.Stat()
	if err != nil || !c.check(file, info, sum) {
		file.Close()
		_ = os.Remove(path) // if that fails, the cache is passed by
		return nil, 0
	}
	_ = os.Chtimes(path, time.Now(), info.ModTime()) // only makes it last longer
	return file, info.Size()
}

// check reads an entry once in this process's life, and again when it was changed.
func (c *cache) check(file *os.File, info fs.FileInfo, sum string) bool {
	now := stamp{info.Size(), info.ModTime()}
	c.mu.Lock()
	known := c.sound[sum] == now
	c.mu.Unlock()
	if known {
		return true
	}
	h := sha256.New()
	if _, err := io.Copy(h, file); err != nil || hex.EncodeToString(h.Sum(nil)) != sum {
		return false
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sound[sum] = now
	return true
}

// room makes room for a file of that size, and says whether there is.
func (c *cache) room(size int64) bool {
	if size < 0 || size > c.size/2 {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shrink(size) != nil {
		return false
	}
	lacks, err := c.lacks(size)
	return err == nil && lacks <= 0
}

// lacks is how many bytes more the disk would have to have for a file of that size.
func (c *cache) lacks(size int64) (int64, error) {
	var st syscall.Statfs_t
	if err := c.statfs(c.dir, &st); err != nil {
		return 0, err
	}
	return c.free + size - int64(st.Bavail)*int64(st.Bsize), nil
}

// spare makes room for a file of that size, as far as it goes.
func (c *cache) spare(size int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.shrink(size)
}

// add makes a finished download an entry, and removes what was not used for longest.
func (c *cache) add(part string, sum string) error {
	path := filepath.Join(c.dir, sum)
	if err := os.Rename(part, path); err != nil {
		return err
	}
	if info, err := os.Stat(path); err == nil {
		c.sound[sum] = stamp{info.Size(), info.ModTime()} // it was read as it came
	}
	return c.shrink(0)
}

// shrink removes what was not used for longest, until the rest fits and a file of that
// size would too, if that can be had. The lock is held.
func (c *cache) shrink(size int64) error {
	lacks, err := c.lacks(size)
	if err != nil {
		return err
	}
	type entry struct {
		name string
		size int64
		used time.Time
	}
	dir, err := os.ReadDir(c.dir)
	if err != nil {
		return err
	}
	var all []entry
	var sum int64
	for _, d := range dir {
		info, err := d.Info()
		if err != nil || !isSum(d.Name()) || !info.Mode().IsRegular() { // under way, or somebody else's
			continue
		}
		all = append(all, entry{d.Name(), info.Size(), accessed(info)})
		sum += info.Size()
	}
	if size > 0 && lacks > sum {
		return nil // others have the disk: all of it would go in vain
	}
	slices.SortFunc(all, func(a, b entry) int { return cmp.Or(a.used.Compare(b.used), strings.Compare(a.name, b.name)) })
	for _, e := range all {
		if sum+size <= c.size && lacks <= 0 {
			break
		}
		if err := os.Remove(filepath.Join(c.dir, e.name)); err != nil {
			return err
		}
		delete(c.sound, e.name)
		sum, lacks = sum-e.size, lacks-e.size
	}
	return nil
}

// isSum says whether a name is a SHA-256 in hex.
func isSum(name string) bool {
	return len(name) == sha256.Size*2 && strings.Trim(name, "0123456789abcdef") == ""
}

func accessed(info fs.FileInfo) time.Time {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(s.Atim.Unix())
	}
	return info.ModTime()
}
