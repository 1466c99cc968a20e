package atomicfile

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Link makes dst the same file as src, replacing what is there: a hard link
// where the file system allows one, which costs no space, else a copy with the
// mode of src. Linking twice is harmless.
func Link(src, dst string) error {
	changed, err := link(src, dst)
	if err != nil || !changed {
		return err
	}
	return SyncDir(filepath.Dir(dst))
}

// link is Link but for the flush of the name; it says whether there is one.
func link(src, dst string) (bool, error) {
	// Mostly nothing is there, and then there is nothing to look at.
	if os.Link(src, dst) == nil {
		return true, nil
	}
	from, err := os.Stat(src)
	if err != nil {
		return false, fmt.Errorf("link %s: %w", dst, err)
	}
	if to, err := os.Lstat(dst); err == nil && os.SameFile(from, to) {
		return false, nil
	}
	if hardLink(src, dst) == nil {
		return true, nil
	}
	// Why the link failed does not matter (another file system, too many links,
	// not our file): a copy either works or says what is wrong.
	if err := copyTo(src, dst, from.Mode().Perm()); err != nil {
		return false, fmt.Errorf("copy %s to %s: %w", src, dst, err)
	}
	return true, nil
}

// hardLink links under another name first where there is a file already, because
// link(2) does not replace.
func hardLink(src, dst string) error {
	if err := os.Link(src, dst); !errors.Is(err, fs.ErrExist) {
		return err
	}
	tmp := filepath.Join(filepath.Dir(dst), "."+filepath.Base(dst)+rand.Text())
	if err := os.Link(src, tmp); err != nil {
		return err
	}
	// If dst became the same file meanwhile, rename(2) does nothing and leaves
	// tmp behind; otherwise there is nothing left to remove.
	defer os.Remove(tmp)
	return os.Rename(tmp, dst)
}

// Copy makes dst a copy of src with the mode perm, whole or not at all.
func Copy(src, dst string, perm fs.FileMode) error {
	if err := copyTo(src, dst, perm); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(dst))
}

func copyTo(src, dst string, perm fs.FileMode) error {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	return replace(dst, perm, func(w io.Writer) error {
		_, err := io.Copy(w, in)
		return err
	})
}
