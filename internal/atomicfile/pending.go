package atomicfile

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Pending is a file on its way to its name, for content that is better not held
// in memory. It must be closed; what was not committed then is gone.
type Pending struct {
	path string
	file *temp
	out  *bufio.Writer
	like time.Time // zero: the time of now
}

// NewPending begins a file that is to stand at path with the mode perm.
func NewPending(path string, perm fs.FileMode) (*Pending, error) {
	t, err := newTemp(path, perm)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", path, err)
	}
	return &Pending{path: path, file: t, out: bufio.NewWriterSize(t, 64<<10)}, nil
}

// Write is that of io.Writer.
func (p *Pending) Write(b []byte) (int, error) { return p.out.Write(b) }

// Close is harmless after Commit.
func (p *Pending) Close() { p.file.discard() } //nolint:errcheck // it is rubbish either way

// Like gives the file the time of another, from which it was made.
func (p *Pending) Like(other string) error {
	info, err := os.Lstat(other)
	if err != nil {
		return fmt.Errorf("write %s: %w", p.path, err)
	}
	p.like = info.ModTime()
	return nil
}

// Commit puts the file in its place, unless an equal one, of the time that it is
// to have, is there. It says whether the file was written.
func (p *Pending) Commit() (bool, error) {
	changed, err := p.commit()
	if err != nil {
		return false, fmt.Errorf("write %s: %w", p.path, err)
	}
	return changed, nil
}

func (p *Pending) commit() (bool, error) {
	if err := p.out.Flush(); err != nil {
		return false, err
	}
	if p.unchanged() {
		return false, nil
	}
	if err := p.file.setTime(p.like); err != nil {
		return false, err
	}
	if err := p.file.finish(); err != nil {
		return false, err
	}
	return true, SyncDir(filepath.Dir(p.path))
}

func (p *Pending) unchanged() bool {
	info, err := p.file.Stat()
	if err != nil || !stands(p.path, info.Size(), p.like) {
		return false
	}
	old, err := os.Open(p.path)
	if err != nil {
		return false
	}
	defer old.Close()
	return sameContent(io.NewSectionReader(p.file, 0, info.Size()), old)
}

// stands says whether a plain file of that size, and of that time if there is
// one, is at path.
func stands(path string, size int64, like time.Time) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode().IsRegular() && info.Size() == size && (like.IsZero() || info.ModTime().Equal(like))
}

// sameContent compares two files of one length; one that cannot be read is not
// the same as anything.
func sameContent(a, b io.Reader) bool {
	bufA, bufB := make([]byte, 32<<10), make([]byte, 32<<10)
	for {
		n, errA := io.ReadFull(a, bufA)
		m, errB := io.ReadFull(b, bufB)
		if !bytes.Equal(bufA[:n], bufB[:m]) || errA != errB {
			return false
		}
		if errA != nil {
			return errA == io.EOF || errA == io.ErrUnexpectedEOF
		}
	}
}
