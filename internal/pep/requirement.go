package pep

import (
	"fmt"
	"strings"
)

// Requirement is a project and the versions of it that will do (PEP 508, without
// extras and markers: they choose what else is wanted, or when).
type Requirement struct {
	Name     string // normalized (PEP 503)
	Versions Specifiers
}

// ParseRequirement reads "numpy", "numpy==1.19.5", "Cython (>=0.29,<3)" or
// "setuptools-scm[toml]>=3.4; python_version > '3'". A direct reference ("x @ URL")
// is none: no index has it.
func ParseRequirement(s string) (Requirement, error) {
	text, _, _ := strings.Cut(s, ";")
	text = trim(text)
	end := strings.IndexFunc(text, func(r rune) bool { return r > 0x7f || !isAlnum(byte(r)) && !strings.ContainsRune("-_.", r) })
	if end < 0 {
		end = len(text)
	}
	name, rest := text[:end], trim(text[end:])
	if !ValidName(name) {
		return Requirement{}, fmt.Errorf("requirement %s: no name of a project at its beginning", quote(s))
	}
	if extras, ok := strings.CutPrefix(rest, "["); ok {
		_, after, closed := strings.Cut(extras, "]")
		if !closed {
			return Requirement{}, fmt.Errorf("requirement %s: its extras do not end", quote(s))
		}
		rest = trim(after)
	}
	if inner, ok := strings.CutPrefix(rest, "("); ok {
		inner, ok = strings.CutSuffix(inner, ")")
		if !ok {
			return Requirement{}, fmt.Errorf("requirement %s: its parenthesis does not end", quote(s))
		}
		rest = inner
	}
	versions, err := ParseSpecifiers(rest)
	if err != nil {
		return Requirement{}, fmt.Errorf("requirement %s: %w", quote(s), err)
	}
	return Requirement{NormalizeName(name), versions}, nil
}

// String is the requirement in one spelling: "numpy==1.19.5".
func (r Requirement) String() string { return r.Name + r.Versions.String() }

// Takes says whether a version, as anybody writes it, will do. Pre-releases will,
// as they do for pip where there is nothing else; legacy versions never.
func (r Requirement) Takes(version string) bool {
	v, err := ParseVersion(version)
	return err == nil && r.Versions.ContainsDefault(v)
}
