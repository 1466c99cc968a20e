package builder

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"pinwheel/internal/buildlog"
	"pinwheel/internal/farm"
)

// Bounds of the capped log, in bytes.
const (
	smallestLog = 4 << 10
	noteRoom    = 64 // for the line that says how much was left out
)

// cappedLog keeps the first and the last half of what is written, made harmless,
// in a file without a name: the second half is a ring, so that neither memory nor
// disk grows with what a build writes.
type cappedLog struct {
	f          *os.File
	head, ring int64
	taken      int64 // bytes that the build wrote
	written    int64 // bytes of what became of them
	harmless   *buildlog.Harmless
	live       io.Writer
	err        error // the first error of writing; later writes are dropped
}

// newLog makes a log whose file lies in dir until it is closed, and that hides the
// secrets.
func newLog(dir string, limit int64, secrets ...string) (*cappedLog, error) {
	f, err := os.CreateTemp(dir, "log-*")
	if err != nil {
		return nil, fmt.Errorf("make the log: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, fmt.Errorf("make the log: %w", err)
	}
	limit = max(limit, smallestLog)
	l := &cappedLog{f: f, head: limit / 2, ring: limit - limit/2 - noteRoom}
	l.harmless = buildlog.NewHarmless(l.keep, secrets...)
	return l, nil
}

func (l *cappedLog) close() { l.f.Close() } // nothing to lose: the file has no name

// add takes what the build wrote.
func (l *cappedLog) add(p []byte) {
	l.taken += int64(len(p))
	_, _ = l.harmless.Write(p) // takes all
}

// keep appends to the log. Errors are kept for the end: the build must not
// hang on a full pipe because our disk is full.
func (l *cappedLog) keep(p []byte) {
	if l.live != nil && len(p) > 0 {
		if _, err := l.live.Write(p); err != nil {
			l.live = nil
		}
	}
	for len(p) > 0 {
		at := l.written
		if at >= l.head {
			at = l.head + (at-l.head)%l.ring
		}
		n := min(int64(len(p)), l.head+l.ring-at)
		if l.err == nil {
			if _, err := l.f.WriteAt(p[:n], at); err != nil {
				l.err = fmt.Errorf("write the log: %w", err)
			}
		}
		l.written += n
		p = p[n:]
	}
}

// copyTo writes the log: head, a line that says how many bytes are missing,
// tail; or all of it.
func (l *cappedLog) copyTo(w io.Writer) error {
	l.harmless.Flush()
	size := l.head + l.ring
	if l.written <= size {
		_, err := io.Copy(w, io.NewSectionReader(l.f, 0, l.written))
		return err
	}
	start := l.head + (l.written-l.head)%l.ring
	_, err := io.Copy(w, io.MultiReader(
		io.NewSectionReader(l.f, 0, l.head),
		newNote(l.written-size),
		io.NewSectionReader(l.f, start, size-start),
		io.NewSectionReader(l.f, l.head, start-l.head)))
	return err
}

// save leaves the log at path, by rename, and says what it is.
func (l *cappedLog) save(path string) (file farm.File, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("save the log: %w", err)
		}
	}()
	f, err := os.CreateTemp(filepath.Dir(path), ".log-*")
	if err != nil {
		return file, err
	}
	h := sha256.New()
	err = errors.Join(l.copyTo(io.MultiWriter(f, h)), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return file, errors.Join(err, os.Remove(f.Name()))
	}
	info, err := os.Stat(path)
	if err != nil {
		return file, err
	}
	return farm.File{Name: filepath.Base(path), SHA256: hex.EncodeToString(h.Sum(nil)), Size: info.Size()}, nil
}

// end reads the last n bytes of what was written.
func (l *cappedLog) end(n int64) ([]byte, error) {
	w := &lastBytes{n: int(n)}
	err := l.copyTo(w)
	return w.b, err
}
