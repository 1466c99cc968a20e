package elffile

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// unknownGo stands for Go code that does not say for which ARM it was compiled.
const unknownGo = "?"

// What Go's linker writes into .go.buildinfo (cmd/link, debug/buildinfo): a magic,
// the size of a pointer, flags, and from byte 32 on two strings with their lengths
// before them: the version of Go, and the settings of the build, a line each.
const (
	goMagic     = "\xff Go buildinf:"
	goStrings   = 32
	goInline    = 2 // a flag: the strings are there, and not pointed to (Go 1.18)
	goARMPrefix = "\nbuild\tGOARM="
)

// goARM returns the GOARM of Go code by its build info, "6", or unknownGo. Settings
// may have more in them than the number: "7,softfloat".
func goARM(b []byte) string {
	if len(b) < goStrings || !bytes.HasPrefix(b, []byte(goMagic)) || b[15]&goInline == 0 {
		return unknownGo
	}
	_, rest, ok := varText(b[goStrings:])
	if !ok {
		return unknownGo
	}
	settings, _, ok := varText(rest)
	if !ok {
		return unknownGo
	}
	_, value, ok := strings.Cut(settings, goARMPrefix)
	if !ok {
		return unknownGo
	}
	value, _, _ = strings.Cut(value, "\n")
	number, _, _ := strings.Cut(value, ",")
	if len(number) != 1 || number[0] < '5' || number[0] > '9' {
		return unknownGo
	}
	return number
}

func varText(b []byte) (text string, rest []byte, ok bool) {
	n, used := binary.Uvarint(b)
	if used <= 0 || n > uint64(len(b)-used) {
		return "", nil, false
	}
	return string(b[used:][:n]), b[used+int(n):], true
}
