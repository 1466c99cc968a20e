package elffile

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/farm"
	"pinwheel/internal/wheeltest"
)

// spent is what reading a file takes of a budget.
func spent(t *testing.T, b []byte) (int64, farm.ELF) {
	t.Helper()
	budget := DefaultBudget()
	before := budget.Bytes
	f, err := Read(bytes.NewReader(b), int64(len(b)), "x", &budget)
	if err != nil {
		t.Fatal(err)
	}
	return before - budget.Bytes, f
}

// TestNamesAreReadOnce: a name that ten thousand versions of symbols share is read once,
// and names that are only compared are not made legible, which costs many times as much.
func TestNamesAreReadOnce(t *testing.T) {
	t.Parallel()
	const names = 9_000
	one := wheeltest.Library{Machine: wheeltest.ARM, Names: names, Long: "\x01"}
	cost, f := spent(t, one.Make())
	if each := cost / names; f.Problem != "" || each > readCost+20 {
		t.Errorf("a version of a name that is known costs %d: %+v", each, f)
	}
	odd := wheeltest.Library{Machine: wheeltest.ARM, Names: names, Long: strings.Repeat("\x01", 1000)}
	plain := odd
	plain.Long = strings.Repeat("n", 1000)
	costOdd, _ := spent(t, odd.Make())
	if costPlain, _ := spent(t, plain.Make()); costOdd != costPlain {
		t.Errorf("names that cannot be printed cost %d, others %d", costOdd, costPlain)
	}
	// A thousand names of a thousand bytes each, in four readings at most; quoted they
	// would have a price of parseCost a byte.
	if most := int64(names*(readCost+20) + 1000*(4*readCost+64+256+1025)); costOdd > most+10_000 {
		t.Errorf("they cost %d, want at most %d", costOdd, most)
	}
	sections := wheeltest.Library{Machine: wheeltest.ARM, Sections: names, Long: strings.Repeat("\x01", 1000)}
	if cost, f := spent(t, sections.Make()); f.Problem != "" || cost > int64(names*(40+3*readCost+64+256+1025)+10_000) {
		t.Errorf("%d sections cost %d: %+v", names, cost, f)
	}
}

// TestRawNames: what is compared as it stands is found, whatever stands around it; what is
// weak is not needed.
func TestRawNames(t *testing.T) {
	t.Parallel()
	l := wheeltest.Library{Machine: wheeltest.ARM, Versions: []string{"GLIBC_2.4", "GLIBC_2.34", "GLIBC_\x012.99", "\u202eGLIBC_2.98", "~GLIBC_2.97", "GLIBC_2.9"}}
	if _, f := spent(t, l.Make()); f.GLIBC != "2.34" || f.Problem != "" {
		t.Errorf("it needs glibc %q (%s), want 2.34", f.GLIBC, f.Problem)
	}
}

// TestAsTheLoaderReads: by addresses and to the ends that the loader goes to, whatever
// else a file says of where they are and how many.
func TestAsTheLoaderReads(t *testing.T) {
	t.Parallel()
	l := wheeltest.Library{Machine: wheeltest.ARM, Needed: []string{"libz.so.1"}, Versions: []string{"GLIBC_2.4", "GLIBC_2.34"}}
	_, honest := spent(t, l.Make())
	l.Lying = true
	_, lying := spent(t, l.Make())
	if diff := cmp.Diff(honest, lying); diff != "" || honest.GLIBC != "2.34" || len(honest.Needed) != 1 || honest.Problem != "" {
		t.Errorf("honest (-) and lying (+):\n%s\n%+v", diff, honest)
	}
}

// TestBudget: many files may not cost more than a budget, which ends in an error that is
// no file's problem; what is asked for in between ends it too.
func TestBudget(t *testing.T) {
	t.Parallel()
	b := wheeltest.Library{Machine: wheeltest.ARM, Names: 9_000, Long: strings.Repeat("n", 1000)}.Make()
	cost, _ := spent(t, b)
	budget := Budget{Files: 1000, Bytes: 10*cost + cost/2}
	n, err := 0, error(nil)
	for ; err == nil; n++ {
		_, err = Read(bytes.NewReader(b), int64(len(b)), "x", &budget)
	}
	if n != 11 || !errors.Is(err, ErrBudget) {
		t.Errorf("file %d ends it with %v, want the 11th to", n, err)
	}
	budget = Budget{Files: 3, Bytes: 1 << 40}
	archive := string(archiveMagic) + strings.Repeat(fmt.Sprintf("%-16s%-32s%-10d`\n", "x.o/", "", 0), 10)
	members := 0
	err = ReadArchive(strings.NewReader(archive), int64(len(archive)), "x.a", &budget, func(farm.ELF) { members++ })
	if members != 3 || !errors.Is(err, ErrBudget) {
		t.Errorf("after %d members: %v", members, err)
	}
	stop := errors.New("stop")
	budget = Budget{Files: 1000, Bytes: 1 << 40, Check: func() error { return stop }}
	for err = nil; err == nil; {
		_, err = Read(bytes.NewReader(b), int64(len(b)), "x", &budget)
	}
	if !errors.Is(err, stop) {
		t.Errorf("told to stop: %v", err)
	}
}
