// Package buildlog is the form in which the log of a build travels and is kept:
// one gzip stream (RFC 1952), made by the slave, stored as it came.
//
// Input: what a build wrote, or a stored log. Output: the stored form, or the
// text again, byte for byte. It owns nothing and keeps nothing, so a crash loses
// nothing.
//
// A stored log comes from a slave and is trusted with nothing: it is inflated
// as a stream, never into memory, up to MaxText bytes and for as long as a
// context lasts. A log that is no gzip stream is taken as text. What is stored is
// never changed: a slave of ours made it harmless when it was written (Harmless),
// and of one that is not ours control characters are the business of whoever shows it.
package buildlog

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/compress/gzip"
)

// Name is what the slave calls the file.
const Name = "log.gz"

// MaxText is how many bytes of text a log is believed to have. Slaves cap their
// logs far below; a hostile one can make a thousand bytes out of each it sends.
const MaxText = 256 << 20

// level is the fastest that is worth it: compilers repeat themselves, and a Pi
// has better things to do.
const level = 3

// Sentinel errors of reading.
var (
	// ErrTooLong means that there is more than MaxText.
	ErrTooLong = errors.New("the log unpacks to more than a log may have")
	// ErrDamaged means that the bytes are not what a slave of ours writes.
	ErrDamaged = errors.New("the log is damaged")
)

// Compress writes the stored form of text to w. The same text gives the same
// bytes: no time and no name stand in them.
func Compress(w io.Writer, text io.Reader) error {
	z, err := gzip.NewWriterLevel(w, level)
	if err != nil {
		return fmt.Errorf("compress the log: %w", err)
	}
	z.ModTime = time.Unix(0, 0) // means "none"; the zero Time would be written as a year to come
	if _, err := io.Copy(z, text); err != nil {
		return fmt.Errorf("compress the log: %w", err)
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("compress the log: %w", err)
	}
	return nil
}

// Compressed says whether a stored log is a gzip stream, by its first bytes, as
// all are but those of the first slaves.
func Compressed(stored io.ReaderAt) (bool, error) {
	var head [len(magic)]byte
	_, err := stored.ReadAt(head[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("read the log: %w", err)
	}
	return string(head[:]) == magic, nil
}

// magic begins a gzip stream that is deflated; no text begins so.
const magic = "\x1f\x8b\x08"

// Text reads the text of a stored log. Its errors match ErrTooLong, ErrDamaged,
// or are the cause of ctx, or those of stored.
func Text(ctx context.Context, stored io.Reader) io.Reader {
	return &text{ctx: ctx, in: bufio.NewReader(stored), max: MaxText}
}

// text inflates as it is read; the first read finds out what there is.
type text struct {
	ctx context.Context
	in  *bufio.Reader
	out io.Reader // nil before the first read
	n   int64     // bytes given so far
	max int64
}

func (t *text) Read(p []byte) (int, error) {
	if t.ctx.Err() != nil {
		return 0, context.Cause(t.ctx)
	}
	if t.out == nil {
		if err := t.open(); err != nil {
			return 0, err
		}
	}
	// One byte more than allowed is enough to know, however many follow.
	if left := t.max - t.n + 1; int64(len(p)) > left {
		p = p[:left]
	}
	n, err := t.out.Read(p)
	if t.n += int64(n); t.n > t.max {
		return n - 1, fmt.Errorf("%w: %d bytes", ErrTooLong, t.max)
	}
	return n, damage(err)
}

func (t *text) open() error {
	// A stream shorter than that is text, if anything.
	if head, err := t.in.Peek(len(magic)); err != nil || !bytes.Equal(head, []byte(magic)) {
		t.out = t.in
		return nil
	}
	z, err := gzip.NewReader(t.in)
	if err == io.EOF { // in the middle of its head
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return damage(err)
	}
	// What follows the first stream was not written by us, and a stream of a
	// million empty ones would cost time for nothing.
	z.Multistream(false)
	t.out = z
	return nil
}

// damage gives the faults of the format one name.
func damage(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}
