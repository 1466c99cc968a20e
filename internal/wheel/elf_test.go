package wheel

import (
	"bytes"
	"strings"
	"testing"

	"pinwheel/internal/elffile"
	"pinwheel/internal/wheeltest"
)

func realELF(t testing.TB, name string) string { return string(wheeltest.RealELF(t, name)) }

func elfLibrary(machine uint16, glibc string, needed ...string) string {
	return string(wheeltest.Library{Machine: machine, Needed: needed, Versions: []string{"GLIBC_" + glibc}}.Make())
}

const (
	arm, i386 = wheeltest.ARM, wheeltest.I386
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
		{"a program of data for another machine", "no", CodeELFMachine, []file{{name: "demo_pkg-1.0.data/data/bin/tool", data: foreign}}},
		{"data of data for another machine", "yes", CodeELFForeign, []file{{name: "demo_pkg-1.0.data/data/share/bin/tool", data: foreign}}},
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

// TestExtensionNames: what the target's Python would load of a name is its module, by the
// rules of its time.
func TestExtensionNames(t *testing.T) {
	t.Parallel()
	const triple = "-arm-linux-gnueabihf.so"
	for _, c := range []struct {
		abi, name string
		loads     bool
	}{
		{"cp311", "x.cpython-311" + triple, true},
		{"cp311", "x.cpython-310" + triple, false},
		{"cp311", "x.cpython-311-x86_64-linux-gnu.so", false},
		{"cp37m", "x.cpython-37m" + triple, true},
		{"cp37m", "x.cpython-37" + triple, false},
		{"cp36m", "x.cpython-36m" + triple, true},
		{"cp313t", "x.cpython-313t" + triple, true},
		{"cp313", "x.cpython-313t" + triple, false},
		{"cp27mu", "x.so", true},
		{"cp27mu", "x.arm-linux-gnueabihf.so", true},
		{"cp27mu", "x.x86_64-linux-gnu.so", false},
		{"cp311", "x.abi3.so", true},
		{"cp311", "libx.so", false},
		{"cp311", "a/b/x.so", true},
	} {
		v := &verifier{want: want()}
		v.want.Target.ABI = c.abi
		m, _ := elffile.MachineOf(v.want.Target.Platform)
		if got := v.isExtension(c.name, m); got != c.loads {
			t.Errorf("%s loads %s: %v", c.abi, c.name, got)
		}
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
