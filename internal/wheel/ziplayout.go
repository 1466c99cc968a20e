package wheel

import (
	"bytes"
	"encoding/binary"
	"math"
)

// checkLayout reads the local header of every entry, in the order of the bytes,
// and holds it against the central directory, which ends the entries. Readers
// that stream see only local headers; readers that seek see only the directory;
// both must find the same files.
func checkLayout(src *source, entries []entry, end int64, found *findings) error {
	var at int64
	for i := range entries {
		e, next := &entries[i], end
		if i+1 < len(entries) {
			next = entries[i+1].offset
		}
		if e.offset > at {
			found.reject(CodeZipGap, e.name, "%d bytes before the entry belong to none", e.offset-at)
		}
		if err := readLocal(src, e, found); err != nil {
			return err
		}
		if at = e.data + e.packed; at > next {
			return newFlaw(CodeZipOverlap, e.name, "the entry reaches into what follows it")
		}
		if e.flags&flagDescriptor == 0 {
			continue
		}
		n, err := checkDescriptor(src, e, at, next)
		if err != nil {
			return err
		}
		at += n
	}
	if at != end {
		found.reject(CodeZipGap, "", "%d bytes before the central directory belong to no entry", end-at)
	}
	return nil
}

// readLocal compares the local header with what the directory says of e, and
// learns where the data start.
func readLocal(src *source, e *entry, found *findings) error {
	h, err := src.peek(e.offset, lenLocal)
	if err != nil {
		return err
	}
	if string(h[:4]) != sigLocal {
		return newFlaw(CodeZipLocalHeader, e.name, "no local header at %d", e.offset)
	}
	le := binary.LittleEndian
	nameLen, extraLen := int(le.Uint16(h[26:])), int(le.Uint16(h[28:]))
	e.data = e.offset + lenLocal + int64(nameLen) + int64(extraLen)
	if h, err = src.peek(e.offset, int(e.data-e.offset)); err != nil {
		return err
	}
	name := h[lenLocal:][:nameLen]
	x, err := parseExtra(e.name, h[lenLocal+nameLen:])
	if err != nil {
		return err
	}
	e.zip64 = x.zip64
	switch {
	case string(name) != e.name:
		found.reject(CodeZipLocalHeader, e.name, "the local header calls it %s", printable(string(name), 100))
	case le.Uint16(h[6:]) != e.flags || le.Uint16(h[8:]) != e.method:
		found.reject(CodeZipLocalHeader, e.name, "flags or method differ between local header and directory")
	}
	return checkLocalSizes(e, h, x, found)
}

// checkLocalSizes compares CRC and sizes. Where a data descriptor follows they
// may be zero, since a writer that streams does not know them yet.
func checkLocalSizes(e *entry, h []byte, x extra, found *findings) error {
	le := binary.LittleEndian
	crc, packed, size := le.Uint32(h[14:]), int64(le.Uint32(h[18:])), int64(le.Uint32(h[22:]))
	if e.flags&flagDescriptor != 0 && (len(x.values) == 0 || x.values[0] == 0) {
		// Zero in the zip64 field beside true sizes would be a contradiction; here all are unknown.
		if unknown(packed) && unknown(size) && crc == 0 {
			return nil
		}
	}
	if err := x.widen(e.name, &size, &packed); err != nil {
		return err
	}
	if crc != e.crc || packed != e.packed || size != e.size {
		found.reject(CodeZipLocalHeader, e.name, "CRC or sizes differ between local header and directory")
	}
	return nil
}

func unknown(n int64) bool { return n == 0 || n == math.MaxUint32 }

// checkDescriptor finds the data descriptor between the data's end and the next
// header. It comes with or without signature, with 32 or 64 bits; its length
// follows from the room there is.
func checkDescriptor(src *source, e *entry, at, next int64) (int64, error) {
	var want []byte
	want = binary.LittleEndian.AppendUint32(want, e.crc)
	switch room := next - at; room {
	case 12, 16:
		want = binary.LittleEndian.AppendUint32(want, uint32(e.packed))
		want = binary.LittleEndian.AppendUint32(want, uint32(e.size))
	case 20, 24:
		want = binary.LittleEndian.AppendUint64(want, uint64(e.packed))
		want = binary.LittleEndian.AppendUint64(want, uint64(e.size))
	default:
		return 0, newFlaw(CodeZipDescriptor, e.name, "%d bytes in the place of a data descriptor", room)
	}
	if next-at > int64(len(want)) {
		want = append([]byte(sigDescriptor), want...)
	}
	got, err := src.peek(at, len(want))
	if err != nil {
		return 0, err
	}
	if !bytes.Equal(got, want) {
		return 0, newFlaw(CodeZipDescriptor, e.name, "the data descriptor disagrees with the directory")
	}
	return int64(len(want)), nil
}
