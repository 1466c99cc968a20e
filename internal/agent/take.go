package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"pinwheel/internal/buildlog"
	"pinwheel/internal/farm"
)

// take moves a build's file into the spool: moved, not copied, since a Pi's card
// is small and slow. The builder has taken it out of the build's hands already;
// that it is a plain file of one name, and no link to a secret of ours, is looked
// at once more, because whatever lies here is sent to the master.
func (s *spool) take(token, from, name string) (farm.File, error) {
	to := filepath.Join(s.folder(token), name)
	if err := os.Rename(from, to); err != nil {
		return farm.File{}, fmt.Errorf("spool: %w", err)
	}
	f, err := openPlain(to)
	if err != nil {
		return farm.File{}, fmt.Errorf("spool %s: %w", name, err)
	}
	defer f.Close()
	sum, size, err := hash(f)
	if err != nil {
		return farm.File{}, fmt.Errorf("spool %s: %w", name, err)
	}
	if err := f.Sync(); err != nil {
		return farm.File{}, fmt.Errorf("spool %s: %w", name, err)
	}
	return farm.File{Name: name, SHA256: sum, Size: size}, nil
}

// takeLog writes the log into the spool in the form in which it is kept. The
// text stays where it is, and goes with the build's folder.
func (s *spool) takeLog(token, from string) (farm.File, error) {
	text, err := openPlain(from)
	if err != nil {
		return farm.File{}, fmt.Errorf("spool the log: %w", err)
	}
	defer text.Close()
	to, err := os.OpenFile(filepath.Join(s.folder(token), buildlog.Name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return farm.File{}, fmt.Errorf("spool the log: %w", err)
	}
	defer to.Close()
	h := sha256.New()
	if err := buildlog.Compress(io.MultiWriter(to, h), text); err != nil {
		return farm.File{}, fmt.Errorf("spool the log: %w", err)
	}
	if err := to.Sync(); err != nil {
		return farm.File{}, fmt.Errorf("spool the log: %w", err)
	}
	info, err := to.Stat()
	if err != nil {
		return farm.File{}, fmt.Errorf("spool the log: %w", err)
	}
	return farm.File{Name: buildlog.Name, SHA256: hex.EncodeToString(h.Sum(nil)), Size: info.Size()}, nil
}

// openPlain opens a file that is what a builder leaves, and nothing that leads
// elsewhere or makes us wait.
func openPlain(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if err := plain(f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func plain(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !info.Mode().IsRegular() || !ok || st.Nlink != 1 {
		return fmt.Errorf("not a plain file of one name: %v", info.Mode())
	}
	return nil
}

func hash(r io.Reader) (sum string, size int64, err error) {
	h := sha256.New()
	size, err = io.Copy(h, r)
	return hex.EncodeToString(h.Sum(nil)), size, err
}
