package proxy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// flight is one download into the cache, that any number of builds read along. What
// it holds is given out as it comes, but for the last byte: that only when the whole
// has its sum, so that nobody ever has a wrong file whole.
type flight struct {
	c       *cache
	sum     string
	ctx     context.Context // of the download: nobody's in particular
	cancel  context.CancelFunc
	readers int // guarded by c.mu, as is what follows

	size    int64
	have    int64
	file    *os.File
	running bool          // the size is known
	done    bool          // err says how
	err     error         //
	changed chan struct{} // closed at the next change
}

func newFlight(c *cache, sum string) *flight {
	ctx, cancel := context.WithCancel(context.Background())
	return &flight{c: c, sum: sum, ctx: ctx, cancel: cancel, changed: make(chan struct{})}
}

// change makes a step known to all who wait for one.
func (f *flight) change(step func()) {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	step()
	close(f.changed)
	f.changed = make(chan struct{})
}

// run downloads, and ends the flight: from then on it is an entry, or nothing.
func (f *flight) run(get fetch) {
	err := f.download(get)
	f.change(func() {
		if err == nil {
			err = f.c.add(f.file.Name(), f.sum)
		}
		f.done, f.err = true, err
		f.leave()
		if err != nil && f.file != nil {
			_ = os.Remove(f.file.Name()) // the next start removes it as well
		}
		f.release()
	})
}

// leave makes the next one who wants the file begin anew.
func (f *flight) leave() {
	if f.c.flights[f.sum] == f {
		delete(f.c.flights, f.sum)
	}
}

// release closes the file when nobody is left. It is called with the lock held.
func (f *flight) release() {
	if f.readers > 0 || !f.done {
		return
	}
	f.cancel()
	if f.file != nil {
		f.file.Close()
		f.file = nil
	}
}

func (f *flight) download(get fetch) error {
	from, size, err := get(f.ctx)
	if err != nil {
		return err
	}
	defer from.Close()
	if !f.c.room(size) {
		return errUncached
	}
	file, err := f.makePart(size)
	if err != nil {
		return errors.Join(errUncached, err)
	}
	f.change(func() { f.file, f.size, f.running = file, size, true })
	h := sha256.New()
	n, err := io.CopyBuffer(io.MultiWriter(f, h), io.LimitReader(from, size), make([]byte, 128<<10))
	if err != nil {
		return err
	}
	if n < size {
		return io.ErrUnexpectedEOF
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != f.sum {
		return fmt.Errorf("its SHA-256 is %s, the index page says %s", got, f.sum)
	}
	return nil
}

// makePart takes the whole space at once, so that a full disk is known before anybody
// was promised anything.
func (f *flight) makePart(size int64) (*os.File, error) {
	file, err := os.CreateTemp(f.c.dir, unfinished+"*")
	if err != nil {
		return nil, err
	}
	err = syscall.Fallocate(int(file.Fd()), 0, 0, max(size, 1))
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG) {
		return nil, errors.Join(err, file.Close(), os.Remove(file.Name()))
	}
	return file, file.Truncate(size) // the one byte of an empty file
}

// Write appends what came.
func (f *flight) Write(p []byte) (int, error) {
	n, err := f.file.WriteAt(p, f.have) // only run changes both
	f.change(func() { f.have += int64(n) })
	return n, err
}

// started waits until the size is known, or that there will be none.
func (f *flight) started(ctx context.Context) error {
	for {
		f.c.mu.Lock()
		running, done, err, changed := f.running, f.done, f.err, f.changed
		f.c.mu.Unlock()
		switch {
		case done && err != nil:
			return err
		case running:
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// along reads what a flight has.
type along struct {
	f      *flight
	ctx    context.Context
	at     int64
	closed bool
}

func (r *along) Read(p []byte) (int, error) {
	f := r.f
	for {
		f.c.mu.Lock()
		ready, done, err, changed := f.have, f.done, f.err, f.changed
		f.c.mu.Unlock()
		if !done {
			ready = min(ready, f.size-1) // the last byte waits for the sum
		}
		switch {
		case done && err != nil:
			return 0, err
		case r.at < ready:
			n, err := f.file.ReadAt(p[:min(int64(len(p)), ready-r.at)], r.at)
			r.at += int64(n)
			if n > 0 {
				err = nil
			}
			return n, err
		case done:
			return 0, io.EOF
		}
		select {
		case <-r.ctx.Done():
			return 0, r.ctx.Err()
		case <-changed:
		}
	}
}

// Close leaves the flight; the last one to leave ends it.
func (r *along) Close() error {
	r.f.c.mu.Lock()
	defer r.f.c.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	r.f.readers--
	if r.f.readers == 0 && !r.f.done {
		r.f.leave()
		r.f.cancel()
	}
	r.f.release()
	return nil
}
