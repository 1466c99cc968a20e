package pep

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxTags bounds how many tags one compressed set may stand for: a name of 255
// bytes could mean 70,000. Real ones have a dozen or two.
const maxTags = 1000

// Tag says where a wheel runs (PEP 425): interpreter, its binary interface and
// the platform, in lower case: cp311, cp311, linux_armv7l.
type Tag struct{ Python, ABI, Platform string }

// String returns the tag as it stands in file names: cp311-cp311-linux_armv7l.
func (t Tag) String() string { return t.Python + "-" + t.ABI + "-" + t.Platform }

// ParseTags reads a tag or a compressed set of tags, "py2.py3-none-any", and
// returns every tag it stands for once, in the order of s. Parts consist of
// ASCII letters, digits and underscores; the set has at most 1,000 tags.
func ParseTags(s string) ([]Tag, error) {
	parts := strings.Split(s, "-")
	if len(parts) != 3 {
		return nil, fmt.Errorf("tags %s: want three parts, python-abi-platform", quote(s))
	}
	var sets [3][]string
	for i, part := range parts {
		set, ok := expandTagPart(part)
		if !ok {
			return nil, fmt.Errorf("tags %s: %s is not a set of tags", quote(s), quote(part))
		}
		sets[i] = set
	}
	if n := len(sets[0]) * len(sets[1]) * len(sets[2]); n > maxTags {
		return nil, fmt.Errorf("tags %s: they stand for more than %d tags", quote(s), maxTags)
	}
	return multiplyTags(sets), nil
}

// expandTagPart splits the alternatives of one part and drops repeated ones. It
// refuses more than maxTags of them, which also keeps the search for repeated
// ones cheap.
func expandTagPart(part string) (set []string, ok bool) {
	for word := range strings.SplitSeq(part, ".") {
		if word == "" || !only(word, "_") || len(set) > maxTags {
			return nil, false
		}
		if word = strings.ToLower(word); !slices.Contains(set, word) {
			set = append(set, word)
		}
	}
	return set, true
}

func multiplyTags(sets [3][]string) []Tag {
	tags := make([]Tag, 0, len(sets[0])*len(sets[1])*len(sets[2]))
	for _, python := range sets[0] {
		for _, abi := range sets[1] {
			for _, platform := range sets[2] {
				tags = append(tags, Tag{python, abi, platform})
			}
		}
	}
	return tags
}

// SupportedTags returns the tags that pip accepts on a CPython with this ABI
// tag ("cp311", "cp27mu", "cp313t") on a plain platform ("linux_armv7l"), best
// first. There are no manylinux tags among them. It returns nil for an ABI tag
// that is not CPython's.
func SupportedTags(abi, platform string) []Tag {
	major, minor, flags, ok := splitABI(abi)
	if !ok {
		return nil
	}
	cp := "cp" + strconv.Itoa(major) + strconv.Itoa(minor)
	stable := major == 3 && !strings.Contains(flags, "t") // free-threaded ones have no abi3

	tags := []Tag{{cp, abi, platform}}
	if stable && minor >= 2 {
		tags = append(tags, Tag{cp, "abi3", platform})
	}
	tags = append(tags, Tag{cp, "none", platform})
	for m := minor - 1; stable && m >= 2; m-- {
		tags = append(tags, Tag{"cp3" + strconv.Itoa(m), "abi3", platform})
	}
	generic := genericPythons(major, minor)
	for _, py := range generic {
		tags = append(tags, Tag{py, "none", platform})
	}
	tags = append(tags, Tag{cp, "none", "any"})
	for _, py := range generic {
		tags = append(tags, Tag{py, "none", "any"})
	}
	return tags
}

// splitABI takes CPython's ABI tag apart: one digit of major version, then the
// minor version, then letters.
func splitABI(abi string) (major, minor int, flags string, ok bool) {
	p := scanner{abi}
	if p.word("cp") == "" {
		return 0, 0, "", false
	}
	digits := p.while(isDigit)
	if len(digits) < 2 || len(digits) > 3 || !only(p.rest, "") {
		return 0, 0, "", false
	}
	minor, _ = strconv.Atoi(digits[1:]) // one or two digits: cannot fail
	return int(digits[0] - '0'), minor, p.rest, true
}

// genericPythons lists py311, py3, py310 … py30: the exact version first, then
// the major one, then the older ones.
func genericPythons(major, minor int) []string {
	py := "py" + strconv.Itoa(major)
	all := []string{py + strconv.Itoa(minor), py}
	for m := minor - 1; m >= 0; m-- {
		all = append(all, py+strconv.Itoa(m))
	}
	return all
}
