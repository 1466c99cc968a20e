package embedpg

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"pinwheel/internal/proc"
)

const (
	socketPrefix = "pinwheel-pg-"
	port         = "5432" // part of the socket's name, no TCP port
)

// Address is where a server listens: the folder of its socket.
type Address struct{ folder string }

// URL is a connection URL (libpq's form) for the farm's database.
func (a Address) URL() string { return a.URLFor(database) }

// URLFor is a connection URL for the named database.
func (a Address) URLFor(db string) string {
	query := url.Values{"host": {a.folder}, "port": {port}, "sslmode": {"disable"}}
	u := url.URL{Scheme: "postgres", User: url.User("postgres"), Path: "/" + db, RawQuery: query.Encode()}
	return u.String()
}

// newAddress makes a folder that only the server's user and root can enter:
// whoever reaches the socket is believed to be the database's owner. It is a
// fresh one below the system's temporary folder because a socket's path must
// be short, which the data's need not be. It is locked for as long as we live:
// those of killed masters go when the next one makes its own, though it may have
// other data.
func newAddress(u proc.User) (Address, *proc.TempDir, error) {
	dir, err := proc.NewTempDir(socketPrefix, u)
	if err != nil {
		return Address{}, nil, err
	}
	if err := errors.Join(os.Chmod(dir.Path, 0o700), u.Chown(dir.Path)); err != nil {
		return Address{}, nil, errors.Join(err, dir.Remove())
	}
	return Address{dir.Path}, dir, nil
}

// remove deletes the folder and what Postgres puts there, and nothing else: a
// name read from a link after a crash may by then belong to someone else.
func (a Address) remove() error {
	if !strings.HasPrefix(filepath.Base(a.folder), socketPrefix) {
		return fmt.Errorf("remove socket folder %s: not one of ours", a.folder)
	}
	info, err := os.Lstat(a.folder)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("remove socket folder %s: not a folder", a.folder)
	}
	for _, name := range []string{".s.PGSQL." + port, ".s.PGSQL." + port + ".lock", proc.TempLock} {
		if err := os.Remove(filepath.Join(a.folder, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	if err := os.Remove(a.folder); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil // somebody may have swept it meanwhile
}

// publish notes the address in the server's folder, for Find and for whoever
// has to clean up after a crash.
func (a Address) publish(dir string) error {
	return os.Symlink(a.folder, filepath.Join(dir, "socket"))
}

// forget removes the address that is noted in the server's folder, and the
// socket folder that it names.
func forget(dir string) error {
	link := filepath.Join(dir, "socket")
	folder, err := os.Readlink(link)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	// The link last: while it is there, the folder is not lost.
	return errors.Join(Address{folder}.remove(), os.Remove(link))
}

// ErrNotRunning says that no master runs a server in the folder.
var ErrNotRunning = errors.New("no server runs")

// Find returns the address of the server that another process runs in the
// folder, or ErrNotRunning. A server that still starts is an error too.
func Find(dir string) (Address, error) {
	locked, err := isLocked(filepath.Join(dir, "lock"))
	if err != nil {
		return Address{}, fmt.Errorf("find Postgres in %s: %w", dir, err)
	}
	if !locked {
		return Address{}, fmt.Errorf("find Postgres in %s: %w", dir, ErrNotRunning)
	}
	folder, err := os.Readlink(filepath.Join(dir, "socket"))
	if state, _ := readPidFile(filepath.Join(dir, "data")); err != nil || !state.ready {
		return Address{}, fmt.Errorf("find Postgres in %s: it is not ready; try again in a moment", dir)
	}
	return Address{folder}, nil
}
