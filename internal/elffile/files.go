package elffile

import "pinwheel/internal/farm"

// How many ELF files and members of archives are kept of one wheel, and how many bytes of
// what they say.
const (
	MaxFiles = 2000
	maxTexts = 4 << 20
)

// Files are the ELF files of a wheel, in its order, as far as they are kept. A wheel of some
// kilobytes has room for any number of them, and for names that are a thousand times as
// long as it is.
type Files struct {
	All  []farm.ELF
	More int  // that are not in All
	Full bool // there is no room for what more files say, however few they are

	texts int // bytes of the texts in All
}

// Add keeps one, or counts it.
func (x *Files) Add(f farm.ELF) {
	size := len(f.Path) + len(f.SOName) + len(f.RPath) + len(f.RunPath)
	for _, name := range f.Needed {
		size += len(name)
	}
	x.Full = x.Full || x.texts+size > maxTexts
	if len(x.All) == MaxFiles || x.Full {
		x.More++
		return
	}
	x.All, x.texts = append(x.All, f), x.texts+size
}
