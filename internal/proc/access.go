package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// probe prints the first of its arguments that its user cannot search or
// execute. The shell asks the kernel, so ACLs, noexec mounts and security
// modules count as they would for the real thing; mode bits alone do not.
const probe = `for p; do test -x "$p" || { printf %s "$p"; exit 1; }; done`

// CanExec says why u could not execute the file at path, naming the folder or
// file that is in the way: every folder above must be searchable, also on the
// other side of symbolic links, and the file a regular executable one.
func (u User) CanExec(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("execute as %s: %w", u, err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("execute %s as %s: not a regular file", path, u)
	}
	return u.tryAccess("execute", path)
}

// CanEnter says why u could not enter the folder at path, naming the folder
// that is in the way.
func (u User) CanEnter(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("enter as %s: %w", u, err)
	}
	if !info.IsDir() {
		return fmt.Errorf("enter %s as %s: not a folder", path, u)
	}
	return u.tryAccess("enter", path)
}

func (u User) tryAccess(verb, path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("%s as %s: %w", verb, u, err)
	}
	resolved, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fmt.Errorf("%s %s as %s: %w", verb, path, u, err)
	}
	// The folders first, so that the culprit is named and not its contents.
	steps := append(ancestors(path), ancestors(resolved)...)
	steps = append(steps, path)
	blocked, err := u.firstBlocked(steps)
	switch {
	case err != nil:
		return fmt.Errorf("%s %s as %s: %w", verb, path, u, err)
	case blocked == path:
		return fmt.Errorf("%s %s as %s: %w", verb, path, u, os.ErrPermission)
	case blocked != "":
		return fmt.Errorf("%s %s as %s: %w to enter %s", verb, path, u, os.ErrPermission, blocked)
	}
	return nil
}

// firstBlocked returns the first of the paths that u cannot search or execute,
// or "".
func (u User) firstBlocked(paths []string) (string, error) {
	args := append([]string{"-c", probe, "sh"}, paths...)
	cmd := exec.Command("/bin/sh", args...)
	cmd.Dir = "/" // our own folder may be closed to u
	cmd.Env = []string{}
	var out bytes.Buffer
	cmd.Stdout = &out
	u.Apply(cmd)
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && out.Len() > 0 {
		return out.String(), nil
	}
	return "", err
}

// ancestors lists the folders above an absolute path, the root first.
func ancestors(path string) []string {
	var above []string
	for i := range path {
		if path[i] == filepath.Separator && i+1 < len(path) {
			above = append(above, path[:max(i, 1)])
		}
	}
	return above
}

// maxSharedPath keeps a folder of SharedTempDir short enough for a Unix socket
// in it: the kernel takes 107 bytes in all.
const maxSharedPath = 72

// SharedTempDir makes a fresh folder that we own and each of the users can
// enter but not list or write (mode 0711), below the first of os.TempDir,
// /var/tmp and /tmp where that works and the path stays at most 72 bytes, so
// that a socket's name fits behind it. The pattern is os.MkdirTemp's. The
// caller removes the folder.
func SharedTempDir(pattern string, users ...User) (string, error) {
	var refused []string
	for _, base := range tempBases() {
		dir, err := sharedBelow(base, pattern, users)
		if err == nil {
			return dir, nil
		}
		refused = append(refused, err.Error())
	}
	return "", fmt.Errorf("make a shared temporary folder: %s", strings.Join(refused, "; "))
}

// tempBases are the folders that a shared one may lie in.
func tempBases() []string { return []string{os.TempDir(), "/var/tmp", "/tmp"} }

func sharedBelow(base, pattern string, users []User) (string, error) {
	dir, err := os.MkdirTemp(base, pattern)
	if err != nil {
		return "", err
	}
	if err := openTo(dir, users); err != nil {
		// Fresh and empty, so there is nothing to lose but the error.
		return "", errors.Join(err, os.Remove(dir))
	}
	return dir, nil
}

func openTo(dir string, users []User) error {
	if len(dir) > maxSharedPath {
		return fmt.Errorf("use %s: longer than %d bytes, a socket would not fit", dir, maxSharedPath)
	}
	// Chmod, since the umask may have taken from MkdirTemp's mode.
	if err := os.Chmod(dir, 0o711); err != nil {
		return err
	}
	for _, u := range users {
		if err := u.CanEnter(dir); err != nil {
			return err
		}
	}
	return nil
}
