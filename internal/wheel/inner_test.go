package wheel

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"pinwheel/internal/wheeltest"
)

func gzipped(t testing.TB, s string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, s); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// tarOf makes a tar of files, given as name and content.
func tarOf(t testing.TB, files ...string) string {
	t.Helper()
	var b bytes.Buffer
	z := tar.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		if err := z.WriteHeader(&tar.Header{Name: files[i], Mode: 0o644, Size: int64(len(files[i+1]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(z, files[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// zipped makes a zip, as most tools do.
func zipped(t testing.TB, files ...string) string {
	t.Helper()
	var list []wheeltest.File
	for i := 0; i < len(files); i += 2 {
		list = append(list, wheeltest.Text(files[i], files[i+1]))
	}
	return string(wheeltest.Zip(t, list...))
}

// bzip2Of is a bzip2 of "hello\n", which the standard library cannot make.
const bzip2Hello = "BZh91AY&SY\xc1\xc0\x80\xe2\x00\x00\x01\x41\x00\x00\x10\x02\x44\xa0\x00\x30\xcd\x00\xc3\x46\x29\x97\x17\x72\x45\x38\x50\x90\xc1\xc0\x80\xe2"

// TestCodeInside: with code in it that nobody reads, or with what cannot be looked into, a
// wheel is accepted and not proven, whoever vouches for it.
func TestCodeInside(t *testing.T) {
	t.Parallel()
	v6, v7 := realELF(t, "v6.so"), realELF(t, "v7.so")
	text := strings.Repeat("nothing to see\n", 100)
	for _, c := range []struct {
		name, data string
		reason     string // "" it is proven
	}{
		{"a text", text, ""},
		{"an empty file", "", ""},
		{"a zip of texts", zipped(t, "a", text, "b/", "", "b/c", "x"), ""},
		{"a gzip of a text", gzipped(t, text), ""},
		{"a tar of texts", tarOf(t, "a", text, "b", "x"), ""},
		{"a tar.gz of texts", gzipped(t, tarOf(t, "a", text)), ""},
		{"a zip in a tar.gz", gzipped(t, tarOf(t, "a.zip", zipped(t, "b", text))), ""},
		{"a gzip in a zip", zipped(t, "a.gz", gzipped(t, text)), ""},
		{"a bzip2 of a text", bzip2Hello, ""},
		{"what begins like an ELF file", "\x7fELF", "outside of its 4"},
		{"the word only", text + "\x7fELF" + text, ""},

		{"a zip of a library", zipped(t, "lib/x.so", v7), "inside of it, lib/x.so: an ELF file"},
		{"even of one for an ARMv6", zipped(t, "lib/x.so", v6), "inside of it, lib/x.so: an ELF file"},
		{"a zip of an archive", zipped(t, "x.a", realELF(t, "v6.a")), "x.a: an ELF file"},
		{"a zip of an archive of nothing", zipped(t, "x.a", "!<arch>\n"), "x.a: an archive of object files"},
		{"a zip behind a program", "#!/bin/sh\nexit\n" + zipped(t, "x.so", v7), "a zip behind something else"},
		{"a gzip of a library", gzipped(t, v7), "an ELF file"},
		{"a tar of a library", tarOf(t, "readme", text, "x.so", v7), "x.so: an ELF file"},
		{"a tar.gz of a library", gzipped(t, tarOf(t, "x.so", v7)), "x.so: an ELF file"},
		{"a library behind a tar", tarOf(t, "a", text) + v7, "an ELF file"},
		{"a library behind a text", strings.Repeat(text, 100) + v7, "an ELF file"},
		{"a zip in a zip", zipped(t, "a.zip", zipped(t, "x.so", v7)), "a.zip: x.so: an ELF file"},
		{"a gzip in a tar", tarOf(t, "a.gz", gzipped(t, v7)), "a.gz: an ELF file"},
		{"a zip in a zip in a zip in a zip in a zip", zipped(t, "1", zipped(t, "2", zipped(t, "3", zipped(t, "4", zipped(t, "5", text))))), "too many"},
		{"xz", "\xfd7zXZ\x00" + text, "compressed there with xz"},
		{"zstd in a zip", zipped(t, "a", "\x28\xb5\x2f\xfd"+text), "a: whatever is compressed there with zstd"},
		{"a short xz", "\xfd7zXZ\x00", "xz"},
		{"half a zip", zipped(t, "a", text, "b", text)[:200], "a zip that is broken"},
		{"half a gzip", gzipped(t, text)[:30], "an archive that is broken"},
		{"half a tar", tarOf(t, "a", text)[:700], "an archive that is broken"},
		{"half a bzip2", bzip2Hello[:20], "an archive that is broken"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, vouched := range []bool{false, true} {
				expect := want()
				expect.VouchesARMv6 = vouched
				b := good(file{name: module, data: v6, method: 8}, file{name: "demo_pkg/data", data: c.data, method: 8}).build()
				r, err := Verify(t.Context(), bytes.NewReader(b), int64(len(b)), goodName, expect)
				if err != nil {
					t.Fatal(err)
				}
				if !r.Accepted || r.ARMv6.Proven != (c.reason == "") || !strings.Contains(r.ARMv6.Reason, c.reason) {
					t.Errorf("vouched for %v: proven %v, %s; want %q; %+v", vouched, r.ARMv6.Proven, r.ARMv6.Reason, c.reason, r.Findings)
				}
			}
		})
	}
}

// TestNobodyLooksInside of wheels for which the answer does not matter.
func TestNobodyLooksInside(t *testing.T) {
	t.Parallel()
	expect := want()
	expect.Target.Platform = "linux_x86_64"
	r := good(file{name: "demo_pkg/data.zip", data: zipped(t, "x.so", realELF(t, "v7.so"))})
	r.wheel = strings.ReplaceAll(goodWheel, "armv7l", "x86_64")
	b := r.build()
	got, err := Verify(t.Context(), bytes.NewReader(b), int64(len(b)), strings.ReplaceAll(goodName, "armv7l", "x86_64"), expect)
	if err != nil || !got.Accepted || len(got.ELF) > 0 || got.ARMv6 != nil {
		t.Errorf("%v, %+v", err, got)
	}
}

// TestInnerBounds: what unpacks without end, or has members without end, is given up and
// not proven; the wheel is accepted, since whoever installs it unpacks none of that.
func TestInnerBounds(t *testing.T) {
	t.Parallel()
	zeros := strings.Repeat("\x00", 1<<20)
	var many []string
	for i := range innerEntries + 1 {
		many = append(many, fmt.Sprint(i), "")
	}
	for _, c := range []struct{ name, data, reason string }{
		{"a gzip", gzipped(t, strings.Repeat(zeros, 10)), errInner.Error()},
		{"a gzip in a gzip", gzipped(t, gzipped(t, strings.Repeat(zeros, 10))), errInner.Error()},
		{"a zip in a zip", zipped(t, "a", zipped(t, "b", strings.Repeat(zeros, 10))), errInner.Error()},
		{"a large zip in a tar", tarOf(t, "a", "PK\x03\x04"+strings.Repeat(zeros, 17)), "too large"},
		{"members", zipped(t, many...), "20001 entries"},
		{"many bzip2s", tarOf(t, slicesOf(20, "a.bz2", bzip2Hello)...), errInner.Error()},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := DefaultLimits()
			l.Inner = 8 << 20
			if c.reason == "too large" {
				l.Inner = 2 * innerZip
			}
			b := good(file{name: module, data: realELF(t, "v6.so")}, file{name: "demo_pkg/data", data: c.data}).build()
			r, err := l.Verify(t.Context(), bytes.NewReader(b), int64(len(b)), goodName, want())
			if err != nil || !r.Accepted || r.ARMv6.Proven || !strings.Contains(r.ARMv6.Reason, c.reason) {
				t.Errorf("%v, %+v, %+v", err, r.ARMv6, r.Findings)
			}
		})
	}
}

func slicesOf(n int, more ...string) (all []string) {
	for range n {
		all = append(all, more...)
	}
	return all
}

// TestScannerSeesAcross: a mark is found wherever two pieces meet in it.
func TestScannerSeesAcross(t *testing.T) {
	t.Parallel()
	for _, mark := range []string{"\x7fELF\x01\x01\x01", markArchive, markZip} {
		text := "text before" + mark + "text behind"
		for a := range len(text) {
			for b := a; b < len(text); b += 1 + (b-a)/4 {
				s := scanner{}
				for _, piece := range []string{text[:a], text[a:b], text[b:]} {
					s.see([]byte(piece))
				}
				if s.found == "" {
					t.Errorf("%q cut at %d and %d is not found", mark, a, b)
				}
			}
		}
	}
}

// FuzzInner: no bytes bring a panic, an error, an unprintable word or a great allocation;
// and code that stands there as it is, in what is no archive, is always found.
func FuzzInner(f *testing.F) {
	v7 := realELF(f, "run-v7")
	for _, s := range []string{
		zipped(f, "a", "text", "x.so", v7), gzipped(f, v7), tarOf(f, "a", "text", "b.gz", gzipped(f, "text"), "x.so", v7),
		gzipped(f, tarOf(f, "a.zip", zipped(f, "b", bzip2Hello))), bzip2Hello, "\xfd7zXZ\x00", "text\x7fELF\x01\x01\x01", v7,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		src := &source{ctx: t.Context(), r: bytes.NewReader(b), size: int64(len(b))}
		n := &inner{of: src, left: 8 << 20, buf: make([]byte, 32<<10)}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		what, err := n.look(&section{src: src, left: src.size}, src, innerDepth)
		runtime.ReadMemStats(&after)
		if err != nil {
			t.Fatal(err)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 2*maxAlloc {
			t.Errorf("%d bytes cost %d bytes of memory", len(b), n)
		}
		if printable(what, 1000) != what {
			t.Errorf("an unprintable word: %q", what)
		}
		if hasELF(b) && formOf(b[:min(len(b), headLen)]) == formPlain && what == "" {
			t.Error("an ELF file is not found")
		}
	})
}
