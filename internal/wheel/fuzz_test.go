package wheel

import (
	"archive/zip"
	"bytes"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fuzzLimits keep one run short; the code paths are the same.
func fuzzLimits() Limits {
	l := DefaultLimits()
	l.FileSize, l.Total, l.RatioFloor = 1<<20, 4<<20, 1<<20
	l.Metadata, l.Record, l.Entries = 64<<10, 64<<10, 1000
	return l
}

// maxAlloc is what one verification within fuzzLimits may allocate in all, garbage
// included: more than it needs, far less than a bomb would take.
const maxAlloc = 24 << 20

func addWheels(f *testing.F, add func(b []byte, upload string)) {
	for _, c := range readManifest(f) {
		if strings.HasPrefix(c.id, "bomb_") {
			continue // too long to be changed usefully
		}
		if b := manifestWheel(f, c.file); len(b) < 20_000 {
			add(b, c.upload)
		}
	}
	add(good(file{name: "demo_pkg/d", data: "text", method: 8, desc: 24, zeroLocal: true}).build(), goodName)
	r := good()
	r.end = end64(func(_, _, _ *[]byte) {})
	add(r.build(), goodName)
}

// FuzzVerify: no wheel brings a panic, an error, an unprintable finding or a
// great allocation.
func FuzzVerify(f *testing.F) {
	addWheels(f, func(b []byte, upload string) { f.Add(b, upload) })
	expect := want()
	f.Fuzz(func(t *testing.T, b []byte, filename string) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r, err := fuzzLimits().Verify(t.Context(), bytes.NewReader(b), int64(len(b)), filename, expect)
		runtime.ReadMemStats(&after)
		if err != nil {
			t.Fatal(err)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > maxAlloc {
			t.Errorf("%d bytes of a wheel cost %d bytes of memory", len(b), n)
		}
		errors := 0
		for _, x := range r.Findings {
			if x.Severity == Error {
				errors++
			}
			if x.Code == "" || x.Message == "" || printable(x.Entry+x.Message, 1000) != x.Entry+x.Message {
				t.Errorf("finding %+v", x)
			}
		}
		if r.Accepted != (errors == 0) {
			t.Errorf("accepted %v with %d errors", r.Accepted, errors)
		}
	})
}

// FuzzZip: what the parser takes without a finding, archive/zip reads alike.
func FuzzZip(f *testing.F) {
	addWheels(f, func(b []byte, _ string) { f.Add(b) })
	type listed struct {
		Packed, Size, Data int64
		CRC                uint32
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		found := findings{max: 100}
		src := &source{ctx: t.Context(), r: bytes.NewReader(b), size: int64(len(b))}
		entries, err := readEntries(src, fuzzLimits(), &found)
		if err != nil || found.errors > 0 {
			return
		}
		ours, theirs := map[string][]listed{}, map[string][]listed{}
		for _, e := range entries {
			ours[e.name] = append(ours[e.name], listed{e.packed, e.size, e.data, e.crc})
		}
		z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatalf("archive/zip refuses it: %v", err)
		}
		for _, x := range z.File {
			at, err := x.DataOffset()
			if err != nil {
				t.Fatalf("archive/zip finds no data: %v", err)
			}
			theirs[x.Name] = append(theirs[x.Name], listed{int64(x.CompressedSize64), int64(x.UncompressedSize64), at, x.CRC32})
		}
		if len(z.File) != len(entries) || len(theirs) != len(ours) {
			t.Errorf("%d entries, archive/zip has %d", len(entries), len(z.File))
		}
		for name, want := range theirs {
			if len(want) > 1 {
				continue // duplicates are refused later; their order means nothing
			}
			if diff := cmp.Diff(want, ours[name]); diff != "" {
				t.Errorf("%q: archive/zip (-) and we (+):\n%s", name, diff)
			}
		}
	})
}

// FuzzName: a name that is taken stays below the folder it is joined to.
func FuzzName(f *testing.F) {
	for _, s := range []string{"demo_pkg/a.py", "../x", "a/../../x", "/x", `a\b`, "C:/x", "a//b", "a/./b", "\u2025/x", "a\x00b", "a/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if code, _ := nameFlaw(&entry{name: name, flags: flagUTF8}, DefaultLimits()); code != "" {
			return
		}
		plain := strings.TrimSuffix(name, "/")
		if !filepath.IsLocal(plain) || filepath.Clean(plain) != plain {
			t.Errorf("%q is taken", name)
		}
		if printable(name, 2000) != name && !strings.ContainsFunc(name, func(r rune) bool { return r > 0x7f }) {
			t.Errorf("%q is taken and not printable", name)
		}
	})
}

// FuzzRecord: any text gives rows that can be compared, or a finding.
func FuzzRecord(f *testing.F) {
	f.Add(recordRow("demo_pkg/a.py", "x") + "\nRECORD,,\n")
	f.Add("\"a,b \"\"c\"\".txt\",sha512=AAAA,1\r\n")
	f.Add("a,md5=x,1\na,sha256=,-1\nb,,\nc\n\"")
	f.Fuzz(func(t *testing.T, s string) {
		found := findings{max: 10}
		rows := parseRecord([]byte(s), "RECORD", 100, &found)
		if rows == nil && found.errors == 0 {
			t.Error("no rows, no finding")
		}
		for path, w := range rows {
			h := newHash(w.algorithm)
			if w.size < -1 || w.flawed && found.errors == 0 || w.algorithm != "" && h.Size() != len(w.digest) {
				t.Errorf("%q: %+v", path, w)
			}
		}
	})
}
