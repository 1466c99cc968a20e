package wheel

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/csv"
	"errors"
	"hash"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// row is what RECORD says about one file (PEP 376, PEP 427).
type row struct {
	algorithm string // "" when there is no hash
	digest    string // bytes
	size      int64  // -1 when there is none
	flawed    bool   // something was noted about it already
	met       bool   // the file is there
}

// newHash returns the hash of that name, nil for one that RECORD must not use:
// PEP 427 wants sha256 or better.
func newHash(algorithm string) hash.Hash {
	switch algorithm {
	case "sha256":
		return sha256.New()
	case "sha384":
		return sha512.New384()
	case "sha512":
		return sha512.New()
	}
	return nil
}

// parseRecord reads RECORD, by the path in each row. Nil means that it is not to
// be read at all, which was noted.
func parseRecord(b []byte, entry string, maxRows int, found *findings) map[string]*row {
	if !utf8.Valid(b) {
		found.reject(CodeRecordCSV, entry, "RECORD is not valid UTF-8")
		return nil
	}
	// Rows and fields cost twenty times their bytes in memory: bounded before and below.
	if commas := bytes.Count(b, []byte(",")); commas > 4*maxRows {
		found.reject(CodeRecordSize, entry, "RECORD has %d commas, too many for %d rows", commas, maxRows)
		return nil
	}
	rows := map[string]*row{}
	r := csv.NewReader(bytes.NewReader(b))
	r.FieldsPerRecord = -1 // counted below, so that the rest is read as well
	for {
		fields, err := r.Read()
		if errors.Is(err, io.EOF) {
			return rows
		}
		if err != nil {
			found.reject(CodeRecordCSV, entry, "RECORD is not CSV: %v", err)
			return nil
		}
		if len(rows) == maxRows {
			found.reject(CodeRecordSize, entry, "RECORD has more than %d rows", maxRows)
			return nil
		}
		if rows[fields[0]] != nil {
			found.reject(CodeRecordDuplicate, fields[0], "RECORD lists it twice")
			continue
		}
		rows[fields[0]] = parseRow(fields, found)
	}
}

// parseRow reads hash and size. What is wrong is noted, and left out of the row.
func parseRow(fields []string, found *findings) *row {
	path := fields[0]
	w := &row{size: -1}
	if len(fields) != 3 {
		found.reject(CodeRecordColumns, path, "its row in RECORD has %d columns; want path, hash, size", len(fields))
		w.flawed = true
		return w
	}
	hashed, sized := fields[1], fields[2]
	if sized != "" {
		n, err := strconv.ParseUint(sized, 10, 63) // takes no sign and no space
		if err != nil {
			found.reject(CodeRecordLength, path, "RECORD gives a size that is no number: %s", printable(sized, 40))
			w.flawed = true
		} else {
			w.size = int64(n)
		}
	}
	if hashed == "" {
		return w
	}
	algorithm, digest, _ := strings.Cut(hashed, "=")
	h := newHash(algorithm)
	if h == nil {
		found.reject(CodeRecordWeak, path, "RECORD uses %s; want sha256, sha384 or sha512", printable(algorithm, 40))
		w.flawed = true
		return w
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(digest)
	if err != nil || len(raw) != h.Size() {
		found.reject(CodeRecordHash, path, "RECORD has no %s in URL-safe base64 without padding", algorithm)
		w.flawed = true
		return w
	}
	w.algorithm, w.digest = algorithm, string(raw)
	return w
}

func (w *row) bare() bool { return w.algorithm == "" && w.size < 0 && !w.flawed }

// signature says whether a file may be missing from RECORD: the two signatures of
// RECORD itself are made after it.
func (v *verifier) signature(name string) bool {
	return name == v.record+".jws" || name == v.record+".p7s"
}

// compare holds what was read of a file against its row.
func (w *row) compare(e *entry, h hash.Hash, found *findings) {
	w.met = true
	switch {
	case w.flawed: // said once is enough
		return
	case w.algorithm == "":
		found.reject(CodeRecordNoHash, e.name, "RECORD has no hash of it")
	case string(h.Sum(nil)) != w.digest:
		found.reject(CodeRecordHash, e.name, "its %s is not the one in RECORD", w.algorithm)
	}
	switch {
	case w.size < 0:
		// The hash says all, and tools have left the size out.
		found.warn(CodeRecordNoLength, e.name, "RECORD has no size of it")
	case w.size != e.size:
		found.reject(CodeRecordLength, e.name, "it has %d bytes, RECORD says %d", e.size, w.size)
	}
}

// checkRow holds a file that was read against RECORD.
func (v *verifier) checkRow(e *entry, w *row, h hash.Hash) {
	switch {
	case v.rows == nil: // the reason was noted
	case e.name == v.record:
		if w == nil {
			v.found.warn(CodeRecordSelf, e.name, "RECORD does not list itself")
		} else if w.algorithm != "" {
			v.found.reject(CodeRecordSelf, e.name, "RECORD cannot have a hash of itself")
		}
	case w != nil && w.bare() && v.signature(e.name), w == nil && v.signature(e.name):
	case w == nil:
		v.found.reject(CodeRecordUnlisted, e.name, "the file is not in RECORD")
	default:
		w.compare(e, h, &v.found)
	}
}

// checkRows looks for rows that no entry had.
func (v *verifier) checkRows() {
	for _, path := range slices.Sorted(maps.Keys(v.rows)) {
		w := v.rows[path]
		switch {
		case w.met && strings.HasSuffix(path, "/"):
			v.found.warn(CodeRecordFolder, path, "RECORD lists a folder")
		case !w.met:
			v.found.reject(CodeRecordExtra, path, "RECORD lists a file that is not there")
		}
	}
}
