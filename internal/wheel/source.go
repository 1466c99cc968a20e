package wheel

import (
	"context"
	"fmt"
	"io"
)

// windowSize is what peek reads at once: local headers of small entries stand
// close together, and one system call each would cost more than checking them.
const windowSize = 16 << 10

// source is the wheel's bytes. It keeps the context because the readers on top
// of it (flate, bufio) have no room for one.
type source struct {
	ctx    context.Context
	r      io.ReaderAt
	size   int64
	time   *timer // nil: it may take as long as it likes
	window []byte // bytes from at on, of the latest peek
	at     int64
}

// alive says whether there is any use in going on.
func (s *source) alive() error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	return s.time.spend()
}

// read returns n bytes from off on. A place outside of the file is a flaw of the
// wheel; anything else that goes wrong is an I/O error.
func (s *source) read(off int64, n int) ([]byte, error) {
	if err := s.within(off, n); err != nil {
		return nil, err
	}
	b := make([]byte, n)
	return b, s.fill(b, off)
}

// peek is read without an allocation; the bytes stay valid until the next peek.
func (s *source) peek(off int64, n int) ([]byte, error) {
	if err := s.within(off, n); err != nil {
		return nil, err
	}
	if off < s.at || off+int64(n) > s.at+int64(len(s.window)) {
		want := int(min(max(int64(n), windowSize), s.size-off))
		if cap(s.window) < want {
			s.window = make([]byte, want)
		}
		s.window, s.at = s.window[:want], off
		if err := s.fill(s.window, off); err != nil {
			s.window = s.window[:0]
			return nil, err
		}
	}
	return s.window[off-s.at:][:n], nil
}

func (s *source) within(off int64, n int) error {
	if off < 0 || n < 0 || off > s.size-int64(n) {
		return newFlaw(CodeZipDirectory, "", "the zip points to %d bytes at %d, outside of its %d", n, off, s.size)
	}
	return nil
}

func (s *source) fill(b []byte, off int64) error {
	if err := s.alive(); err != nil {
		return err
	}
	n, err := s.r.ReadAt(b, off)
	s.time.pause()
	if n == len(b) {
		return nil
	}
	// The bounds were checked: a short read is not the wheel's fault.
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read %d bytes at %d: %w", len(b), off, err)
}

// section reads n bytes of a source and keeps the error of the source apart from
// what a decompressor makes of it.
type section struct {
	src  *source
	off  int64
	left int64
	err  error
}

func (s *section) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), s.left)]
	if s.err = s.src.fill(p, s.off); s.err != nil {
		return 0, s.err
	}
	s.off += int64(len(p))
	s.left -= int64(len(p))
	return len(p), nil
}
