package elffile

import (
	"errors"
	"io"
	"os"
)

// spoolMemory is how many bytes of one file are held in memory; what goes beyond goes
// through a file without a name. Few extension modules are larger.
const spoolMemory = 8 << 20

// Spool keeps the bytes of a file that is unpacked once, front to back, if it is one that
// must be read in any order: an ELF file, an archive of object files, or what Also wants. It
// is used for one file after the other. Close frees what it holds.
type Spool struct {
	Dir  string                 // for large files; "" is the system's
	Also func(head []byte) bool // by a file's first 512 bytes, fewer of a shorter file; nil: nothing else

	mem  []byte
	file *os.File // what comes after mem; nil: nothing
	size int64
	kept bool
	err  error // of file
}

// known is how many bytes must have come before it is known what a file is: as many as a
// tar needs.
const known = 512

func (s *Spool) wants(head []byte) bool {
	return IsELF(head) || IsArchive(head) || s.Also != nil && s.Also(head)
}

// Begin forgets the file before.
func (s *Spool) Begin() { s.mem, s.size, s.kept, s.err = s.mem[:0], 0, true, nil }

// Feed takes the next bytes of the file; it does not keep p. An error waits for Err.
func (s *Spool) Feed(p []byte) {
	if !s.kept || s.err != nil {
		return
	}
	s.size += int64(len(p))
	if len(s.mem) == 0 && len(p) >= known && !s.wants(p[:known]) {
		s.kept = false // as most files are, and not copied
		return
	}
	n, before := min(len(p), spoolMemory-len(s.mem)), len(s.mem)
	s.mem = append(s.mem, p[:n]...)
	if before < known && len(s.mem) >= known && !s.wants(s.mem[:known]) {
		s.kept = false
		return
	}
	if p = p[n:]; len(p) > 0 {
		s.err = s.spill(p)
	}
}

func (s *Spool) spill(p []byte) error {
	if s.file == nil {
		f, err := os.CreateTemp(s.Dir, "elf-")
		if err != nil {
			return err
		}
		if err := os.Remove(f.Name()); err != nil { // it goes with the last who has it open
			return errors.Join(err, f.Close())
		}
		s.file = f
	}
	_, err := s.file.WriteAt(p, s.size-int64(len(p))-spoolMemory)
	return err
}

// Err is what kept the file from being kept, such as a full disk.
func (s *Spool) Err() error { return s.err }

// Size is how many bytes have come.
func (s *Spool) Size() int64 { return s.size }

// IsELF says whether the file that has come is an ELF file.
func (s *Spool) IsELF() bool { return s.kept && IsELF(s.mem) }

// IsArchive says whether the file that has come is an archive.
func (s *Spool) IsArchive() bool { return s.kept && IsArchive(s.mem) }

// Kept says whether the file that has come is whole here: one that is wanted, or is too
// short for that to have been asked.
func (s *Spool) Kept() bool { return s.kept && s.err == nil }

// ReadAt reads what has come of the file.
func (s *Spool) ReadAt(p []byte, off int64) (n int, err error) {
	if off < int64(len(s.mem)) {
		n = copy(p, s.mem[off:])
	}
	if n == len(p) {
		return n, nil
	}
	if s.size <= spoolMemory || s.file == nil {
		return n, io.EOF
	}
	// Behind the end there may be bytes of a file before.
	end := max(int64(n), min(int64(len(p)), s.size-off))
	m, err := s.file.ReadAt(p[n:end], off+int64(n)-spoolMemory)
	if n += m; err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}

// Close frees what is held.
func (s *Spool) Close() {
	if s.file != nil {
		_ = s.file.Close() // it has no name: there is nothing left to lose
	}
	s.mem, s.file = nil, nil
}
