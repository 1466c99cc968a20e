package embedpg

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// unpack unpacks the zip at path into the folder tree, if its bytes are those
// with the hash.
func unpack(path, hash, tree string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	// Hashed and read through one descriptor: nobody can swap it in between.
	sum := sha256.New()
	size, err := io.Copy(sum, f)
	if err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != hash {
		return fmt.Errorf("its SHA-256 is %s and not the pinned %s; it was changed on the way", got, hash)
	}
	return unzip(f, size, tree)
}

// unzip writes the zip's wanted entries below tree; os.Root keeps whatever name
// an entry has inside.
func unzip(r io.ReaderAt, size int64, tree string) error {
	archive, err := zip.NewReader(r, size)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(tree)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, entry := range archive.File {
		if !wanted(entry.Name) {
			continue
		}
		if err := unzipEntry(root, entry); err != nil {
			return fmt.Errorf("entry %.200q: %w", entry.Name, err)
		}
	}
	return nil
}

// wanted leaves out what only compilers read: half of all files.
func wanted(name string) bool {
	return !strings.Contains(name, "/include/") && !strings.HasSuffix(name, ".a") && !strings.HasSuffix(name, "/")
}

// unzipEntry writes one file with the mode that the zip gives it, readable for
// all, since the server's user is not the one who unpacks.
func unzipEntry(root *os.Root, entry *zip.File) error {
	if !fs.ValidPath(entry.Name) || !entry.Mode().IsRegular() {
		return errors.New("not a plain file below the archive's root")
	}
	if err := root.MkdirAll(path.Dir(entry.Name), 0o755); err != nil {
		return err
	}
	in, err := entry.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := root.OpenFile(entry.Name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	mode := entry.Mode().Perm()&0o755 | 0o444
	// Chmod, since the umask may have taken from OpenFile's mode.
	return errors.Join(err, out.Chmod(mode), out.Close())
}
