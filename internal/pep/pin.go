package pep

import (
	"fmt"
	"strings"
)

// ParsePin reads what people write for a project, "name" or "name==version", the
// narrow part of PEP 508 that commands take. The version is as written, and
// empty when none is given.
func ParsePin(s string) (name, version string, err error) {
	name, version, pinned := strings.Cut(s, "==")
	name, version = strings.TrimSpace(name), strings.TrimSpace(version)
	if !ValidName(name) {
		return "", "", fmt.Errorf("%q is not a package name (letters, digits and . _ - between them)", name)
	}
	if pinned && version == "" {
		return "", "", fmt.Errorf("%q: no version after ==", s)
	}
	return name, version, nil
}
