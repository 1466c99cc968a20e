package farm

import (
	"errors"
	"fmt"
	"regexp"
)

// Sentinel errors. Adapters translate foreign errors into these; programs turn
// them into words and exit codes.
var (
	ErrNotFound = errors.New("not found")
	ErrConflict = errors.New("conflict")
	ErrSchema   = errors.New("database schema is of another version")
	ErrStale    = errors.New("the lease is not current")
	ErrNoAnswer = errors.New("the database gave no answer in time; ask again")
)

var slaveName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// CheckSlaveName says whether a slave may be called so: the name becomes a part
// of NATS subjects and of file names.
func CheckSlaveName(s string) error {
	if !slaveName.MatchString(s) {
		return fmt.Errorf("slave name %q: want up to 63 of a-z, 0-9 and -, not starting with -", s)
	}
	return nil
}

// Role says what a credentials file allows.
type Role string

// The roles that can be enrolled.
const (
	RoleSlave    Role = "slave"
	RoleMonitor  Role = "monitor"
	RoleOperator Role = "operator"
)

// ParseRole reads a role's name.
func ParseRole(s string) (Role, error) {
	switch r := Role(s); r {
	case RoleSlave, RoleMonitor, RoleOperator:
		return r, nil
	}
	return "", fmt.Errorf("role %q: want slave, monitor or operator", s)
}
