package wheel

import (
	"hash"
	"hash/crc32"
)

// checkFiles unpacks every file, in the order of the bytes, and compares it with
// its CRC and its row in RECORD.
func (v *verifier) checkFiles() error {
	hashes := map[string]hash.Hash{}
	for i := range v.entries {
		e := &v.entries[i]
		if e.closed || e.isDir() {
			if w := v.rows[e.name]; w != nil {
				w.met = true
			}
			continue
		}
		if err := v.note(v.checkFile(e, hashes)); err != nil {
			return err
		}
	}
	v.checkRows()
	return nil
}

// checkFile unpacks one file. The hashes are used again for the next one.
func (v *verifier) checkFile(e *entry, hashes map[string]hash.Hash) error {
	w := v.rows[e.name]
	var h hash.Hash
	if w != nil && w.algorithm != "" {
		if h = hashes[w.algorithm]; h == nil {
			h = newHash(w.algorithm)
			hashes[w.algorithm] = h
		}
		h.Reset()
	}
	var crc uint32
	v.elf.spool.Begin()
	v.inner.begin()
	err := v.inflate.each(v.src, e, func(p []byte) {
		crc = crc32.Update(crc, crc32.IEEETable, p)
		if h != nil {
			h.Write(p)
		}
		v.elf.spool.Feed(p)
		v.inner.feed(p)
	})
	if w != nil {
		w.met = true
	}
	if err != nil {
		return err
	}
	if crc != e.crc {
		v.found.reject(CodeZipCRC, e.name, "its CRC is not the declared one")
	}
	v.checkRow(e, w, h)
	return v.inspect(e)
}
