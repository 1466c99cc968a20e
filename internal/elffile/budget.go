package elffile

import "errors"

// ErrBudget says that files cost more to read than they may. It is no flaw of the one
// that is being read: together they are too much.
var ErrBudget = errors.New("its ELF files cost more to read than they may")

// Budget is what all files of one wheel may cost together. Each file is bounded alone, but
// a small one may have every byte of it read a thousand times, and a wheel has room for
// a hundred thousand of those. The zero Budget is used up.
type Budget struct {
	Files int   // ELF files, members of archives, and archives that are broken
	Bytes int64 // that are read, those that are read again too, and what else takes the time of reading so many

	// Check is asked now and then whether to go on, and may be nil. Its error ends the
	// reading, and is returned as it is.
	Check func() error

	unchecked int64 // bytes since Check was asked
}

// DefaultBudget is far beyond real wheels, and less than a minute of one slow core: a
// static library of LLVM, with its 70,000 sections, takes a hundredth.
func DefaultBudget() Budget { return Budget{Files: 200_000, Bytes: 4 << 30} }

const (
	readCost   = 256     // bytes that could be read in the time that one reading takes, however small
	parseCost  = 16      // for each byte that is kept in a map or made legible
	checkEvery = 4 << 20 // some milliseconds
)

// file takes one more file.
func (b *Budget) file() error {
	if b.Files--; b.Files < 0 {
		return ErrBudget
	}
	return b.spend(readCost)
}

func (b *Budget) spend(n int64) error {
	if b.Bytes -= n; b.Bytes < 0 {
		return ErrBudget
	}
	if b.unchecked += n; b.unchecked < checkEvery || b.Check == nil {
		return nil
	}
	b.unchecked = 0
	return b.Check()
}
