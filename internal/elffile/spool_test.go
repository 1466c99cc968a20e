package elffile

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"testing"
)

// TestSpool: what is fed in pieces is read back whole, also if it is larger than the
// memory that it may take, and also after a larger file.
func TestSpool(t *testing.T) {
	t.Parallel()
	s := &Spool{Dir: t.TempDir()}
	defer s.Close()
	rnd := rand.New(rand.NewPCG(3, 4))
	for _, size := range []int{12, 70_000, spoolMemory, 3*spoolMemory + 5, spoolMemory + 1, 9} {
		b := make([]byte, size)
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		copy(b, magic)
		s.Begin()
		for rest := b; len(rest) > 0; {
			n := min(len(rest), 1+rnd.IntN(60_000))
			s.Feed(rest[:n])
			rest = rest[n:]
		}
		if err := s.Err(); err != nil || !s.IsELF() || s.Size() != int64(size) {
			t.Fatalf("of %d bytes there are %d, %v", size, s.Size(), err)
		}
		got, err := io.ReadAll(io.NewSectionReader(s, 0, int64(size)+100))
		if err != nil || !bytes.Equal(got, b) {
			t.Errorf("of %d bytes other ones come back, %v", size, err)
		}
		for range 100 {
			off, n := rnd.IntN(size), 1+rnd.IntN(1000)
			p := make([]byte, n)
			m, _ := s.ReadAt(p, int64(off))
			if want := b[off:min(size, off+n)]; !bytes.Equal(p[:m], want) {
				t.Fatalf("%d bytes at %d of %d: other ones", n, off, size)
			}
		}
	}
	if left, err := os.ReadDir(s.Dir); err != nil || len(left) > 0 {
		t.Errorf("files with a name are left: %v, %v", left, err)
	}
}

// TestSpoolForgets what is of no interest, and keeps what could not be kept in mind.
func TestSpoolForgets(t *testing.T) {
	t.Parallel()
	s := &Spool{Dir: "/nonexistent/folder"}
	for _, c := range []struct{ text, then string }{{"import os\n", "x"}, {"\x7fE", "LX...."}, {"!", "<arch>"}, {"", ""}} {
		s.Begin()
		s.Feed([]byte(c.text))
		s.Feed([]byte(c.then))
		if s.IsELF() || s.IsArchive() || s.Err() != nil {
			t.Errorf("%q%q is kept", c.text, c.then)
		}
	}
	s.Begin()
	s.Feed([]byte("\x7f"))
	s.Feed([]byte("ELF....."))
	if !s.IsELF() {
		t.Error("a file that comes in pieces is forgotten")
	}
	s.Feed(make([]byte, spoolMemory))
	if s.Err() == nil || s.Kept() {
		t.Error("a folder that is not there is no error")
	}
}
