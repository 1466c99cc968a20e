package wheel

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestTooManyEntries(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := range 200_000 {
		if _, err := w.CreateHeader(&zip.FileHeader{Name: fmt.Sprintf("demo_pkg/%d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{CodeZipTooMany}, codes(check(t, b.Bytes(), goodName))); diff != "" {
		t.Error(diff)
	}
}

func TestReportIsBounded(t *testing.T) {
	t.Parallel()
	r := good()
	for i := range 300 {
		r.files = append(r.files, file{name: fmt.Sprintf("demo_pkg/%d", i), mode: 0o120777})
	}
	got := check(t, r.build(), goodName)
	last := got.Findings[len(got.Findings)-1]
	if want := (Finding{CodeMore, Error, "", "and 200 more"}); len(got.Findings) != 101 || last != want {
		t.Errorf("%d findings, the last %+v", len(got.Findings), last)
	}
}

// TestWarningsDoNotReject also when there are more than the report holds.
func TestWarningsDoNotReject(t *testing.T) {
	t.Parallel()
	r := good()
	r.record = func(rows []string) string {
		all := strings.Join(rows, "\n") + "\n"
		return strings.ReplaceAll(all, ",1\n", ",\n")
	}
	for i := range 150 {
		r.files = append(r.files, file{name: fmt.Sprintf("demo_pkg/%d", i), data: "1"})
	}
	if got := check(t, r.build(), goodName); !got.Accepted || len(got.Findings) != 101 {
		t.Errorf("accepted: %v, %d findings", got.Accepted, len(got.Findings))
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	honest := good(file{name: "demo_pkg/zero", data: strings.Repeat("\x00", 1<<20), method: 8}).build()
	cases := []struct {
		what  string
		limit func(*Limits)
		code  string
	}{
		{"defaults", func(*Limits) {}, ""},
		{"file", func(l *Limits) { l.FileSize = 100 }, CodeFileSize},
		{"entries", func(l *Limits) { l.Entries = 4 }, CodeZipTooMany},
		{"directory", func(l *Limits) { l.Directory = 100 }, CodeZipTooMany},
		{"total", func(l *Limits) { l.Total = 1 << 20 }, CodeBombTotal},
		{"ratio", func(l *Limits) { l.RatioFloor = 1 << 19 }, CodeBombRatio},
		{"RECORD", func(l *Limits) { l.Record = 100 }, CodeRecordSize},
		{"WHEEL", func(l *Limits) { l.WheelFile = 10 }, CodeWheelSize},
		{"METADATA", func(l *Limits) { l.Metadata = 10 }, CodeMetadataSize},
		{"name", func(l *Limits) { l.Name = 10 }, CodeNameLength},
		{"depth", func(l *Limits) { l.Depth = 1 }, CodeNameDepth},
		{"file name", func(l *Limits) { l.Filename = 10 }, CodeFilenameLength},
	}
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			l := DefaultLimits()
			c.limit(&l)
			r, err := l.Verify(t.Context(), bytes.NewReader(honest), int64(len(honest)), goodName, want())
			if err != nil {
				t.Fatal(err)
			}
			if r.Accepted != (c.code == "") || c.code != "" && !strings.Contains(strings.Join(codes(r), " "), c.code) {
				t.Errorf("codes %v, want %q", codes(r), c.code)
			}
		})
	}
}

// TestReadErrors: a disk that fails is no flaw of the wheel, whenever it fails. A small
// wheel is read once, a large one whole for its hash, and again for its files.
func TestReadErrors(t *testing.T) {
	t.Parallel()
	elf := file{name: module, data: realELF(t, "v6.so"), method: 8}
	for what, c := range map[string]struct {
		wheel recipe
		reads int
	}{
		"small": {good(elf), 1}, "large": {good(elf, file{name: "demo_pkg/data.bin", data: strings.Repeat("x", hashPiece)}), 2},
	} {
		b := c.wheel.build()
		size := int64(len(b))
		if _, err := Verify(t.Context(), bytes.NewReader(b), size+10, goodName, want()); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: shorter than said: %v", what, err)
		}
		failed, step := 0, 1+len(b)/500
		for n := 0; ; n += step {
			r, err := Verify(t.Context(), &failing{bytes.NewReader(b), n}, size, goodName, want())
			if err == nil {
				if !r.Accepted {
					t.Errorf("%s: after %d bytes: %+v", what, n, r.Findings)
				}
				break
			}
			if !errors.Is(err, errDisk) || !strings.Contains(err.Error(), "verify wheel "+goodName) {
				t.Fatalf("%s: after %d bytes: %v", what, n, err)
			}
			failed++
		}
		if least := c.reads * len(b) / step; failed < least {
			t.Errorf("%s: it failed only %d times, want %d", what, failed, least)
		}
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b := good().build()
	if _, err := Verify(ctx, bytes.NewReader(b), int64(len(b)), goodName, want()); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// TestAsOthersRead holds the parser against archive/zip on every wheel of the
// conformance material that is accepted, and against Python's zipfile.
func TestAsOthersRead(t *testing.T) {
	t.Parallel()
	for _, c := range readManifest(t) {
		if c.verdict != "accept" {
			continue
		}
		t.Run(c.id, func(t *testing.T) {
			t.Parallel()
			b := manifestWheel(t, c.file)
			ours := listing(t, b)
			if diff := cmp.Diff(goListing(t, b), ours); diff != "" {
				t.Errorf("archive/zip (-) and we (+):\n%s", diff)
			}
			if diff := cmp.Diff(pythonListing(t, filepath.Join("testdata/badwheels", c.file)), ours); diff != "" {
				t.Errorf("zipfile (-) and we (+):\n%s", diff)
			}
		})
	}
}

// listing maps names to CRCs, sizes and contents, as this package reads them.
func listing(t testing.TB, b []byte) map[string]string {
	t.Helper()
	src := &source{ctx: t.Context(), r: bytes.NewReader(b), size: int64(len(b))}
	entries, err := readEntries(src, DefaultLimits(), &findings{})
	if err != nil {
		t.Fatal(err)
	}
	all, in := map[string]string{}, newInflater(int64(len(b)), 1<<30)
	for i := range entries {
		e := &entries[i]
		data, err := in.whole(src, e, 1<<30, "")
		if err != nil {
			t.Fatal(err)
		}
		all[e.name] = fmt.Sprintf("%08x %d %d %x", e.crc, e.packed, e.size, head(string(data)))
	}
	return all
}

func head(s string) string { return s[:min(len(s), 200)] }

func goListing(t testing.TB, b []byte) map[string]string {
	t.Helper()
	all := map[string]string{}
	for name, f := range unzip(t, b) {
		all[name] = fmt.Sprintf("%08x %d %d %x", f.CRC32, f.CompressedSize64, f.UncompressedSize64, head(f.data))
	}
	return all
}

// pythonListing needs a Python, as everything that the farm does.
func pythonListing(t testing.TB, path string) map[string]string {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		python = "/usr/bin/python3"
	}
	out, err := exec.CommandContext(t.Context(), python, "-c", `
import sys, zipfile
z = zipfile.ZipFile(sys.argv[1])
for i in z.infolist():
    print("%s\t%08x %d %d %s" % (i.filename, i.CRC, i.compress_size, i.file_size, z.read(i)[:200].hex()))
`, path).Output()
	if err != nil {
		t.Fatalf("%s: %v", python, err)
	}
	all := map[string]string{}
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		name, what, _ := strings.Cut(line, "\t")
		all[name] = what
	}
	return all
}

// TestAnyHonestWheel makes wheels with archive/zip as tools do, streamed or not,
// and wants them accepted.
func TestAnyHonestWheel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.IntRange(0, 200_000), 0, 8).Draw(t, "sizes")
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		rows := ""
		add := func(name, data string) {
			h := &zip.FileHeader{Name: name, Method: uint16(rapid.SampledFrom([]int{0, 8}).Draw(t, "method"))}
			h.SetMode(0o644)
			f, err := w.CreateHeader(h)
			if err == nil {
				_, err = io.WriteString(f, data)
			}
			if err != nil {
				t.Fatal(err)
			}
			rows += recordRow(name, data) + "\n"
		}
		for i, n := range sizes {
			add(fmt.Sprintf("demo_pkg/ü %d, \".py", i), strings.Repeat(fmt.Sprint(i, "abc\n"), n/5))
		}
		add("demo_pkg-1.0.dist-info/METADATA", goodMetadata)
		add("demo_pkg-1.0.dist-info/WHEEL", goodWheel)
		add("demo_pkg-1.0.dist-info/RECORD", rows+"demo_pkg-1.0.dist-info/RECORD,,\n")
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		r, err := Verify(context.Background(), bytes.NewReader(b.Bytes()), int64(b.Len()), goodName, want())
		if err != nil || !r.Accepted {
			t.Fatalf("%v %+v", err, r.Findings)
		}
	})
}

// TestEveryByteCounts flips a bit of each byte of a small wheel: hardly any may
// change without a finding.
func TestEveryByteCounts(t *testing.T) {
	t.Parallel()
	b := good(file{name: "demo_pkg/s", data: "stored"}).build()
	var free []int
	for i := range b {
		c := bytes.Clone(b)
		c[i] ^= 1
		if check(t, c, goodName).Accepted {
			free = append(free, i)
		}
	}
	// Of each of the five entries the times and tool versions in both headers (14
	// bytes), and attributes that nobody reads (6).
	if len(free) > 20*5 {
		t.Errorf("%d of %d bytes may change unnoticed: %v", len(free), len(b), free)
	}
}
