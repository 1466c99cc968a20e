// Package elffile reads what ELF files say of themselves, without running them:
// machine, .ARM.attributes, the versions of symbols and the libraries that they need.
//
// Input: any bytes. Output: farm.ELF, for each file, and for each member of an
// archive of object files; and whether all of them together are proven to run on an
// ARMv6. It owns nothing, and writes nothing but the nameless file of a Spool.
//
// It trusts nothing: each number is held against the file's size and against a limit
// before it is used, so a hostile file costs bounded time and memory, and all files of a
// wheel together cost no more than a Budget. debug/elf of the
// standard library is made for files that a compiler made, and says so. What the
// loader reads (segments, the dynamic section) is read as the loader reads it; section
// headers, which it does not look at, are believed only where nothing else says it.
package elffile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode"
	"unicode/utf8"

	"pinwheel/internal/farm"
)

// Limits of one file. Real ones stay far below.
const (
	maxSegments = 1024
	maxSections = 200_000 // object files of templates have tens of thousands
	maxDynamic  = 64 << 10
	maxNeeded   = 300
	maxVersions = 10_000
	maxString   = 1024    // bytes, of a path or a name
	maxSection  = 1 << 20 // bytes, of one that is read whole
)

// Values of the ELF specifications (gABI, and Arm's supplement to it).
const (
	magic     = "\x7fELF"
	headLen   = 20 // bytes up to e_machine
	class32   = 1
	class64   = 2
	little    = 1
	big       = 2
	loadable  = 1 // PT_LOAD
	dynamical = 2 // PT_DYNAMIC
	loadedBy  = 3 // PT_INTERP

	sectionNoBits = 8
	sectionARM    = 0x70000003 // SHT_ARM_ATTRIBUTES
)

// IsELF says whether a file that begins so is one; 4 bytes are enough.
func IsELF(head []byte) bool { return bytes.HasPrefix(head, []byte(magic)) }

// errMalformed is what is wrong with a file itself; other errors are of reading it.
type errMalformed string

func (e errMalformed) Error() string { return string(e) }

func malformed(format string, args ...any) error { return errMalformed(fmt.Sprintf(format, args...)) }

// Read reads the ELF file of size bytes in r, which is called path, or by its beginning if
// that is longer than any master takes. What is wrong with
// the file is its Problem, beside what could be read before that; an error is one of
// reading r, or ErrBudget, and says nothing about the file.
func Read(r io.ReaderAt, size int64, path string, budget *Budget) (farm.ELF, error) {
	f := &file{r: r, size: size, budget: budget, facts: farm.ELF{Path: trim(path, maxString)}}
	return f.read(budget.file, f.header, f.dynamic, f.sections)
}

// readObject is Read of an object file, which no loader reads.
func readObject(r io.ReaderAt, size int64, path string, budget *Budget) (farm.ELF, error) {
	f := &file{r: r, size: size, budget: budget, facts: farm.ELF{Path: path}}
	return f.read(f.header, f.sections)
}

func (f *file) read(steps ...func() error) (farm.ELF, error) {
	for _, step := range steps {
		err := step()
		if bad := errMalformed(""); errors.As(err, &bad) {
			f.facts.Problem = bad.Error()
			break
		}
		if err != nil {
			return farm.ELF{}, fmt.Errorf("read the ELF file %s: %w", f.facts.Path, err)
		}
	}
	return f.facts, nil
}

// file is one reading.
type file struct {
	r      io.ReaderAt
	size   int64
	budget *Budget
	order  binary.ByteOrder
	wide   bool // 64 bits
	facts  farm.ELF

	segmentsAt, sectionsAt     uint64
	segmentLen, sectionLen     int
	nSegments, nSections, name int
	loads                      []segment
	loader                     segment // size 0: there is none
}

// segment is a part of the file that the loader maps.
type segment struct {
	kind                  uint32
	offset, address, size uint64
}

// bytes reads n bytes at off, which must be in the file.
func (f *file) bytes(off uint64, n int) ([]byte, error) {
	if off > uint64(f.size) || uint64(n) > uint64(f.size)-off {
		return nil, malformed("it points to %d bytes at %d, outside of its %d", n, off, f.size)
	}
	if err := f.budget.spend(readCost + int64(n)); err != nil {
		return nil, err
	}
	b := make([]byte, n)
	if got, err := f.r.ReadAt(b, int64(off)); got < n {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF // the size was told, so that is not the file's fault
		}
		return nil, err
	}
	return b, nil
}

// word reads the address-sized number at i, half of its pair if the file is of 32 bits.
func (f *file) word(b []byte, at32, at64 int) uint64 {
	if f.wide {
		return f.order.Uint64(b[at64:])
	}
	return uint64(f.order.Uint32(b[at32:]))
}

func (f *file) pick(n32, n64 int) int {
	if f.wide {
		return n64
	}
	return n32
}

// header reads the file header.
func (f *file) header() error {
	b, err := f.bytes(0, headLen)
	if err != nil {
		return err
	}
	if !IsELF(b) {
		return malformed("it is no ELF file")
	}
	switch b[5] {
	case little:
		f.order = binary.LittleEndian
	case big:
		f.order = binary.BigEndian
	default:
		return malformed("an ELF file of unknown byte order %d", b[5])
	}
	switch b[4] {
	case class32:
		f.facts.Class = 32
	case class64:
		f.facts.Class, f.wide = 64, true
	default:
		return malformed("an ELF file of unknown class %d", b[4])
	}
	f.facts.Machine = machineName(f.order.Uint16(b[18:]))
	if b[5] == big {
		f.facts.Machine += "-be"
	}
	if b, err = f.bytes(0, f.pick(52, 64)); err != nil {
		return err
	}
	f.segmentsAt, f.sectionsAt = f.word(b, 28, 32), f.word(b, 32, 40)
	short := func(at32, at64 int) int { return int(f.order.Uint16(b[f.pick(at32, at64):])) }
	f.segmentLen, f.nSegments = short(42, 54), short(44, 56)
	f.sectionLen, f.nSections, f.name = short(46, 58), short(48, 60), short(50, 62)
	return nil
}

// machineName is a machine in words; one that is not known is its number.
func machineName(n uint16) string {
	names := map[uint16]string{
		2: "sparc", 3: "i386", 8: "mips", 20: "ppc", 21: "ppc64", 22: "s390", 40: "arm", 43: "sparcv9",
		62: "x86_64", 183: "aarch64", 243: "riscv", 247: "bpf", 258: "loongarch",
	}
	if name, ok := names[n]; ok {
		return name
	}
	return fmt.Sprintf("machine-%d", n)
}

// text reads the string at off that ends with a NUL.
func (f *file) text(off uint64) (string, error) {
	s, err := f.raw(off)
	if err == nil {
		err = f.budget.spend(parseCost * int64(len(s)))
	}
	return legible(s), err
}

// raw is text as it stands, for what is only compared: making a name legible costs a
// thousand times as much as naming it once more does a hostile file.
func (f *file) raw(off uint64) (string, error) {
	if off >= uint64(f.size) {
		return "", malformed("a name at %d, outside of its %d bytes", off, f.size)
	}
	for n := uint64(64); ; n *= 4 {
		n = min(n, maxString+1, uint64(f.size)-off)
		b, err := f.bytes(off, int(n))
		if err != nil {
			return "", err
		}
		if i := bytes.IndexByte(b, 0); i >= 0 {
			return string(b[:i]), nil
		}
		if n == maxString+1 || n == uint64(f.size)-off {
			return "", malformed("a name at %d that does not end", off)
		}
	}
}

// legible makes a text of a file fit for a line of a log.
func legible(s string) string {
	for _, r := range s {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return strconv.QuoteToASCII(s)
		}
	}
	return s
}
