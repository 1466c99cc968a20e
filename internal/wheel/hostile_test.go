package wheel

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// hostile is a wheel that must be refused with a finding of this code; without a
// code it must be accepted.
type hostile struct {
	what   string
	recipe recipe
	code   string
}

func checkAll(t *testing.T, cases []hostile) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			r := check(t, c.recipe.build(), goodName)
			if r.Accepted != (c.code == "") {
				t.Errorf("accepted: %v, want code %q; findings: %+v", r.Accepted, c.code, r.Findings)
			}
			if c.code != "" && !slices.Contains(codes(r), c.code) {
				t.Errorf("codes %v, want %s", codes(r), c.code)
			}
			for _, f := range r.Findings {
				if strings.ContainsAny(f.Entry+f.Message, "\n\x00\u202e") {
					t.Errorf("a finding is not printable: %q", f)
				}
			}
		})
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, code string }{
		{"demo_pkg/ok.py", ""},
		{"demo_pkg/a b;$(x).py", ""},
		{"demo_pkg/.hidden", ""},
		{"demo_pkg/..hidden", ""},
		{"demo_pkg/a:b", ""},
		{"demo_pkg/%2e%2e/x", ""},
		{"demo_pkg/é.py", ""},
		{"demo_pkg/日本語.py", ""},
		{"/etc/passwd", CodeAbsolute},
		{"//server/share/x", CodeAbsolute},
		{`\\server\share\x`, CodeBackslash},
		{`..\x`, CodeBackslash},
		{"C:x", CodeAbsolute},
		{"c:/x", CodeAbsolute},
		{"demo_pkg/D:/x", CodeAbsolute},
		{"demo_pkg/../../x", CodeTraversal},
		{"demo_pkg/..", CodeTraversal},
		{"demo_pkg/../", CodeTraversal},
		{"./demo_pkg/x", CodeTraversal},
		{"demo_pkg/./x", CodeTraversal},
		{"demo_pkg//x", CodeTraversal},
		{"demo_pkg/x//", CodeTraversal},
		{".", CodeTraversal},
		{"/", CodeTraversal},
		{"...", CodeTraversal},
		{"demo_pkg/.. /x", CodeTraversal},
		{"", CodeTraversal},
		{"\uff0e\uff0e/x", CodeTraversal},
		{"demo_pkg/\u2025/\u2025/x", CodeTraversal},
		{"demo_pkg/a\nb", CodeNameCharacter},
		{"demo_pkg/a\rb", CodeNameCharacter},
		{"demo_pkg/a\x00b", CodeNameCharacter},
		{"demo_pkg/a\x1b[31mb", CodeNameCharacter},
		{"demo_pkg/a\x7fb", CodeNameCharacter},
		{"demo_pkg/a\u0085b", CodeNameCharacter},
		{"demo_pkg/a\u202eb", CodeNameCharacter},
		{"demo_pkg/a\u2066b", CodeNameCharacter},
		{"demo_pkg/a\u200bb", CodeNameCharacter},
		{"demo_pkg/a\ufeffb", CodeNameCharacter},
		{"demo_pkg/a\u2028b", CodeNameCharacter},
		{"demo_pkg/\xff\xfe", CodeNameEncoding},
		{"\xc0\xae\xc0\xae/x", CodeNameEncoding}, // overlong dots
		{"demo_pkg/" + strings.Repeat("a", 2000), CodeNameLength},
		{"demo_pkg/" + strings.Repeat("a", 300), CodeNameLength},
		{strings.Repeat("a/", 200) + "x", CodeNameDepth},
	}
	var all []hostile
	for i, c := range cases {
		f := file{name: c.name, data: "1", flags: flagUTF8}
		if strings.HasSuffix(c.name, "/") {
			f.data = ""
		}
		all = append(all, hostile{fmt.Sprintf("%d %q", i, c.name[:min(20, len(c.name))]), good(f), c.code})
	}
	all = append(all, hostile{"not marked as UTF-8", good(file{name: "demo_pkg/é.py"}), CodeNameEncoding})
	checkAll(t, all)
}

func TestModes(t *testing.T) {
	t.Parallel()
	one := func(mode uint32) recipe { return good(file{name: "demo_pkg/m", data: "../x", mode: mode}) }
	checkAll(t, []hostile{
		{"executable", one(0o100755), ""},
		{"no type", one(0o644), ""},
		{"symlink", one(0o120777), CodeSymlink},
		{"fifo", one(0o010644), CodeSpecialFile},
		{"character device", one(0o020644), CodeSpecialFile},
		{"block device", one(0o060644), CodeSpecialFile},
		{"socket", one(0o140644), CodeSpecialFile},
		{"unknown type", one(0o150644), CodeSpecialFile},
		{"set-uid", one(0o104755), CodeSetuid},
		{"set-gid", one(0o102755), CodeSetuid},
		{"sticky", one(0o101755), CodeSetuid},
		{"folder by mode", one(0o040755), CodeMode},
		{"folder by attribute", good(file{name: "demo_pkg/m", attrs: dosFolder}), CodeMode},
		{"file by mode", good(file{name: "demo_pkg/m/", mode: 0o100644}), CodeMode},
		{"folder", good(file{name: "demo_pkg/m/", attrs: dosFolder}), ""},
		{"folder with content", good(file{name: "demo_pkg/m/", data: "x"}), CodeFolderContent},
		{"folder that is a symlink", good(file{name: "demo_pkg/m/", mode: 0o120777}), CodeSymlink},
	})
}

func TestDuplicates(t *testing.T) {
	t.Parallel()
	two := func(a, b string) recipe {
		return good(file{name: a, data: "1", flags: flagUTF8}, file{name: b, data: "1", flags: flagUTF8, noRow: a == b})
	}
	checkAll(t, []hostile{
		{"same", two("demo_pkg/a", "demo_pkg/a"), CodeDuplicate},
		{"case", two("demo_pkg/a", "demo_pkg/A"), CodeDuplicateCase},
		{"case of letters beyond ASCII", two("demo_pkg/ς", "demo_pkg/σ"), CodeDuplicateCase},
		{"normal forms", two("demo_pkg/e\u0301", "demo_pkg/\u00e9"), CodeDuplicateCase},
		{"file and file below it", two("demo_pkg/a", "demo_pkg/a/b"), CodeFileAsFolder},
		{"the same in another case", two("demo_pkg/a", "demo_pkg/A/b/c"), CodeFileAsFolder},
		{"file and folder", good(file{name: "demo_pkg/a", data: "1"}, file{name: "demo_pkg/a/"}), CodeFileAsFolder},
		{"folder twice", good(file{name: "demo_pkg/"}, file{name: "demo_pkg/"}), CodeDuplicate},
		{"root and purelib", two("demo_pkg/a", "demo_pkg-1.0.data/purelib/demo_pkg/a"), CodeDuplicate},
		{"root and scripts", two("demo", "demo_pkg-1.0.data/scripts/demo"), ""},
	})
}

func TestContainer(t *testing.T) {
	t.Parallel()
	one := func(change func(*file)) recipe {
		f := file{name: "demo_pkg/f.txt", data: strings.Repeat("text ", 100), method: 8}
		change(&f)
		return good(f)
	}
	with := func(change func(*recipe)) recipe {
		r := good()
		change(&r)
		return r
	}
	u16, u32 := ptr[uint16], ptr[uint32]
	extra64 := func(values ...any) string {
		body := pack(values...)
		return pack(uint16(1), uint16(len(body)), body)
	}
	const ones = 1<<32 - 1
	checkAll(t, []hostile{
		{"plain", one(func(f *file) {}), ""},
		{"descriptor", one(func(f *file) { f.desc = 16 }), ""},
		{"descriptor, nothing in the local header", one(func(f *file) { f.desc, f.zeroLocal = 16, true }), ""},
		{"descriptor without signature", one(func(f *file) { f.desc, f.zeroLocal = 12, true }), ""},
		{"descriptor with 64 bits", one(func(f *file) { f.desc, f.zeroLocal = 24, true }), ""},
		{"descriptor lies", one(func(f *file) { f.desc, f.zeroLocal, f.descLie = 16, true, 1 }), CodeZipDescriptor},
		{"descriptor lies in 64 bits", one(func(f *file) { f.desc, f.zeroLocal, f.descLie = 20, true, 1 }), CodeZipDescriptor},
		{"descriptor announced only", one(func(f *file) { f.flags = flagDescriptor }), CodeZipDescriptor},
		{"zero sizes without descriptor", one(func(f *file) { f.zeroLocal = true }), CodeZipLocalHeader},
		{"encrypted", one(func(f *file) { f.flags = flagEncrypted }), CodeZipEncrypted},
		{"strongly encrypted", one(func(f *file) { f.flags = flagEncrypted | flagStrong }), CodeZipEncrypted},
		{"masked headers", one(func(f *file) { f.flags = flagMasked }), CodeZipEncrypted},
		{"patch data", one(func(f *file) { f.flags = 1 << 5 }), CodeZipFlags},
		{"lzma", one(func(f *file) { f.method = 14 }), CodeZipMethod},
		{"zstandard", one(func(f *file) { f.method = 93 }), CodeZipMethod},
		{"deflate64", one(func(f *file) { f.method = 9 }), CodeZipMethod},
		{"local name", one(func(f *file) { f.localName = ptr("demo_pkg/g.txt") }), CodeZipLocalHeader},
		{"local name of another length", one(func(f *file) { f.localName = ptr("../x") }), CodeZipLocalHeader},
		{"local flags", one(func(f *file) { f.localFlags = u16(flagEncrypted) }), CodeZipLocalHeader},
		{"local method", one(func(f *file) { f.localMethod = u16(0) }), CodeZipLocalHeader},
		{"local size", one(func(f *file) { f.localSize = u32(7) }), CodeZipLocalHeader},
		{"wrong CRC", one(func(f *file) { f.crc = u32(1) }), CodeZipCRC},
		{"size too small", one(func(f *file) { f.size = u32(499) }), CodeZipSize},
		{"size too large", one(func(f *file) { f.size = u32(501) }), CodeZipSize},
		{"stored with two sizes", one(func(f *file) { f.method, f.size = 0, u32(499) }), CodeZipSize},
		{"packed too large", one(func(f *file) { f.packed = u32(600) }), CodeZipOverlap},
		{"packed too small", one(func(f *file) { f.packed = u32(3) }), CodeZipGap},
		{"bytes behind the data", one(func(f *file) { f.tail = "hidden" }), CodeZipData},
		{"data are no deflate stream", one(func(f *file) { f.packedAlready = true }), CodeZipData},
		{"offset of another entry", one(func(f *file) { f.offset = u32(0) }), CodeZipOverlap},
		{"offset beyond the end", one(func(f *file) { f.offset = u32(1 << 30) }), CodeZipDirectory},
		{"gap", one(func(f *file) { f.gap = "gap" }), CodeZipGap},
		{"prefix", with(func(r *recipe) { r.prefix = "#!/bin/sh\n" }), CodeZipGap},
		{"bytes before the directory", with(func(r *recipe) { r.beforeCD = "hidden" }), CodeZipGap},
		{"appended", with(func(r *recipe) { r.trailing = "junk" }), CodeZipTrailing},
		{"another zip appended", with(func(r *recipe) { r.trailing = string(good().build()) }), CodeZipDirectory},
		{"an empty zip appended", with(func(r *recipe) { r.trailing = endRecord(0, 0, 0, "") }), CodeNotZip},
		{"comment", with(func(r *recipe) { r.comment = "made by hand" }), ""},
		{"comment with an end record", with(func(r *recipe) { r.comment = endRecord(0, 0, 0, "") }), CodeZipEndRecord},
		{"comment with half of one", with(func(r *recipe) { r.comment = sigEnd + "x" }), CodeZipEndRecord},
		{"second name", one(func(f *file) { f.extra = pack(uint16(0x7075), uint16(6), "\x01", uint32(0), "x") }), CodeZipUnicodePath},
		{"second name, local", one(func(f *file) { f.localExtra = pack(uint16(0x7075), uint16(6), "\x01", uint32(0), "x") }), CodeZipUnicodePath},
		{"time stamps", one(func(f *file) { f.extra = pack(uint16(0x5455), uint16(5), "\x01", uint32(0)) }), ""},
		{"extra cut off", one(func(f *file) { f.extra = pack(uint16(0x5455), uint16(50), "\x01") }), CodeZipExtra},
		{"extra stray bytes", one(func(f *file) { f.extra = "\x00" }), CodeZipExtra},
		{"part of several", one(func(f *file) { f.disk = 1 }), CodeZipMultiDisk},
		{"zip64 contradicts", one(func(f *file) { f.extra = extra64(uint64(1), uint64(2)) }), CodeZip64},
		{"zip64 twice", one(func(f *file) { f.extra = extra64() + extra64() }), CodeZip64},
		{"zip64 odd", one(func(f *file) { f.extra = extra64("abc") }), CodeZip64},
		{"zip64 size beyond all", one(func(f *file) { f.size, f.extra = u32(ones), extra64(uint64(1)<<63) }), CodeZip64},
		{"zip64 missing", one(func(f *file) { f.size = u32(ones) }), CodeBombTotal},
		{"end record of several parts", with(func(r *recipe) {
			r.end = func(n int, size, off uint32) string {
				return pack(sigEnd, uint32(1), uint16(n), uint16(n), size, off, uint16(0))
			}
		}), CodeZipMultiDisk},
		{"end record counts fewer", with(func(r *recipe) {
			r.end = func(n int, size, off uint32) string { return endRecord(n-1, size, off, "") }
		}), CodeZipEntryCount},
		{"end record counts fewer, shorter directory", with(func(r *recipe) {
			r.end = func(n int, size, off uint32) string { return endRecord(n-1, size-10, off, "") }
		}), CodeZipDirectory},
		{"directory elsewhere", with(func(r *recipe) {
			r.end = func(n int, size, off uint32) string { return endRecord(n, size, off-1, "") }
		}), CodeZipDirectory},
	})
}

// end64 makes the three end records of a zip64, and lets a test change each.
func end64(change func(rec, loc, end *[]byte)) func(int, uint32, uint32) string {
	return func(n int, size, off uint32) string {
		rec := []byte(pack(sigEnd64, uint64(44), uint16(45), uint16(45), uint32(0), uint32(0),
			uint64(n), uint64(n), uint64(size), uint64(off)))
		loc := []byte(pack(sigLocator64, uint32(0), uint64(off+size), uint32(1)))
		end := []byte(endRecord(n, size, off, ""))
		change(&rec, &loc, &end)
		return string(rec) + string(loc) + string(end)
	}
}

func TestZip64End(t *testing.T) {
	t.Parallel()
	with := func(change func(rec, loc, end *[]byte)) recipe {
		r := good()
		r.end = end64(change)
		return r
	}
	checkAll(t, []hostile{
		{"agreeing", with(func(rec, loc, end *[]byte) {}), ""},
		{"count differs", with(func(rec, loc, end *[]byte) { (*rec)[24]++; (*rec)[32]++ }), CodeZip64},
		{"offset differs", with(func(rec, loc, end *[]byte) { (*rec)[48]++ }), CodeZip64},
		{"deferred offset lies", with(func(rec, loc, end *[]byte) {
			copy((*end)[16:], "\xff\xff\xff\xff")
			(*rec)[48]++
		}), CodeZipDirectory},
		{"deferred offset overflows", with(func(rec, loc, end *[]byte) {
			copy((*end)[16:], "\xff\xff\xff\xff")
			copy((*rec)[48:], "\xff\xff\xff\xff\xff\xff\xff\xff")
		}), CodeZipDirectory},
		{"deferred count beyond all", with(func(rec, loc, end *[]byte) {
			copy((*end)[8:], "\xff\xff\xff\xff")
			copy((*rec)[24:], strings.Repeat("\x7f", 16))
		}), CodeZipTooMany},
		{"locator points elsewhere", with(func(rec, loc, end *[]byte) { (*loc)[8]-- }), CodeZip64},
		{"record has extensible data", with(func(rec, loc, end *[]byte) { *rec = append(*rec, "data"...) }), CodeZip64},
		{"record is none", with(func(rec, loc, end *[]byte) { (*rec)[0]++ }), CodeZip64},
		{"several parts", with(func(rec, loc, end *[]byte) { (*loc)[16] = 2 }), CodeZipMultiDisk},
		{"several parts by the record", with(func(rec, loc, end *[]byte) { (*rec)[16] = 1 }), CodeZipMultiDisk},
	})
}
