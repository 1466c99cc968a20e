package proc

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// buildID is the bare uid and gid of foreign code. It has no passwd entry on
// purpose: nothing on the machine belongs to it, and no user has to be added.
const buildID = 60999

// User is whom a child runs as. The zero User means: as we are.
type User struct {
	UID, GID uint32
	Name     string // the passwd entry's name, "" for a bare uid
	Home     string // the passwd entry's home, "" for a bare uid
}

// BuildUser returns the user for packages' code: a bare uid when we are root,
// else the zero User, since only root can become somebody else.
func BuildUser() User {
	if os.Geteuid() != 0 {
		return User{}
	}
	return User{UID: buildID, GID: buildID}
}

// PostgresUser returns the user for a Postgres server, which refuses root and
// wants a passwd entry: postgres if there is such a user, else nobody. When we
// are not root it is the zero User.
func PostgresUser() (User, error) {
	if os.Geteuid() != 0 {
		return User{}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := lookup(name)
		if err == nil {
			return u, nil
		}
		var unknown user.UnknownUserError
		if !errors.As(err, &unknown) {
			return User{}, err
		}
	}
	return User{}, errors.New("find a user for Postgres, which refuses root: neither postgres nor nobody exists; start as an ordinary user")
}

func lookup(name string) (User, error) {
	found, err := user.Lookup(name)
	if err != nil {
		return User{}, fmt.Errorf("look up user %s: %w", name, err)
	}
	uid, err := strconv.ParseUint(found.Uid, 10, 32)
	if err != nil {
		return User{}, fmt.Errorf("look up user %s: uid %q is not a number", name, found.Uid)
	}
	gid, err := strconv.ParseUint(found.Gid, 10, 32)
	if err != nil {
		return User{}, fmt.Errorf("look up user %s: gid %q is not a number", name, found.Gid)
	}
	return User{UID: uint32(uid), GID: uint32(gid), Name: name, Home: found.HomeDir}, nil
}

// IsZero says whether u means: as we are.
func (u User) IsZero() bool { return u == User{} }

// String names u for messages.
func (u User) String() string {
	switch {
	case u.IsZero():
		return "uid " + strconv.Itoa(os.Geteuid())
	case u.Name == "":
		return "uid " + strconv.FormatUint(uint64(u.UID), 10)
	}
	return u.Name
}

// Apply makes cmd run as u, with no supplementary groups. What cmd.SysProcAttr
// already says is kept. The zero User changes nothing.
func (u User) Apply(cmd *exec.Cmd) {
	if u.IsZero() {
		return
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: u.UID, Gid: u.GID}
}

// Chown gives path to u, and does nothing for the zero User. A symbolic link
// is not followed: its target may be somebody else's.
func (u User) Chown(path string) error {
	if u.IsZero() {
		return nil
	}
	return os.Lchown(path, int(u.UID), int(u.GID))
}
