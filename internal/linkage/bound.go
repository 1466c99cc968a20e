package linkage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
)

const (
	maxDirectory = 8 << 20 // bytes of a zip's directory: 20,000 entries with long names have 4 MB
	maxTail      = 66 << 10
	lenEnd       = 22 // of the end record of a zip, without its comment
)

var errTooMany = errors.New("its directory is larger than what is looked at here")

// bounded refuses a zip before archive/zip puts all of its directory into memory,
// which is the slave's own: that reads entries from where the end record says, or from
// so far before it as that says, until there is none. Of several end records, which of
// them counts is a matter of the reader, so all must be within bounds.
func bounded(r io.ReaderAt, size int64) error {
	tail := make([]byte, min(size, maxTail))
	if _, err := r.ReadAt(tail, size-int64(len(tail))); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	for at := 0; ; at++ {
		next := bytes.Index(tail[at:], []byte("PK\x05\x06"))
		if next < 0 || len(tail)-at-next < lenEnd {
			return nil
		}
		at += next
		record := tail[at:]
		entries := binary.LittleEndian.Uint16(record[10:]) // all ones: the number stands elsewhere, and is larger
		length, offset := binary.LittleEndian.Uint32(record[12:]), binary.LittleEndian.Uint32(record[16:])
		end := size - int64(len(tail)) + int64(at)
		if entries > maxEntries || length > maxDirectory || end-int64(offset) > maxDirectory {
			return errTooMany
		}
	}
}
