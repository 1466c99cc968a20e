package builder

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"pinwheel/internal/pep"
)

// What a build may have left where its wheel should be.
var (
	errNotPlain = errors.New("not a plain file")
	errTooLarge = errors.New("more than 2 GiB, which no master takes")
)

// maxWheel is what a master takes, in bytes. A file of holes may claim any size.
const maxWheel = 2 << 30

// mostOut is how many files are looked at where the wheel should be, of which pip leaves one:
// a build makes names by the hundred thousand.
const mostOut = 1000

// wheelNames lists what looks like a wheel in out, and says whether there is more than is
// looked at. A folder that the build made unreadable, or replaced by something else, holds
// none.
func wheelNames(work *os.Root) (names []string, more bool) {
	if info, err := work.Lstat("out"); err != nil || !info.IsDir() { // a pipe would keep us waiting
		return nil, false
	}
	out, err := work.Open("out")
	if err != nil {
		return nil, false
	}
	defer out.Close()
	for seen := 0; ; {
		some, err := out.Readdirnames(256)
		for _, name := range some {
			if strings.HasSuffix(strings.ToLower(name), ".whl") {
				names = append(names, name)
			}
		}
		if seen += len(some); seen > mostOut {
			return names, true
		}
		if err != nil { // io.EOF; of a disk that fails, what was read counts
			return names, false
		}
	}
}

// fits says why a wheel's name (PEP 427) is not that of this build, or "".
// pip is content with any.
func (b Build) fits(name string) string {
	w, err := pep.ParseWheelName(name)
	if err != nil {
		return err.Error()
	}
	if want := pep.NormalizeName(b.Package); w.Name() != want {
		return fmt.Sprintf("a wheel of %s, not of %s", w.Name(), want)
	}
	if want, err := pep.ParseVersion(b.Version); err != nil || !w.Version.Equal(want) {
		return fmt.Sprintf("a wheel of version %s, not of %s", w.Version, b.Version)
	}
	target := b.Python.Target()
	accepted := target.Tags()
	for _, t := range w.Tags {
		if slices.Contains(accepted, t) {
			return ""
		}
	}
	return fmt.Sprintf("a wheel that pip on %s does not take", target)
}

// copyOut copies a wheel out of the build's folder, which nobody writes to any
// more, into ours. The build may have left a link to a file that only we may
// read, or a pipe that would keep us waiting: neither is followed.
func (b Build) copyOut(work *os.Root, name string) (string, error) {
	from, err := openPlain(work, filepath.Join("out", name))
	if err != nil {
		return "", err
	}
	defer from.Close()
	if info, err := from.Stat(); err != nil || info.Size() > maxWheel {
		return "", errTooLarge
	}
	out := filepath.Join(b.Dir, "out")
	if err := os.MkdirAll(out, 0o700); err != nil {
		return "", err
	}
	path := filepath.Join(out, name)
	to, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return "", err
	}
	err = copyData(to, from)
	if err = errors.Join(err, to.Close()); err != nil {
		return "", errors.Join(err, os.Remove(path))
	}
	return path, nil
}

// copyData copies what is written of a file and leaves its holes: they were not counted
// as the build's disk, and a few kB that claim 2 GiB would take so much of ours.
func copyData(to, from *os.File) error {
	info, err := from.Stat()
	if err != nil {
		return err
	}
	// Only where there are any: a file system may be late to say what of a fresh file is data.
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Blocks*512 >= info.Size() {
		_, err := io.Copy(to, from)
		return err
	}
	for at := int64(0); at < info.Size(); {
		data, hole, err := nextData(from, at)
		if errors.Is(err, syscall.ENXIO) { // nothing but a hole is left
			break
		}
		if err == nil {
			_, err = to.Seek(data, io.SeekStart)
		}
		if err == nil {
			_, err = io.CopyN(to, from, hole-data)
		}
		if err != nil {
			return err
		}
		at = hole
	}
	return to.Truncate(info.Size())
}

// nextData finds what is written from at on, and where it ends. The file is left at its
// beginning.
func nextData(f *os.File, at int64) (data, hole int64, err error) {
	if data, err = f.Seek(at, unix.SEEK_DATA); err != nil {
		return 0, 0, err
	}
	if hole, err = f.Seek(data, unix.SEEK_HOLE); err != nil {
		return 0, 0, err
	}
	_, err = f.Seek(data, io.SeekStart)
	return data, hole, err
}

func openPlain(work *os.Root, path string) (*os.File, error) {
	if info, err := work.Lstat(path); err != nil || !info.Mode().IsRegular() {
		return nil, errNotPlain
	}
	f, err := work.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, errNotPlain
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || links(info) != 1 {
		f.Close()
		return nil, errNotPlain
	}
	return f, nil
}

// links counts a file's names: a second one may lie outside the box.
func links(info fs.FileInfo) uint64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(s.Nlink)
	}
	return 0
}
