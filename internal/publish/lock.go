package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// The locks of a site. Who needs both takes pagesLock first.
const (
	pagesLock = ".pages.lock" // projects' folders
	rootLock  = ".root.lock"  // the root index
)

// lock makes the caller the only writer, also among processes: without it, a
// page that was read before a change could be written after it, and the row that
// says "stale" would be gone. The kernel frees the lock of a process that dies.
func (p *Publisher) lock(ctx context.Context, name string) (unlock func(), err error) {
	if err := os.MkdirAll(p.simple(), 0o755); err != nil { // somebody may have deleted the site
		return nil, fmt.Errorf("lock site: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(p.cfg.SiteDir, name), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock site: %w", err)
	}
	err = waitLock(ctx, f)
	if err == nil {
		err = p.mark(f, name)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock site with %s: %w", f.Name(), err)
	}
	return func() {
		if name != pagesLock || !p.made.Load() { // else the next one has to flush what we could not
			_, _ = f.WriteAt([]byte(lockFree), 0) // at worst the next one sweeps, or flushes, for nothing
		}
		f.Close() // which unlocks
	}, nil
}

// What stands in a lock file.
const (
	lockHeld = "x"
	lockFree = "."
)

// mark notes in the lock file that it is held. If that stands there already, the
// one before died over its work, be it another process: what it left half-made
// beside the root index is nobody's, and looked for once more; folders that it made
// may have names that nobody has flushed, and that is done with the next ones.
func (p *Publisher) mark(f *os.File, name string) error {
	var was [1]byte
	if _, err := f.ReadAt(was[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if string(was[:]) == lockHeld {
		switch name {
		case rootLock:
			p.swept.Store(false)
		case pagesLock:
			p.made.Store(true)
		}
	}
	_, err := f.WriteAt([]byte(lockHeld), 0)
	return err
}

// waitLock asks again and again rather than blocking in the kernel, where ctx
// could not end it.
func waitLock(ctx context.Context, f *os.File) error {
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-again.C:
		}
	}
}
