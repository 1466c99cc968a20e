package wheel

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"strings"
)

// entry is one file or folder of the zip, as both of its headers say.
type entry struct {
	name   string
	flags  uint16
	method uint16
	crc    uint32
	packed int64  // bytes in the zip
	size   int64  // bytes unpacked
	offset int64  // of the local header
	data   int64  // of the packed bytes; known once the local header was read
	attrs  uint32 // external attributes: a Unix mode in the upper half
	zip64  bool   // the local header has 64-bit sizes
	closed bool   // cannot be unpacked; the finding says why
	astray bool   // has a name that no file may have; the finding says why
}

func (e *entry) isDir() bool { return strings.HasSuffix(e.name, "/") }

// Flags and methods that wheels have (APPNOTE.TXT 4.4.4, 4.4.5).
const (
	flagEncrypted  = 1 << 0
	flagDescriptor = 1 << 3
	flagStrong     = 1 << 6
	flagUTF8       = 1 << 11
	flagMasked     = 1 << 13
	flagsKnown     = 1<<1 | 1<<2 | flagDescriptor | flagUTF8

	stored   = 0
	deflated = 8
)

// readEntries reads the central directory, then every local header. The entries
// come back in the order of their bytes, and their bytes are known to lie side by
// side: nothing is shared, and (but for findings) nothing is between them.
func readEntries(src *source, lim Limits, found *findings) ([]entry, error) {
	dir, err := findDirectory(src)
	if err != nil {
		return nil, err
	}
	entries, err := readDirectory(src, dir, lim)
	if err != nil {
		return nil, err
	}
	for i := range entries {
		checkFlags(&entries[i], found)
	}
	slices.SortStableFunc(entries, func(a, b entry) int { return cmp.Compare(a.offset, b.offset) })
	if err := checkLayout(src, entries, int64(dir.offset), found); err != nil {
		return nil, err
	}
	return entries, lim.checkBombs(entries)
}

// readDirectory reads the central directory, which must be as long as announced
// and hold as many entries.
func readDirectory(src *source, dir directory, lim Limits) ([]entry, error) {
	switch {
	case dir.count == 0:
		return nil, newFlaw(CodeNotZip, "", "the zip is empty")
	case dir.count > uint64(lim.Entries):
		return nil, newFlaw(CodeZipTooMany, "", "%d entries; at most %d are taken", dir.count, lim.Entries)
	case dir.size > uint64(lim.Directory):
		return nil, newFlaw(CodeZipTooMany, "", "a central directory of %d bytes; at most %d are taken", dir.size, lim.Directory)
	case dir.offset > math.MaxInt64/2 || int64(dir.offset)+int64(dir.size) != dir.end:
		return nil, newFlaw(CodeZipDirectory, "", "the central directory is not where the end record says")
	}
	b, err := src.read(int64(dir.offset), int(dir.size))
	if err != nil {
		return nil, err
	}
	entries := make([]entry, 0, min(int(dir.count), len(b)/lenCentral))
	for len(b) > 0 {
		e, n, err := parseCentral(b)
		if err != nil {
			return nil, err
		}
		entries, b = append(entries, e), b[n:]
	}
	if uint64(len(entries)) != dir.count {
		return nil, newFlaw(CodeZipEntryCount, "", "the end record announces %d entries, the directory has %d", dir.count, len(entries))
	}
	return entries, nil
}

// parseCentral reads one header of the central directory and says how long it is.
func parseCentral(b []byte) (entry, int, error) {
	if len(b) < lenCentral || string(b[:4]) != sigCentral {
		return entry{}, 0, newFlaw(CodeZipDirectory, "", "the central directory has bytes that are no header")
	}
	le := binary.LittleEndian
	nameLen, extraLen, commentLen := int(le.Uint16(b[28:])), int(le.Uint16(b[30:])), int(le.Uint16(b[32:]))
	n := lenCentral + nameLen + extraLen + commentLen
	if n > len(b) {
		return entry{}, 0, newFlaw(CodeZipDirectory, "", "a header of the central directory is cut off")
	}
	e := entry{
		name:   string(b[lenCentral:][:nameLen]),
		flags:  le.Uint16(b[8:]),
		method: le.Uint16(b[10:]),
		crc:    le.Uint32(b[16:]),
		packed: int64(le.Uint32(b[20:])),
		size:   int64(le.Uint32(b[24:])),
		offset: int64(le.Uint32(b[42:])),
		attrs:  le.Uint32(b[38:]),
	}
	if le.Uint16(b[34:]) != 0 {
		return e, n, newFlaw(CodeZipMultiDisk, e.name, "the entry is on another part of a zip in several parts")
	}
	x, err := parseExtra(e.name, b[lenCentral+nameLen:][:extraLen])
	if err != nil {
		return e, n, err
	}
	return e, n, x.widen(e.name, &e.size, &e.packed, &e.offset)
}

// checkFlags notes what keeps an entry from being unpacked, here or by pip.
func checkFlags(e *entry, found *findings) {
	if e.flags&(flagEncrypted|flagStrong|flagMasked) != 0 {
		e.closed = true
		found.reject(CodeZipEncrypted, e.name, "the entry is encrypted")
	} else if f := e.flags &^ flagsKnown; f != 0 {
		e.closed = true
		found.reject(CodeZipFlags, e.name, "the entry has unknown flags %#x", f)
	}
	switch {
	case e.method != stored && e.method != deflated:
		e.closed = true
		found.reject(CodeZipMethod, e.name, "compression method %d; wheels are stored or deflated", e.method)
	case e.method == stored && e.size != e.packed:
		e.closed = true
		found.reject(CodeZipSize, e.name, "stored, but %d bytes are declared for %d", e.size, e.packed)
	}
}
