package wheel

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// checkEntry notes what is wrong with an entry's name and mode. An installer
// joins the name to site-packages and believes the mode, so both must be plain.
func checkEntry(e *entry, lim Limits, found *findings) {
	if code, what := nameFlaw(e, lim); code != "" {
		e.astray = true
		found.reject(code, e.name, "%s", what)
	}
	if code, what := modeFlaw(e); code != "" {
		found.reject(code, e.name, "%s", what)
	}
	if e.isDir() && (e.size != 0 || e.crc != 0 || e.packed > 2) { // deflate needs 2 bytes for nothing
		found.reject(CodeFolderContent, e.name, "a folder with content")
	}
}

// nameFlaw returns the first thing that is wrong with a name, worst first.
func nameFlaw(e *entry, lim Limits) (code, what string) {
	ascii := isASCII(e.name)
	switch {
	case !utf8.ValidString(e.name):
		return CodeNameEncoding, "the name is not valid UTF-8"
	case !ascii && e.flags&flagUTF8 == 0:
		// By the standard that is code page 437, and not the name in RECORD.
		return CodeNameEncoding, "the name is not ASCII, and not marked as UTF-8"
	case len(e.name) > lim.Name:
		return CodeNameLength, "the name is too long"
	}
	if code, what = pathFlaw(strings.TrimSuffix(e.name, "/"), lim); code != "" {
		return code, what
	}
	if strings.ContainsFunc(e.name, hidden) {
		return CodeNameCharacter, "the name has control or invisible characters"
	}
	if !ascii {
		// File systems that normalise could make a path of look-alikes, such as full-width dots.
		return pathFlaw(strings.TrimSuffix(norm.NFKC.String(e.name), "/"), lim)
	}
	return "", ""
}

// pathFlaw says why a path would lead out of the folder that it is joined to, on
// Linux or anywhere else.
func pathFlaw(path string, lim Limits) (code, what string) {
	if strings.Contains(path, `\`) {
		return CodeBackslash, "a backslash in the name: a separator for some, not for others"
	}
	if strings.HasPrefix(path, "/") {
		return CodeAbsolute, "an absolute path"
	}
	parts := strings.Split(path, "/")
	if len(parts) > lim.Depth {
		return CodeNameDepth, "too many folders inside one another"
	}
	for i, part := range parts {
		switch {
		case strings.Trim(part, ". ") == "":
			return CodeTraversal, "a component of the path is empty or only dots"
		case len(part) >= 2 && part[1] == ':' && isLetter(part[0]) && (i == 0 || len(part) == 2):
			return CodeAbsolute, "a drive letter in the path"
		case len(part) > 255:
			return CodeNameLength, "a component of the path is longer than 255 bytes"
		}
	}
	return "", ""
}

// hidden says whether a character is one that a reader of a log would not see as
// it is: control characters, bidirectional marks, zero widths, line separators.
func hidden(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co)
}

// File types and special bits of a Unix mode.
const (
	modeType    = 0o170000
	modeRegular = 0o100000
	modeFolder  = 0o040000
	modeLink    = 0o120000
	modeSpecial = 0o7000
	dosFolder   = 0x10
)

// modeFlaw checks the Unix mode, whatever system the entry claims to come from:
// pip does not look at that either. No mode at all is fine.
func modeFlaw(e *entry) (code, what string) {
	mode := e.attrs >> 16
	kind := mode & modeType
	switch {
	case kind == modeLink:
		return CodeSymlink, "a symbolic link"
	case kind != 0 && kind != modeRegular && kind != modeFolder:
		return CodeSpecialFile, "neither a file nor a folder"
	case mode&modeSpecial != 0:
		return CodeSetuid, "set-uid, set-gid or sticky"
	case kind == modeFolder && !e.isDir(), e.attrs&dosFolder != 0 && !e.isDir():
		return CodeMode, "its mode says folder, its name says file"
	case kind == modeRegular && e.isDir():
		return CodeMode, "its mode says file, its name says folder"
	}
	return "", ""
}

// checkNames notes entries that would meet in one place of a file system, also
// of one that knows no case, or stores names in another Unicode form. Names that
// are refused anyway are left out: only of the others is the length bounded.
func checkNames(entries []entry, found *findings) {
	keys := make([]string, len(entries))
	at := make(map[string]string, len(entries)) // the name of what is there, by folded place
	for i := range entries {
		name := entries[i].name
		if entries[i].astray {
			continue
		}
		keys[i] = fold(place(name))
		switch other, ok := at[keys[i]]; {
		case !ok:
			at[keys[i]] = name
		case place(other) == place(name):
			found.reject(CodeDuplicate, name, "two entries for one place")
		default:
			found.reject(CodeDuplicateCase, name, "differs from %s only by case or Unicode form", printable(other, 100))
		}
	}
	for i, key := range keys {
		if file := fileAbove(key, at); file != "" {
			found.reject(CodeFileAsFolder, entries[i].name, "%s is a file, not a folder", printable(file, 100))
		}
	}
}

// fileAbove returns the file that stands where key needs a folder.
func fileAbove(key string, at map[string]string) string {
	for cut := strings.LastIndexByte(key, '/'); cut > 0; cut = strings.LastIndexByte(key[:cut], '/') {
		if file, ok := at[key[:cut]]; ok {
			return file
		}
	}
	return ""
}

// place is where an entry goes below site-packages: purelib and platlib of .data
// are the same folder as the root of the wheel.
func place(name string) string {
	top, rest, ok := strings.Cut(name, "/")
	if !ok || !strings.HasSuffix(top, ".data") {
		return name
	}
	for _, scheme := range []string{"purelib/", "platlib/"} {
		if below, ok := strings.CutPrefix(rest, scheme); ok {
			return below
		}
	}
	return name
}

func fold(name string) string {
	if isASCII(name) {
		return strings.ToLower(name)
	}
	// Upper before lower case: it joins letters whose lower cases differ (ς and σ).
	return norm.NFC.String(strings.ToLower(strings.ToUpper(norm.NFC.String(name))))
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
