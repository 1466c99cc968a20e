package wheel

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// realELF is a file that a compiler made (internal/elffile/testdata/make).
func realELF(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../elffile/testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// elfLibrary makes a 32-bit library for a machine, by the number that ELF has for it, that
// needs a version of glibc and other libraries.
func elfLibrary(machine uint16, glibc string, needed ...string) string {
	names, needs := []byte{0}, []uint32{}
	put := func(s string) uint32 {
		at := uint32(len(names))
		names = append(append(names, s...), 0)
		return at
	}
	le := binary.LittleEndian
	var dynamic, versions []byte
	entry := func(tag, value uint32) { dynamic = le.AppendUint32(le.AppendUint32(dynamic, tag), value) }
	for _, n := range needed {
		needs = append(needs, put(n))
	}
	libc, version := put("libc.so.6"), put("GLIBC_"+glibc)
	for _, n := range []any{uint16(1), uint16(1), libc, uint32(16), uint32(0), uint32(0), uint16(0), uint16(2), version, uint32(0)} {
		versions, _ = binary.Append(versions, le, n)
	}
	const at = 52 + 2*32 // header and two program headers
	versionsAt := uint32(at + len(names))
	dynamicAt := versionsAt + uint32(len(versions))
	for _, n := range needs {
		entry(1, n)
	}
	entry(5, at)
	entry(0x6ffffffe, versionsAt)
	entry(0x6fffffff, 1)
	entry(0, 0)
	size := dynamicAt + uint32(len(dynamic))
	out := []byte("\x7fELF\x01\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	for _, n := range []any{uint16(3), machine, uint32(1), uint32(0), uint32(52), uint32(0), uint32(0x5000400), uint16(52),
		uint16(32), uint16(2), uint16(0), uint16(0), uint16(0),
		uint32(1), uint32(0), uint32(0), uint32(0), size, size, uint32(5), uint32(4096),
		uint32(2), dynamicAt, dynamicAt, dynamicAt, uint32(len(dynamic)), uint32(len(dynamic)), uint32(4), uint32(4)} {
		out, _ = binary.Append(out, le, n)
	}
	return string(out) + string(names) + string(versions) + string(dynamic)
}

const (
	arm, i386 = 40, 3
	module    = "demo_pkg/_x.cpython-311-arm-linux-gnueabihf.so"
)

// TestELFRules is what may not be published, and what is only odd.
func TestELFRules(t *testing.T) {
	t.Parallel()
	fits, newer, foreign := elfLibrary(arm, "2.36"), elfLibrary(arm, "2.38"), elfLibrary(i386, "2.4")
	linked := elfLibrary(arm, "2.4", "libc.so.6", "libz-1.so.1")
	needsPacked := elfLibrary(arm, "ABI_DT_RELR")
	broken := fits[:len(fits)-8]
	for _, c := range []struct {
		name, accepted string
		codes          string
		files          []file
	}{
		{"a module that fits", "yes", "", []file{{name: module, data: fits}}},
		{"a module for another machine", "no", CodeELFMachine, []file{{name: module, data: foreign}}},
		{"a stable module for another machine", "no", CodeELFMachine, []file{{name: "demo_pkg/x.abi3.so", data: foreign}}},
		{"a plain module for another machine", "no", CodeELFMachine, []file{{name: "demo_pkg/x.so", data: foreign}}},
		{"another Python's module", "yes", CodeELFForeign, []file{{name: "demo_pkg/x.cpython-311-x86_64-linux-gnu.so", data: foreign}}},
		{"a library for another machine that ctypes may choose", "yes", CodeELFForeign, []file{{name: "demo_pkg/libx.so", data: foreign}}},
		{"data for another machine", "yes", CodeELFForeign, []file{{name: "demo_pkg/tool", data: foreign}}},
		{"a program for another machine", "no", CodeELFMachine, []file{{name: "demo_pkg-1.0.data/scripts/tool", data: foreign}}},
		{"a program for this machine", "yes", "", []file{{name: "demo_pkg-1.0.data/scripts/tool", data: fits}}},
		{"a needed library for another machine", "no", CodeELFMachine,
			[]file{{name: "demo_pkg.libs/libz-1.so.1", data: foreign}, {name: module, data: linked}}},
		{"one of two needed libraries fits", "yes", CodeELFForeign,
			[]file{{name: "a/libz-1.so.1", data: foreign}, {name: module, data: linked}, {name: "b/libz-1.so.1", data: fits}}},

		{"a module of a newer glibc", "no", CodeELFGlibc, []file{{name: module, data: newer}}},
		{"a library of a newer glibc", "no", CodeELFGlibc, []file{{name: "demo_pkg/libx.so.2.1", data: newer}}},
		{"a program of a newer glibc", "no", CodeELFGlibc, []file{{name: "demo_pkg-1.0.data/scripts/tool", data: newer}}},
		{"data of a newer glibc", "yes", CodeELFGlibcData, []file{{name: "demo_pkg/tests/hello", data: newer}}},
		{"relocations that glibc 2.36 knows", "yes", "", []file{{name: module, data: needsPacked}}},

		{"a module that is broken", "no", CodeELFMalformed, []file{{name: module, data: broken}}},
		{"data that is broken", "yes", CodeELFMalformed, []file{{name: "demo_pkg/tests/broken", data: broken}}},
		{"the head of a file only", "yes", CodeELFForeign, []file{{name: "demo_pkg/tests/head", data: "\x7fELF\x01\x01"}}},
		{"a text by the name of a module", "yes", "", []file{{name: module, data: "INPUT(x)"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			want := want()
			want.Glibc = "2.36"
			b := good(c.files...).build()
			r, err := Verify(t.Context(), bytes.NewReader(b), int64(len(b)), goodName, want)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(codes(r), " "); got != c.codes || r.Accepted != (c.accepted == "yes") {
				t.Errorf("accepted %v with %q, want %s with %q: %+v", r.Accepted, got, c.accepted, c.codes, r.Findings)
			}
		})
	}
}

// TestELFReport is what a report says of a wheel with a library and an archive.
func TestELFReport(t *testing.T) {
	t.Parallel()
	r := check(t, good(file{name: module, data: realELF(t, "v7.so"), method: 8}, file{name: "demo_pkg/libx.a", data: realELF(t, "v6.a"), method: 8}).build(), goodName)
	if len(r.ELF) != 2 || r.ELF[0].Path != module || r.ELF[0].GLIBC != "2.4" || r.ELF[1].Path != "demo_pkg/libx.a(v6.o)" {
		t.Errorf("files: %+v", r.ELF)
	}
	if r.ARMv6 == nil || r.ARMv6.Proven || !strings.Contains(r.ARMv6.Reason, "ARMv7") {
		t.Errorf("for armv6l: %+v", r.ARMv6)
	}
}

// TestLargeELF is read through a file, and the same is read of it.
func TestLargeELF(t *testing.T) {
	t.Parallel()
	large := realELF(t, "v6.so") + strings.Repeat("\x00", 20<<20)
	l := DefaultLimits()
	l.Scratch = t.TempDir()
	b := good(file{name: module, data: large, method: 8}).build()
	r, err := l.Verify(t.Context(), bytes.NewReader(b), int64(len(b)), goodName, want())
	if err != nil {
		t.Fatal(err)
	}
	if !r.Accepted || len(r.ELF) != 1 || r.ELF[0].ARM == nil || !r.ARMv6.Proven {
		t.Errorf("%+v", r)
	}
	l.Scratch = "/nonexistent"
	if _, err := l.Verify(t.Context(), bytes.NewReader(b), int64(len(b)), goodName, want()); err == nil {
		t.Error("without a folder for it, nothing is said")
	}
}
