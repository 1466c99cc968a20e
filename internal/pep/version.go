package pep

import (
	"fmt"
	"slices"
	"strings"
)

// Version is a version of a release (PEP 440). Two versions that are equal by
// Compare may differ in trailing zeros, so == does not apply. The zero Version
// is no version: its String is empty and it comes before all others.
type Version struct {
	epoch   number
	release []number
	phase   string // "a", "b", "rc"; empty for a final release
	pre     number // the phase's number
	post    number
	dev     number
	local   []string // segments in lower case, numbers without leading zeros
}

// ParseVersion reads a version in any spelling that PEP 440 allows, with white
// space around it. The error quotes s.
func ParseVersion(s string) (Version, error) {
	v, ok := scanVersion(trim(s))
	if !ok {
		return Version{}, fmt.Errorf("version %s: not in the form of PEP 440", quote(s))
	}
	return v, nil
}

// String returns the normal form: "v1.0-Alpha1" becomes "1.0a1". Trailing zeros
// of the release stay.
func (v Version) String() string {
	if len(v.local) == 0 {
		return v.Public()
	}
	return v.Public() + "+" + v.Local()
}

// Public returns the normal form without the local part.
func (v Version) Public() string {
	var b strings.Builder
	b.WriteString(v.Base())
	if v.phase != "" {
		b.WriteString(v.phase + string(v.pre))
	}
	if v.post != "" {
		b.WriteString(".post" + string(v.post))
	}
	if v.dev != "" {
		b.WriteString(".dev" + string(v.dev))
	}
	return b.String()
}

// Base returns epoch and release only: "1!2.0" of "1!2.0rc1.post2+x".
func (v Version) Base() string {
	var b strings.Builder
	if v.epoch != "" && v.epoch != zero {
		b.WriteString(string(v.epoch) + "!")
	}
	for i, n := range v.release {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(string(n))
	}
	return b.String()
}

// Local returns the local part in normal form, without its plus sign.
func (v Version) Local() string { return strings.Join(v.local, ".") }

// IsPre says whether this is a pre-release; a development release is one too.
func (v Version) IsPre() bool { return v.phase != "" || v.dev != "" }

// IsPost says whether this is a post-release.
func (v Version) IsPost() bool { return v.post != "" }

// IsDev says whether this is a development release.
func (v Version) IsDev() bool { return v.dev != "" }

// Equal says whether v and w are the same version: "1.0" and "1" are.
func (v Version) Equal(w Version) bool { return v.Compare(w) == 0 }

// Compare orders versions as PEP 440 does; it returns -1, 0 or 1.
func (v Version) Compare(w Version) int {
	if c := v.compareBase(w); c != 0 {
		return c
	}
	if c := v.compareStage(w); c != 0 {
		return c
	}
	if c := v.post.compare(w.post); c != 0 {
		return c
	}
	if c := compareDev(v.dev, w.dev); c != 0 {
		return c
	}
	return slices.CompareFunc(v.local, w.local, compareSegment)
}

func (v Version) compareBase(w Version) int {
	if c := v.epoch.compare(w.epoch); c != 0 {
		return c
	}
	for i := range max(len(v.release), len(w.release)) {
		if c := v.releaseAt(i).compare(w.releaseAt(i)); c != 0 {
			return c
		}
	}
	return 0
}

// releaseAt pads the release with zeros: 1.0 is 1.0.0 is 1.
func (v Version) releaseAt(i int) number {
	if i < len(v.release) {
		return v.release[i]
	}
	return zero
}

// compareStage compares phases: dev only, a, b, rc, final.
func (v Version) compareStage(w Version) int {
	if c := strings.Compare(v.stage(), w.stage()); c != 0 {
		return c
	}
	return v.pre.compare(w.pre)
}

// stage makes the phase sortable. 1.0.dev1 comes before 1.0a1, but 1.0.post1.dev1
// belongs to the final release.
func (v Version) stage() string {
	switch {
	case v.phase != "":
		return v.phase
	case v.dev != "" && v.post == "":
		return ""
	}
	return "z"
}

// compareDev puts no dev part last, where number would put it first.
func compareDev(v, w number) int {
	if (v == "") != (w == "") {
		return -v.compare(w)
	}
	return v.compare(w)
}

// compareSegment compares parts of local versions: words before numbers.
func compareSegment(v, w string) int {
	vNum, wNum := isDigits(v), isDigits(w)
	switch {
	case vNum && wNum:
		return number(v).compare(number(w))
	case vNum:
		return 1
	case wNum:
		return -1
	}
	return strings.Compare(v, w)
}
