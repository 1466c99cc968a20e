package wheel

import (
	"bytes"
	"cmp"
	"strings"
)

// form is what a file is by its first bytes.
type form string

// Forms that are looked into. All others but formPlain are not: a program would
// have to be trusted with what is in them, and few wheels have any.
const (
	formPlain form = "" // what is in it is there to be seen
	formZip   form = "zip"
	formGzip  form = "gzip"
	formBzip2 form = "bzip2"
	formTar   form = "tar"
)

func (f form) opened() bool { return f == formZip || f == formGzip || f == formBzip2 || f == formTar }

// closed says so of a form that is not looked into.
func (f form) closed() string { return "whatever is compressed there with " + string(f) }

// headLen is how many bytes tell a file's form.
const headLen = 512

// formOf knows a file by its first headLen bytes.
func formOf(head []byte) form {
	const atTar = 257 // of a ustar, as all tars of the last thirty years are
	if len(head) > atTar && bytes.HasPrefix(head[atTar:], []byte("ustar")) {
		return formTar
	}
	for _, m := range []struct {
		magic string
		form  form
	}{
		{"PK\x03\x04", formZip}, {"PK\x05\x06", formZip}, {"PK\x07\x08", formZip},
		{"\x1f\x8b", formGzip}, {"BZh", formBzip2},
		{"\xfd7zXZ\x00", "xz"}, {"\x5d\x00\x00", "lzma"}, {"\x28\xb5\x2f\xfd", "zstd"}, {"\x04\x22\x4d\x18", "lz4"},
		{"7z\xbc\xaf\x27\x1c", "7z"}, {"Rar!\x1a\x07", "rar"}, {"\x1f\x9d", "compress"}, {"LZIP", "lzip"},
		{"\x89LZO", "lzop"}, {"MSCF", "cab"}, {"hsqs", "squashfs"}, {"\xed\xab\xee\xdb", "rpm"},
	} {
		if strings.HasPrefix(string(head[:min(len(head), 8)]), m.magic) {
			return m.form
		}
	}
	return formPlain
}

// What is looked for anywhere in a file that is not packed.
const (
	markELF     = "\x7fELF"                    // then class, byte order and version
	markArchive = "!<arch>\n"                  // of object files
	markZip     = "PK\x05\x06\x00\x00\x00\x00" // the end of a zip, behind a program that unpacks it
	markLen     = 8                            // of the longest
)

// scanner finds code in the bytes of a file, which come piece by piece.
type scanner struct {
	found string // what; "" nothing
	tail  []byte // the end of what came, which may be the beginning of a mark
}

func (s *scanner) Write(p []byte) (int, error) {
	s.see(p)
	return len(p), nil
}

func (s *scanner) see(p []byte) {
	if s.found != "" {
		return
	}
	across := append(s.tail, p[:min(len(p), markLen-1)]...)
	s.found = cmp.Or(marked(across), marked(p))
	if len(p) < markLen {
		p = across
	}
	s.tail = append(s.tail[:0], p[max(0, len(p)-markLen+1):]...)
}

func marked(b []byte) string {
	switch {
	case hasELF(b):
		return "an ELF file"
	case bytes.Contains(b, []byte(markArchive)):
		return "an archive of object files"
	case bytes.Contains(b, []byte(markZip)):
		return "a zip behind something else"
	}
	return ""
}

func hasELF(b []byte) bool {
	for {
		i := bytes.Index(b, []byte(markELF))
		if i < 0 || len(b) < i+7 {
			return false
		}
		if b = b[i+4:]; (b[0] == 1 || b[0] == 2) && (b[1] == 1 || b[1] == 2) && b[2] == 1 {
			return true
		}
	}
}
