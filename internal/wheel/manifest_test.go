package wheel

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// manifestCase is one row of testdata/badwheels/manifest.tsv.
type manifestCase struct{ id, file, upload, verdict, class string }

func readManifest(t testing.TB) []manifestCase {
	t.Helper()
	b, err := os.ReadFile("testdata/badwheels/manifest.tsv")
	if err != nil {
		t.Fatal(err)
	}
	var cases []manifestCase
	for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n")[1:] {
		f := strings.Split(line, "\t")
		c := manifestCase{id: f[0], file: f[1], verdict: f[3], class: f[5]}
		if err := json.Unmarshal([]byte(f[2]), &c.upload); err != nil {
			t.Fatalf("%s: %v", c.id, err)
		}
		cases = append(cases, c)
	}
	return cases
}

// TestManifest holds the verdicts against the conformance material, and each
// reason against the class of the case.
func TestManifest(t *testing.T) {
	t.Parallel()
	reasons := map[string]string{
		"traversal": "zip-traversal zip-absolute zip-backslash", "symlink": "zip-symlink zip-setuid",
		"zip": "zip- not-zip", "name": "filename dist-info-name metadata-", "filename": "filename",
		"version": "filename", "tags": "tag- wheel-tags", "structure": "dist-info-missing metadata-missing record-missing",
		"wheelver": "wheel-invalid", "metadata": "metadata-", "record": "record-", "dup": "zip-duplicate",
		"bomb": "bomb- zip-overlap", "notzip": "not-zip",
	}
	cases := readManifest(t)
	if len(cases) != 89 {
		t.Fatalf("%d cases in the manifest, want 89", len(cases))
	}
	for _, c := range cases {
		t.Run(c.id, func(t *testing.T) {
			t.Parallel()
			r := check(t, manifestWheel(t, c.file), c.upload)
			if got := r.Accepted; got != (c.verdict == "accept") {
				t.Fatalf("accepted: %v, want %s; findings: %+v", got, c.verdict, r.Findings)
			}
			if !r.Accepted && !hasReason(r, strings.Fields(reasons[c.class])) {
				t.Errorf("class %s, findings: %+v", c.class, r.Findings)
			}
		})
	}
}

func hasReason(r Report, prefixes []string) bool {
	for _, f := range r.Findings {
		for _, p := range prefixes {
			if f.Severity == Error && strings.HasPrefix(f.Code, p) {
				return true
			}
		}
	}
	return false
}

// manifestWheel reads a wheel of the conformance material; the two large bombs
// are made here instead.
func manifestWheel(t testing.TB, name string) []byte {
	t.Helper()
	switch name {
	case "bomb_4g.whl":
		return bombOne(9 << 29)
	case "bomb_many.whl":
		return bombMany(64, 64<<20)
	}
	b, err := os.ReadFile(filepath.Join("testdata/badwheels", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// zeros returns n deflated zeros (n a multiple of 1 MiB) and their CRC. One
// flushed piece of the stream stands for itself wherever it is repeated, so that
// 4.5 GiB cost the time of compressing 1 MiB.
func zeros(n int64) (packed string, crc uint32) {
	piece := make([]byte, 1<<20)
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.BestCompression)
	w.Write(piece)
	w.Flush()
	once := b.String()
	b.Reset()
	w.Close()
	for range n >> 20 {
		crc = crc32.Update(crc, crc32.IEEETable, piece)
	}
	return strings.Repeat(once, int(n>>20)) + b.String(), crc
}

// raw is an entry whose bytes are deflated already.
func raw(name, packed string, crc uint32, size uint64) file {
	f := file{name: name, data: packed, method: 8, crc: &crc, packed: ptr(uint32(len(packed))), noRow: true, packedAlready: true}
	f.size = ptr(uint32(min(size, 1<<32-1)))
	if size >= 1<<32 {
		f.packed = ptr(uint32(1<<32 - 1))
		f.extra = pack(uint16(1), uint16(16), size, uint64(len(packed)))
	}
	return f
}

// bombOne has one entry of size bytes of zeros, with zip64 sizes.
func bombOne(size int64) []byte {
	packed, crc := zeros(size)
	return good(raw("demo_pkg/zero.bin", packed, crc, uint64(size))).build()
}

// bombMany has n entries of size bytes of zeros each.
func bombMany(n int, size int64) []byte {
	packed, crc := zeros(size)
	r := good()
	for i := range n {
		r.files = append(r.files, raw(fmt.Sprintf("demo_pkg/z%d", i), packed, crc, uint64(size)))
	}
	return r.build()
}
