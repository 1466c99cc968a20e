package elffile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"pinwheel/internal/farm"
)

// seeds are real files that are small enough to be changed usefully.
func seeds(t testing.TB) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.*")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) < 20_000 && (IsELF(b) || IsArchive(b)) {
			out[filepath.Base(path)] = b
		}
	}
	if len(out) < 8 {
		t.Fatalf("only %d real files", len(out))
	}
	return out
}

// TestCutOff: of a file that ends anywhere something is read, or it is said what is wrong.
func TestCutOff(t *testing.T) {
	t.Parallel()
	for name, b := range seeds(t) {
		for n := 4; n < len(b); n += 1 + n/200 {
			for _, f := range readAll(t, b[:n], name) {
				if f.Problem == "" && f.Machine == "" {
					t.Fatalf("%s, cut to %d bytes: %+v", name, n, f)
				}
			}
		}
	}
}

// TestNeverProvenByDamage: whatever byte is changed, code for ARMv7 is not proven to run
// on an ARMv6, unless the change is in its attributes.
func TestNeverProvenByDamage(t *testing.T) {
	t.Parallel()
	b := seeds(t)["v7.so"]
	at := bytes.Index(b, []byte("aeabi\x00"))
	if at < 0 {
		t.Fatal("v7.so has no attributes")
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		c := bytes.Clone(b)
		for range 1 + rnd.IntN(3) {
			if i := rnd.IntN(len(c)); i < at-16 || i > at+80 {
				c[i] = byte(rnd.IntN(256))
			}
		}
		if !IsELF(c) {
			continue
		}
		if p := ProveARMv6(readAll(t, c, "x.so"), false); p.Proven {
			t.Fatalf("proven: %s", p.Reason)
		}
	}
}

// section makes the content of .ARM.attributes with these pairs.
func attributeSection(pairs ...byte) []byte {
	file := append(binary.LittleEndian.AppendUint32([]byte{tagFile}, uint32(5+len(pairs))), pairs...)
	vendor := append([]byte("aeabi\x00"), file...)
	return append(binary.LittleEndian.AppendUint32([]byte{'A'}, uint32(4+len(vendor))), vendor...)
}

func TestAttributes(t *testing.T) {
	t.Parallel()
	v6 := []byte{tagCPUArch, 6}
	with := func(pairs ...byte) []byte { return attributeSection(append(v6[:2:2], pairs...)...) }
	gnu := append(with(), "\x0f\x00\x00\x00gnu\x00\x01\x07\x00\x00\x00\x04\x09"...)
	for name, c := range map[string]struct {
		section []byte
		beyond  string // "" suffices
		problem string
	}{
		"v6":                      {with(), "", ""},
		"v6KZ":                    {attributeSection(tagCPUArch, 7), "", ""},
		"v6K":                     {attributeSection(tagCPUArch, 9), "", ""},
		"v4T":                     {attributeSection(tagCPUArch, 2), "", ""},
		"v6T2":                    {attributeSection(tagCPUArch, 8), "ARMv6T2", ""},
		"v6-M":                    {attributeSection(tagCPUArch, 11), "ARMv6-M", ""},
		"v7":                      {attributeSection(tagCPUArch, 10), "ARMv7", ""},
		"v8":                      {attributeSection(tagCPUArch, 14), "ARMv8-A", ""},
		"of the future":           {attributeSection(tagCPUArch, 99), "ARM99", ""},
		"VFPv2":                   {with(tagFPArch, 2), "", ""},
		"VFPv3":                   {with(tagFPArch, 3), "VFPv3", ""},
		"VFPv4-D16":               {with(tagFPArch, 6), "VFPv4-D16", ""},
		"Thumb-1":                 {with(tagThumbISA, 1), "", ""},
		"Thumb-2":                 {with(tagThumbISA, 2), "Thumb-2", ""},
		"Thumb of its arch":       {with(tagThumbISA, 3), "by-arch", ""},
		"NEON":                    {with(tagSIMD, 1), "NEONv1", ""},
		"iWMMXt":                  {with(tagWMMX, 1), "iWMMXt", ""},
		"ThumbEE":                 {with(tagThumbEE, 1), "ThumbEE", ""},
		"half precision":          {with(tagHalfPrecision, 1), "half-precision VFP", ""},
		"multiprocessing":         {with(tagMultiprocessor, 1), "multiprocessing instructions", ""},
		"multiprocessing, old":    {with(tagMultiOld, 1), "multiprocessing instructions", ""},
		"may divide":              {with(tagDivide, 1), "", ""},
		"divides":                 {with(tagDivide, 2), "divide instructions", ""},
		"MVE":                     {with(tagMVE, 1), "MVE", ""},
		"profile M":               {with(tagProfile, 'M'), "profile M", ""},
		"profile A":               {with(tagProfile, 'A'), "", ""},
		"secure world":            {with(tagVirtual, 1), "", ""},
		"virtualization":          {with(tagVirtual, 2), "virtualization instructions", ""},
		"of gnu beside":           {gnu, "", ""},
		"a text of the future":    {with(0xc9, 0x01, 'x', 0, tagThumbEE, 0), "", ""},
		"without defaults":        {with(tagNoDefaults, 1), "", "undefined"},
		"of one section":          {append([]byte{'A', 18, 0, 0, 0}, "aeabi\x00\x02\x08\x00\x00\x00\x01\x00\x00"...), "", "single sections"},
		"contradicting":           {attributeSection(tagCPUArch, 10, tagCPUArch, 6), "", "contradict"},
		"empty":                   {nil, "", "unknown version"},
		"of another version":      {[]byte("B"), "", "unknown version"},
		"longer than it is":       {[]byte{'A', 255, 0, 0, 0, 'a'}, "", "attributes of 255 bytes"},
		"of no length":            {[]byte{'A', 0, 0, 0, 0, 'a'}, "", "attributes of 0 bytes"},
		"a number without end":    {with(0x80, 0x80), "", "cut off or too great"},
		"a text without end":      {with(tagCPUName, '6'), "", "does not end"},
		"a vendor without a name": {[]byte{'A', 6, 0, 0, 0, 'x', 'y'}, "", "attributes of"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := parseARM(c.section, binary.LittleEndian)
			if got := strings.Join(a.Beyond, ", "); got != c.beyond || (c.problem == "") != (a.Problem == "") || !strings.Contains(a.Problem, c.problem) {
				t.Errorf("beyond %q, problem %q; want %q, %q", got, a.Problem, c.beyond, c.problem)
			}
		})
	}
	if a := parseARM(attributeSection(), binary.LittleEndian); a.CPU != "" || a.Problem != "" {
		t.Errorf("of attributes that say nothing is read %+v", a)
	}
}

// broken fails where a disk would.
type failing struct{ io.ReaderAt }

var errDisk = errors.New("disk")

func (b failing) ReadAt(p []byte, off int64) (int, error) {
	if off > 100 {
		return 0, errDisk
	}
	return b.ReaderAt.ReadAt(p, off)
}

// TestErrorsOfReading are errors, and no flaws of the file.
func TestErrorsOfReading(t *testing.T) {
	t.Parallel()
	for name, b := range seeds(t) {
		var err error
		budget := DefaultBudget()
		if IsArchive(b) {
			err = ReadArchive(failing{bytes.NewReader(b)}, int64(len(b)), name, &budget, func(farm.ELF) {})
		} else {
			_, err = Read(failing{bytes.NewReader(b)}, int64(len(b)), name, &budget)
		}
		if !errors.Is(err, errDisk) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// maxAlloc is what a file of up to a megabyte may cost in memory, garbage included.
const maxAlloc = 48 << 20

// FuzzRead: no bytes bring a panic, an error, an unprintable word or a great allocation.
func FuzzRead(f *testing.F) {
	for _, b := range seeds(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<20 {
			return
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		all := readAll(t, b, "x")
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > maxAlloc {
			t.Errorf("%d bytes cost %d bytes of memory", len(b), n)
		}
		for _, x := range all {
			for _, s := range append([]string{x.Path, x.Machine, x.SOName, x.RPath, x.RunPath, x.Problem}, x.Needed...) {
				if legible(s) != s {
					t.Errorf("an unprintable word: %q", s)
				}
			}
			if x.Problem == "" && x.Machine == "" {
				t.Errorf("nothing is said of it: %+v", x)
			}
		}
		ProveARMv6(all, false)
	})
}

// FuzzAttributes: what is read is believed only if nothing of it goes beyond an ARMv6.
func FuzzAttributes(f *testing.F) {
	f.Add(attributeSection(tagCPUArch, 6, tagFPArch, 2))
	f.Add(attributeSection(tagCPUArch, 10, tagProfile, 'A', tagThumbISA, 2))
	f.Fuzz(func(t *testing.T, b []byte) {
		a := parseARM(b, binary.LittleEndian)
		x := farm.ELF{Path: "x", Machine: "arm", Class: 32, ARM: a}
		if p := ProveARMv6([]farm.ELF{x}, false); p.Proven && (a.Problem != "" || len(a.Beyond) > 0 || a.CPU == "") {
			t.Errorf("proven by %+v", a)
		}
	})
}
