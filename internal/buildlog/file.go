package buildlog

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// File is the text of a stored log as a file that can be read from any place. It
// is unpacked from its beginning whenever a reader goes back, so going back and
// forth is slow, but never takes memory.
type File struct {
	ctx    context.Context
	stored io.ReadSeeker
	text   io.Reader
	at     int64 // of the text
	want   int64 // where the next read begins
	size   int64
}

// Open unpacks a stored log once, up to its end: a log that is damaged or too
// long is an error here, before anybody was sent half of it. Its reads end with ctx.
func Open(ctx context.Context, stored io.ReadSeeker) (*File, error) {
	f := &File{ctx: ctx, stored: stored}
	if err := f.rewind(); err != nil {
		return nil, err
	}
	n, err := io.Copy(io.Discard, f.text)
	if err != nil {
		return nil, err
	}
	f.at, f.size = n, n
	return f, nil
}

// Size is the length of the text in bytes.
func (f *File) Size() int64 { return f.size }

// Seek is that of io.Seeker; it does no work before the next Read.
func (f *File) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += f.want
	case io.SeekEnd:
		offset += f.size
	}
	if offset < 0 {
		return 0, errors.New("seek in a log: before its beginning")
	}
	f.want = offset
	return offset, nil
}

func (f *File) Read(p []byte) (int, error) {
	if f.want >= f.size {
		return 0, io.EOF
	}
	if f.want < f.at {
		if err := f.rewind(); err != nil {
			return 0, err
		}
	}
	if f.want > f.at {
		n, err := io.CopyN(io.Discard, f.text, f.want-f.at)
		if f.at += n; err != nil {
			return 0, err
		}
	}
	n, err := f.text.Read(p)
	f.at += int64(n)
	f.want = f.at
	return n, err
}

func (f *File) rewind() error {
	if _, err := f.stored.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read the log: %w", err)
	}
	f.text, f.at = Text(f.ctx, f.stored), 0
	return nil
}
