package wheel

import (
	"encoding/binary"
	"math"
)

// Identifiers of extra fields (APPNOTE.TXT 4.5.2, 4.6.9).
const (
	extraZip64       = 0x0001
	extraUnicodePath = 0x7075
)

// extra is what matters of a header's extra fields.
type extra struct {
	values []uint64 // of the zip64 field: sizes, then the offset, as many as there are
	zip64  bool
}

// parseExtra reads extra fields. A second name for the entry is refused even if
// it is the same one: only some readers look at it.
func parseExtra(name string, b []byte) (extra, error) {
	var x extra
	for len(b) > 0 {
		if len(b) < 4 {
			return x, newFlaw(CodeZipExtra, name, "the extra fields end in %d stray bytes", len(b))
		}
		id, n := binary.LittleEndian.Uint16(b), int(binary.LittleEndian.Uint16(b[2:]))
		if b = b[4:]; n > len(b) {
			return x, newFlaw(CodeZipExtra, name, "extra field %#04x is cut off", id)
		}
		field := b[:n]
		b = b[n:]
		switch {
		case id == extraUnicodePath:
			return x, newFlaw(CodeZipUnicodePath, name, "an extra field gives the entry a second name")
		case id != extraZip64:
			continue
		case x.zip64:
			return x, newFlaw(CodeZip64, name, "two zip64 fields")
		}
		x.zip64 = true
		if err := x.parse64(name, field); err != nil {
			return x, err
		}
	}
	return x, nil
}

// parse64 reads the zip64 field: up to three numbers of 64 bits, then perhaps one
// of 32 bits, the part of a zip in several parts.
func (x *extra) parse64(name string, b []byte) error {
	if len(b) > 28 || len(b)%8 != 0 && len(b) != 28 {
		return newFlaw(CodeZip64, name, "a zip64 field of %d bytes", len(b))
	}
	for ; len(b) >= 8; b = b[8:] {
		x.values = append(x.values, binary.LittleEndian.Uint64(b))
	}
	if len(b) == 4 && binary.LittleEndian.Uint32(b) != 0 {
		return newFlaw(CodeZipMultiDisk, name, "the entry is on another part of a zip in several parts")
	}
	return nil
}

// widen replaces those of the fields (unpacked size, packed size, offset: in this
// order) that are all ones. By the standard the zip64 field has just these. Some
// writers give all from the first on: taken if they agree, and if a reader by the
// standard finds the same numbers.
func (x extra) widen(name string, fields ...*int64) error {
	deferred := make([]*int64, 0, len(fields))
	prefix := true // the deferred fields are the first ones
	for i, f := range fields {
		if *f == math.MaxUint32 {
			deferred = append(deferred, f)
			prefix = prefix && len(deferred) == i+1
		}
	}
	if n := len(x.values); n != len(deferred) {
		if n < len(deferred) && x.zip64 || n > len(fields) || !prefix {
			return newFlaw(CodeZip64, name, "the zip64 field has %d numbers, the header wants %d", n, len(deferred))
		}
		// Without a zip64 field, all ones is a plain number, and too large.
		deferred = fields[:n]
	}
	for i, f := range deferred {
		v := x.values[i]
		if v > math.MaxInt64/4 || *f != math.MaxUint32 && uint64(*f) != v {
			return newFlaw(CodeZip64, name, "the zip64 field contradicts its header")
		}
		*f = int64(v)
	}
	return nil
}
