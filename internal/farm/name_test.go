package farm

import (
	"strings"
	"testing"
)

func TestSlaveNames(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"a", "7", "pi-4", "rack1-slot-12", "a-", strings.Repeat("x", 63)} {
		if err := CheckSlaveName(s); err != nil {
			t.Error(err)
		}
	}
	// The name becomes a part of NATS subjects and of file names.
	for _, s := range []string{
		"", "-", "-a", "A", "a.b", "a*", ">", "*", "a b", "a/b", "../a", "a\n", "a\x00", "ä", "_INBOX", strings.Repeat("x", 64),
	} {
		if err := CheckSlaveName(s); err == nil {
			t.Errorf("%q is taken", s)
		} else if strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: the error has several lines", s)
		}
	}
}

func TestRoles(t *testing.T) {
	t.Parallel()
	for _, r := range []Role{RoleSlave, RoleMonitor, RoleOperator} {
		if got, err := ParseRole(string(r)); err != nil || got != r {
			t.Errorf("%s: %q, %v", r, got, err)
		}
	}
	for _, s := range []string{"", "master", "Slave", "slave "} {
		if got, err := ParseRole(s); err == nil {
			t.Errorf("%q is %q", s, got)
		}
	}
}
