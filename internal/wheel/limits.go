package wheel

import (
	"time"

	"pinwheel/internal/elffile"
)

// Limits bound what a wheel may cost whoever opens it. They stand well above
// what real wheels have, and far below what hurts a master.
type Limits struct {
	FileSize  int64 // bytes of the wheel; below 4 GiB, so that honest ones need no zip64 offsets
	Entries   int   // files and folders; 100,000 cost 75 MB of memory and half a second
	Directory int64 // bytes of the central directory, which is held in memory

	Total      int64 // bytes of all files, unpacked; real wheels reach about 2 GB
	RatioFloor int64 // bytes from which on the ratio is looked at: small files compress as they like
	Ratio      int64 // unpacked to packed, of one file and of all; zeros reach 1,030, text seldom 30

	Metadata  int64 // bytes of METADATA, which is held in memory and published as a file
	WheelFile int64 // bytes of WHEEL, held in memory
	Record    int64 // bytes of RECORD, held in memory

	// What all ELF files may cost together, which is far more than their bytes where
	// somebody means it; and the time of the whole verification. Beyond them the wheel is
	// refused, since it would cost the same at every try.
	ELF  elffile.Budget
	Time time.Duration    // without what is waited for to read the wheel
	Now  func() time.Time // by which that is measured; nil is time.Now

	// Bytes that are unpacked of archives inside a wheel for linux_armv7l; what is beyond
	// is not seen, and nothing is proven then.
	Inner int64

	Scratch string // folder for ELF files and archives of more than 8 MiB while they are read; "" is the system's

	Filename int // bytes of the wheel's file name; leaves room for .metadata.gz within 255
	Name     int // bytes of an entry's name; must fit a path below some site-packages
	Depth    int // folders above an entry
	Findings int // findings in a report
}

// DefaultLimits are those that Verify uses.
func DefaultLimits() Limits {
	return Limits{
		FileSize:   2 << 30,
		Entries:    100_000,
		Directory:  32 << 20,
		Total:      3 << 30,
		RatioFloor: 128 << 20,
		Ratio:      200,
		Metadata:   4 << 20,
		WheelFile:  64 << 10,
		Record:     16 << 20,
		ELF:        elffile.DefaultBudget(),
		Time:       10 * time.Minute,
		Inner:      512 << 20,
		Filename:   240,
		Name:       1024,
		Depth:      64,
		Findings:   100,
	}
}

// checkBombs compares declared sizes with the limits, so that a bomb is refused
// before a byte of it is unpacked. That the sizes are true is checked while
// unpacking, which never goes beyond them.
func (l Limits) checkBombs(entries []entry) error {
	var total, packed int64
	for i := range entries {
		e := &entries[i]
		// Compared one by one, so that no sum can overflow.
		if e.size > l.Total || total > l.Total-e.size {
			return newFlaw(CodeBombTotal, e.name, "unpacks to more than %d bytes", l.Total)
		}
		total += e.size
		packed += e.packed
		if l.bomb(e.size, e.packed) {
			return newFlaw(CodeBombRatio, e.name, "%d bytes unpack to %d", e.packed, e.size)
		}
	}
	if l.bomb(total, packed) {
		return newFlaw(CodeBombRatio, "", "%d bytes unpack to %d in all", packed, total)
	}
	return nil
}

func (l Limits) bomb(size, packed int64) bool {
	return size > l.RatioFloor && size/l.Ratio > packed
}
