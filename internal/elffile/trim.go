package elffile

import (
	"slices"
	"strings"

	"pinwheel/internal/farm"
)

// What a build's record keeps of ELF files.
const (
	keptFiles = 40
	keptNames = 20
	keptText  = 120 // bytes
)

// Trim cuts what ELF files say to what a build's record keeps: the first files, the first
// names of each, and nothing long.
func Trim(files []farm.ELF) []farm.ELF {
	files = slices.Clone(files[:min(len(files), keptFiles)])
	for i := range files {
		f := &files[i]
		for _, s := range []*string{&f.Path, &f.SOName, &f.RPath, &f.RunPath, &f.Problem} {
			*s = trim(*s, keptText)
		}
		f.Needed = slices.Clone(f.Needed[:min(len(f.Needed), keptNames)])
		for k := range f.Needed {
			f.Needed[k] = trim(f.Needed[k], keptText)
		}
	}
	return files
}

// trim cuts a text to so many bytes. It is copied, since a beginning would keep all of a long
// text in memory.
func trim(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.Clone(strings.ToValidUTF8(s[:most], ""))
}
