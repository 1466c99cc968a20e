package wheeltest

import (
	"encoding/binary"
	"strings"
)

// Machines, by the numbers that ELF has for them.
const (
	ARM  = 40
	I386 = 3
)

// Library says what a 32-bit shared library has of what its readers look at.
type Library struct {
	Machine  uint16
	Needed   []string
	Versions []string // of symbols of libc.so.6, "GLIBC_2.4"; "~GLIBC_2.4" is a weak one
	Names    int      // so many more such versions, each of a name that begins one byte later in Long
	Sections int      // section headers, whose names are those
	Long     string   // names, with NULs between them
	Lying    bool     // numbers that the loader does not look at say that there is nothing
}

// Make makes the library. Its parts, in order: the header, two program headers, names, the
// versions needed, the dynamic section, section headers.
func (l Library) Make() []byte {
	le := binary.LittleEndian
	names := []byte{0}
	put := func(s string) uint32 {
		at := uint32(len(names))
		names = append(append(names, s...), 0)
		return at
	}
	var dynamic []byte
	entry := func(tag, value uint32) { dynamic = le.AppendUint32(le.AppendUint32(dynamic, tag), value) }
	for _, n := range l.Needed {
		entry(1, put(n))
	}
	libc := put("libc.so.6")
	var versions []uint32
	for _, v := range l.Versions {
		versions = append(versions, put(strings.TrimPrefix(v, "~")))
	}
	long := put(l.Long)
	for i := range l.Names {
		versions = append(versions, l.piece(long, i))
	}
	const at = 52 + 2*32
	needsAt := uint32(at + len(names))
	needs := l.needs(libc, versions)
	dynamicAt := needsAt + uint32(len(needs))
	entry(5, at)
	if len(versions) > 0 {
		entry(0x6ffffffe, needsAt)
		entry(0x6fffffff, l.libraries())
	}
	entry(0, 0)
	sectionsAt, length := dynamicAt+uint32(len(dynamic)), uint32(len(dynamic))
	var sections []byte
	for i := range l.Sections {
		sections = append(sections, words32(l.piece(long, i), 1, 0, 0, at, uint32(len(names)), 0, 0, 0, 0)...)
	}
	out := []byte("\x7fELF\x01\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	out = append(out, words16(3, l.Machine)...)
	out = append(out, words32(1, 0, 52, l.sectionTable(sectionsAt), 0x5000400)...)
	out = append(out, words16(52, 32, 2, 40, uint16(min(l.Sections, 0xff00)), 0)...)
	out = append(out, words32(1, 0, 0, 0, sectionsAt, sectionsAt, 5, 4096)...)
	shown := dynamicAt // where a reader by the file, and not by addresses, finds it
	if l.Lying {
		shown, length = dynamicAt+length-8, 8
	}
	out = append(out, words32(2, shown, dynamicAt, dynamicAt, length, length, 4, 4)...)
	out = append(append(append(out, names...), needs...), dynamic...)
	return append(out, sections...)
}

// needs makes the table of versions (.gnu.version_r), of names at these places.
func (l Library) needs(library uint32, names []uint32) []byte {
	count := uint16(len(names))
	if l.Lying {
		count = 0
	}
	table := append(words16(1, count), words32(library, 16, 0)...)
	for i, name := range names {
		next, flags := uint32(16), uint16(0)
		if i == len(names)-1 {
			next = 0
		}
		if i < len(l.Versions) && strings.HasPrefix(l.Versions[i], "~") {
			flags = 2
		}
		table = append(append(append(table, words32(0)...), words16(flags, 2)...), words32(name, next)...)
	}
	return table
}

func (l Library) libraries() uint32 {
	if l.Lying {
		return 0
	}
	return 1
}

// piece is where the name number i begins, of all ends of the long ones.
func (l Library) piece(long uint32, i int) uint32 {
	if len(l.Long) == 0 {
		return long
	}
	return long + uint32(i%len(l.Long))
}

func (l Library) sectionTable(at uint32) uint32 {
	if l.Sections == 0 {
		return 0
	}
	return at
}

func words32(list ...uint32) (b []byte) {
	for _, n := range list {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	return b
}

func words16(list ...uint16) (b []byte) {
	for _, n := range list {
		b = binary.LittleEndian.AppendUint16(b, n)
	}
	return b
}
