package wheel

import (
	"bytes"
	"encoding/binary"
	"math"
)

// Signatures and fixed lengths of the records (APPNOTE.TXT 4.3).
const (
	sigLocal      = "PK\x03\x04"
	sigCentral    = "PK\x01\x02"
	sigDescriptor = "PK\x07\x08"
	sigEnd        = "PK\x05\x06"
	sigEnd64      = "PK\x06\x06"
	sigLocator64  = "PK\x06\x07"

	lenLocal     = 30
	lenCentral   = 46
	lenEnd       = 22
	lenEnd64     = 56
	lenLocator64 = 20
)

// directory is where the central directory is, as the end records say.
type directory struct {
	count  uint64 // entries
	size   uint64 // bytes
	offset uint64
	end    int64 // where the first of the end records starts, and the directory must end
}

// findDirectory reads the end record, and the zip64 records before it.
//
// Readers look for the end record in different ways: at the very end, the last
// signature, the last that fits. So only a wheel is taken in which all of them
// find the same one.
func findDirectory(src *source) (directory, error) {
	n := min(src.size, lenEnd+math.MaxUint16)
	tail, err := src.read(src.size-n, int(n))
	if err != nil {
		return directory{}, err
	}
	at, err := findEnd(tail)
	if err != nil {
		return directory{}, err
	}
	rec := tail[at:]
	d := directory{
		count:  uint64(binary.LittleEndian.Uint16(rec[10:])),
		size:   uint64(binary.LittleEndian.Uint32(rec[12:])),
		offset: uint64(binary.LittleEndian.Uint32(rec[16:])),
		end:    src.size - n + int64(at),
	}
	here, disks := rec[8:10], rec[4:8]
	if d.end >= lenLocator64+lenEnd64 {
		loc, err := src.read(d.end-lenLocator64, lenLocator64)
		if err != nil {
			return d, err
		}
		if string(loc[:4]) == sigLocator64 {
			return readEnd64(src, d, loc)
		}
	}
	if !bytes.Equal(disks, make([]byte, 4)) || !bytes.Equal(here, rec[10:12]) {
		return d, newFlaw(CodeZipMultiDisk, "", "the end record is of a zip in several parts")
	}
	return d, nil
}

// findEnd returns where in tail the one end record starts.
func findEnd(tail []byte) (int, error) {
	found := -1
	var comment []byte
	// Forward, which bytes does far faster than backward: all of it is looked at anyway.
	for next := 0; ; {
		i := bytes.Index(tail[next:], []byte(sigEnd))
		if i < 0 {
			break
		}
		at := next + i
		next = at + len(sigEnd)
		rest := len(tail) - at - lenEnd
		if rest < 0 || int(binary.LittleEndian.Uint16(tail[at+20:])) != rest {
			continue // chance, or the end of a zip inside this one
		}
		if found >= 0 {
			return 0, newFlaw(CodeZipEndRecord, "", "two records could be the zip's end record")
		}
		found, comment = at, tail[at+lenEnd:]
	}
	if found < 0 && bytes.Contains(tail, []byte(sigEnd)) {
		return 0, newFlaw(CodeZipTrailing, "", "the zip does not end with its end record: truncated, or bytes were appended")
	}
	if found < 0 {
		return 0, newFlaw(CodeNotZip, "", "no end record: not a zip, or truncated")
	}
	if bytes.Contains(comment, []byte("PK")) {
		return 0, newFlaw(CodeZipEndRecord, "", "the comment of the zip may hide another end record")
	}
	return found, nil
}

// readEnd64 replaces what d has from the plain end record by the zip64 record,
// which must stand right before its locator and agree with what is not deferred.
func readEnd64(src *source, d directory, loc []byte) (directory, error) {
	at := d.end - lenLocator64 - lenEnd64
	if binary.LittleEndian.Uint32(loc[4:]) != 0 || binary.LittleEndian.Uint32(loc[16:]) > 1 {
		return d, newFlaw(CodeZipMultiDisk, "", "the zip64 locator is of a zip in several parts")
	}
	if binary.LittleEndian.Uint64(loc[8:]) != uint64(at) {
		return d, newFlaw(CodeZip64, "", "the zip64 end record is not right before its locator")
	}
	rec, err := src.read(at, lenEnd64)
	if err != nil {
		return d, err
	}
	if string(rec[:4]) != sigEnd64 || binary.LittleEndian.Uint64(rec[4:]) != lenEnd64-12 {
		return d, newFlaw(CodeZip64, "", "the zip64 end record is malformed")
	}
	count := binary.LittleEndian.Uint64(rec[32:])
	if !bytes.Equal(rec[16:24], make([]byte, 8)) || binary.LittleEndian.Uint64(rec[24:]) != count {
		return d, newFlaw(CodeZipMultiDisk, "", "the zip64 end record is of a zip in several parts")
	}
	e := directory{count: count, size: binary.LittleEndian.Uint64(rec[40:]),
		offset: binary.LittleEndian.Uint64(rec[48:]), end: at}
	if !defers(d.count, e.count, math.MaxUint16) || !defers(d.size, e.size, math.MaxUint32) ||
		!defers(d.offset, e.offset, math.MaxUint32) {
		return d, newFlaw(CodeZip64, "", "end record and zip64 end record disagree")
	}
	return e, nil
}

// defers says whether a 16- or 32-bit field agrees with its 64-bit one: equal,
// or all ones, which is how it points there.
func defers(short, long, ones uint64) bool { return short == ones || short == long }
