package farm

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"pinwheel/internal/pep"
)

// Target is where a wheel runs: an ABI tag and a platform tag (PEP 425), written
// "cp311-linux_armv7l".
type Target struct {
	ABI      string // "cp311", "cp27mu", "cp313t"
	Platform string // "linux_armv7l"
}

var (
	abiForm      = regexp.MustCompile(`^cp([23])([0-9]{1,2})(mu|m|u|t|d|td)?$`)
	platformForm = regexp.MustCompile(`^linux_[a-z0-9_]{1,32}$`)
)

// ParseTarget reads the written form; the error names what is wrong with it.
func ParseTarget(s string) (Target, error) {
	abi, platform, ok := strings.Cut(s, "-")
	if !ok {
		return Target{}, fmt.Errorf("target %q: want ABI-PLATFORM, for example cp311-linux_armv7l", s)
	}
	t := Target{ABI: abi, Platform: platform}
	if !abiForm.MatchString(abi) {
		return Target{}, fmt.Errorf("target %q: %q is not a CPython ABI tag such as cp311", s, abi)
	}
	if !platformForm.MatchString(platform) {
		return Target{}, fmt.Errorf("target %q: %q is not a linux platform tag such as linux_armv7l", s, platform)
	}
	return t, nil
}

func (t Target) String() string { return t.ABI + "-" + t.Platform }

// MarshalText writes the written form, so that messages and files hold it.
func (t Target) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads the written form. The empty text is the zero Target: it
// stands in messages that name none.
func (t *Target) UnmarshalText(b []byte) error {
	if len(b) == 0 || string(b) == "-" {
		*t = Target{}
		return nil
	}
	parsed, err := ParseTarget(string(b))
	*t = parsed
	return err
}

// PythonRank orders targets by Python version numerically, so that cp39 comes
// before cp311: of several targets the lowest builds first (design 4). It is 0 for
// what is no ABI tag. No pattern is used: plans ask it of every job of a farm.
func (t Target) PythonRank() int {
	digits, ok := strings.CutPrefix(t.ABI, "cp")
	if !ok || digits == "" || digits[0] < '2' || digits[0] > '3' {
		return 0
	}
	major, minor, rest := int(digits[0]-'0'), 0, digits[1:]
	for len(rest) > 0 && rest[0] >= '0' && rest[0] <= '9' {
		minor, rest = minor*10+int(rest[0]-'0'), rest[1:]
	}
	if len(rest) == len(digits)-1 || minor > 99 {
		return 0
	}
	return major*100 + minor
}

// Python is the target's feature version, "3.11"; specifiers of requires-python
// are held against it when the full version is not known.
func (t Target) Python() string {
	r := t.PythonRank()
	return strconv.Itoa(r/100) + "." + strconv.Itoa(r%100)
}

// Tags are the wheel tags that pip on this target accepts, best first.
func (t Target) Tags() []pep.Tag { return pep.SupportedTags(t.ABI, t.Platform) }

// Facts are what is true of a target's one operating system. Empty means not
// known yet: the first slave's hello fills them in.
type Facts struct {
	Python   string `json:"python"`   // full version, "3.11.2"
	Glibc    string `json:"glibc"`    // "2.36"
	Codename string `json:"codename"` // "bookworm"
}

// Fill returns f with its gaps filled from g; what is known stays.
func (f Facts) Fill(g Facts) Facts {
	if f.Python == "" {
		f.Python = g.Python
	}
	if f.Glibc == "" {
		f.Glibc = g.Glibc
	}
	if f.Codename == "" {
		f.Codename = g.Codename
	}
	return f
}

// BuiltinFacts gives the facts of the targets that need no slave to be known:
// the Pythons of Debian 11, 12 and 13 on linux_armv7l.
func BuiltinFacts(t Target) (Facts, bool) {
	if t.Platform != "linux_armv7l" {
		return Facts{}, false
	}
	switch t.ABI {
	case "cp39":
		return Facts{Python: "3.9.2", Glibc: "2.31", Codename: "bullseye"}, true
	case "cp311":
		return Facts{Python: "3.11.2", Glibc: "2.36", Codename: "bookworm"}, true
	case "cp313":
		return Facts{Python: "3.13.5", Glibc: "2.41", Codename: "trixie"}, true
	}
	return Facts{}, false
}
