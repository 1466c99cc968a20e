package pypi

import (
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"pinwheel/internal/pep"
)

var (
	// plainName is what a distribution's file name may consist of; anything else is a trick or an accident.
	plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+!-]{0,254}$`)

	sha256Hex = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// sdistFormats are the archives that pip unpacks, the longer endings first.
func sdistFormats() []string {
	return []string{".tar.gz", ".tar.bz2", ".tar.xz", ".tar.lzma", ".tar.lz", ".zip", ".tgz", ".tbz", ".txz", ".tlz", ".tar"}
}

// foreignFormat says whether a name is of a kind that indexes hold but pip never takes; not worth counting.
func foreignFormat(filename string) bool {
	return slices.Contains([]string{".egg", ".exe", ".msi", ".rpm", ".deb", ".dmg", ".asc"}, strings.ToLower(path.Ext(filename)))
}

// classify tells to which version a file belongs; false if it is no file of this project that pip could take.
func classify(normal string, f *File) (entry, bool) {
	if strings.HasSuffix(f.Filename, ".whl") {
		w, err := pep.ParseWheelName(f.Filename)
		if err != nil || w.Name() != normal {
			return entry{}, false
		}
		return entry{version: w.Version, raw: w.RawVersion, file: f, wheel: true}, true
	}
	raw, ok := sdistVersion(normal, f.Filename)
	if !ok {
		return entry{}, false
	}
	v, err := pep.ParseVersion(raw)
	return entry{version: v, raw: raw, file: f}, err == nil
}

// sdistVersion cuts the version out of an sdist's name as pip does, which knows the project: everything after
// the first dash before which the project's name stands. (Old sdists have dashes in names and in versions.)
func sdistVersion(normal, filename string) (string, bool) {
	for _, format := range sdistFormats() {
		stem, ok := strings.CutSuffix(filename, format)
		if !ok {
			continue
		}
		for i := range len(stem) {
			if stem[i] == '-' && pep.NormalizeName(stem[:i]) == normal {
				return stem[i+1:], i+1 < len(stem)
			}
		}
		return "", false
	}
	return "", false
}

// newFile makes a file of the two facts on which everything else hangs. The address must end in the file name,
// since pip goes by the address and everybody else by the name.
func newFile(base *url.URL, ref, filename string) (File, bool) {
	u, err := base.Parse(strings.TrimSpace(ref))
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" {
		return File{}, false
	}
	last := u.Path[strings.LastIndexByte(u.Path, '/')+1:]
	if filename == "" {
		filename = last
	}
	if filename != last || !plainName.MatchString(filename) {
		return File{}, false
	}
	u = withoutUser(u)
	u.Fragment, u.RawFragment = "", ""
	return File{Filename: filename, URL: u.String()}, true
}

// maxName is far more than any project's name has, and what a file name can hold.
const maxName = 200

// possible says whether a project can have this name (PEP 508).
func possible(name string) bool { return len(name) <= maxName && pep.ValidName(name) }

// clean makes free text of strangers fit for a database and a log line: valid UTF-8, no control characters,
// not longer than anybody writes in earnest.
func clean(s string) string {
	const limit = 1000
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, s)
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "")
	}
	return strings.TrimSpace(s)
}
