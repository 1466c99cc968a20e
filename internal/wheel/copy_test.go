package wheel

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/farm"
)

const copyName = "demo_pkg-1.0-cp311-cp311-linux_armv6l.whl"

func copyOf(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := Copy(t.Context(), &out, bytes.NewReader(b), int64(len(b)), goodName); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// checkCopy verifies a copy as if it had been uploaded for armv6l.
func checkCopy(t testing.TB, b []byte) Report {
	t.Helper()
	expect := want()
	expect.Target = farm.Target{ABI: "cp311", Platform: "linux_armv6l"}
	r, err := Verify(t.Context(), bytes.NewReader(b), int64(len(b)), copyName, expect)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// proven are files that are proven to run on an ARMv6, in all the ways that a zip can
// have them.
func proven(t testing.TB) []file {
	v6 := realELF(t, "v6.so")
	return []file{
		{name: module, data: v6, method: 8},
		{name: "demo_pkg/stored.so", data: v6},
		{name: "demo_pkg/described.so", data: v6, method: 8, desc: 16, zeroLocal: true},
		{name: "demo_pkg/folder/"},
		{name: "demo_pkg/ünicode, with a comma.txt", data: "x", flags: flagUTF8, method: 8, mode: 0o100755},
		{name: "demo_pkg/extra.txt", data: "x", extra: "UT\x05\x00\x01\x00\x00\x00\x00"},
		{name: "demo_pkg/long.txt", data: "x", extra: pack(uint16(1), uint16(0))},
	}
}

// TestCopy: the copy is a sound wheel for armv6l, the same every time, in which nothing
// differs but the tags and what follows from them.
func TestCopy(t *testing.T) {
	t.Parallel()
	recipe := good(proven(t)...)
	recipe.comment = "made by a test"
	b := recipe.build()
	r := check(t, b, goodName)
	if !r.Accepted || r.ARMv6 == nil || !r.ARMv6.Proven {
		t.Fatalf("the wheel itself: %+v", r)
	}
	made := copyOf(t, b)
	got := checkCopy(t, made)
	if !got.Accepted || len(got.Findings) != len(r.Findings) {
		t.Errorf("the copy: %+v; of the wheel: %+v", got.Findings, r.Findings)
	}
	if diff := cmp.Diff(CopyTags(r.Tags), got.Tags); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
	if !bytes.Equal(r.MetadataBytes, got.MetadataBytes) {
		t.Error("METADATA is another")
	}
	if !bytes.Equal(made, copyOf(t, b)) {
		t.Error("the copy is not the same every time")
	}
	differ := []string{}
	before, after := unzip(t, b), unzip(t, made)
	for name, one := range before {
		if other, ok := after[name]; !ok || other.seen() != one.seen() {
			differ = append(differ, name)
		}
	}
	slices.Sort(differ)
	if diff := cmp.Diff([]string{"demo_pkg-1.0.dist-info/RECORD", "demo_pkg-1.0.dist-info/WHEEL"}, differ); diff != "" || len(before) != len(after) {
		t.Errorf("what differs, of %d files and %d (-want +got):\n%s", len(before), len(after), diff)
	}
	if want := strings.ReplaceAll(goodWheel, "armv7l", "armv6l"); !strings.Contains(after["demo_pkg-1.0.dist-info/WHEEL"].data, want) {
		t.Errorf("WHEEL is %q", after["demo_pkg-1.0.dist-info/WHEEL"].data)
	}
}

// unzipped is a file as archive/zip reads it.
type unzipped struct {
	*zip.File
	data string
}

// seen is all that whoever unpacks a file sees of it.
func (f unzipped) seen() string { return f.Mode().String() + f.Modified.String() + f.data }

// unzip reads all files of a zip, by their names.
func unzip(t testing.TB, b []byte) map[string]unzipped {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]unzipped{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		out[f.Name] = unzipped{f, string(data)}
	}
	return out
}

// TestCopyKeepsLines: endings of lines stay as they are, and quoted rows are found.
func TestCopyKeepsLines(t *testing.T) {
	t.Parallel()
	r := good(proven(t)...)
	r.wheel = strings.ReplaceAll(goodWheel, "\n", "\r\n")
	r.record = func(rows []string) string {
		for i, row := range rows {
			if name, rest, _ := strings.Cut(row, ","); strings.HasSuffix(name, "/WHEEL") {
				rows[i] = `"` + name + `",` + rest
			}
		}
		return strings.Join(rows, "\r\n") + "\r\n"
	}
	b := r.build()
	if r := check(t, b, goodName); !r.Accepted {
		t.Fatalf("%+v", r.Findings)
	}
	made := copyOf(t, b)
	if r := checkCopy(t, made); !r.Accepted {
		t.Errorf("%+v", r.Findings)
	}
	for name, f := range unzip(t, made) {
		if strings.HasSuffix(name, "/WHEEL") && strings.Count(f.data, "\r\n") != strings.Count(f.data, "\n") {
			t.Errorf("%s: %q", name, f.data)
		}
	}
}

// TestNoCopy: of some wheels there can be none.
func TestNoCopy(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"demo_pkg-1.0-py3-none-any.whl", "demo_pkg-1.0-cp311-cp311-linux_armv6l.whl", "demo_pkg-1.0-cp311-cp311-any.linux_armv7l.whl",
		"demo_pkg-1.0-cp311-cp311-linux_armv7l.any.whl", "demo_pkg.whl", "",
	} {
		if got, err := CopyName(name); err == nil {
			t.Errorf("the copy of %s is called %s", name, got)
		}
	}
	if got, err := CopyName("demo_pkg-1.0-2-cp39-abi3-linux_armv7l.whl"); got != "demo_pkg-1.0-2-cp39-abi3-linux_armv6l.whl" || err != nil {
		t.Errorf("%s, %v", got, err)
	}
	tagged := good()
	tagged.wheel = strings.Replace(goodWheel, "linux_armv7l", "any", 1)
	twice := good(file{name: "demo_pkg-2.0.dist-info/WHEEL", data: goodWheel})
	for what, b := range map[string][]byte{"no zip": []byte("PK"), "another tag": tagged.build(), "two WHEELs": twice.build()} {
		err := Copy(t.Context(), io.Discard, bytes.NewReader(b), int64(len(b)), goodName)
		if !errors.Is(err, ErrNoCopy) {
			t.Errorf("%s: %v", what, err)
		}
	}
	signed := good(append(proven(t), file{name: "demo_pkg-1.0.dist-info/RECORD.jws", data: "{}", noRow: true})...)
	if r := check(t, signed.build(), goodName); !r.Accepted || r.ARMv6.Proven || !strings.Contains(r.ARMv6.Reason, "signed") {
		t.Errorf("a signed wheel: %+v, %+v", r.ARMv6, r.Findings)
	}
}

// failing is a disk that fails after n bytes, for reading and for writing.
type failing struct {
	io.ReaderAt
	n int
}

var errDisk = errors.New("disk")

func (f *failing) ReadAt(p []byte, off int64) (int, error) {
	if f.n -= len(p); f.n < 0 {
		return 0, errDisk
	}
	return f.ReaderAt.ReadAt(p, off)
}

func (f *failing) Write(p []byte) (int, error) {
	if f.n -= len(p); f.n < 0 {
		return 0, errDisk
	}
	return len(p), nil
}

// TestCopyFails: an error of the disk is never taken for one of the wheel.
func TestCopyFails(t *testing.T) {
	t.Parallel()
	b := good(proven(t)...).build()
	for n := 0; n < len(b)-100; n += 1 + len(b)/300 {
		r := bytes.NewReader(b)
		if err := Copy(t.Context(), io.Discard, &failing{r, n}, r.Size(), goodName); !errors.Is(err, errDisk) || errors.Is(err, ErrNoCopy) {
			t.Fatalf("after %d bytes that were read: %v", n, err)
		}
		if err := Copy(t.Context(), &failing{nil, n}, r, r.Size(), goodName); !errors.Is(err, errDisk) || errors.Is(err, ErrNoCopy) {
			t.Fatalf("after %d bytes that were written: %v", n, err)
		}
	}
}

// FuzzCopy: a wheel that is accepted and proven has a copy that is accepted, or none.
func FuzzCopy(f *testing.F) {
	f.Add(good(proven(f)...).build())
	addWheels(f, func(b []byte, upload string) {
		if upload == goodName {
			f.Add(b)
		}
	})
	expect := want()
	expect.VouchesARMv6 = true
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := fuzzLimits().Verify(t.Context(), bytes.NewReader(b), int64(len(b)), goodName, expect)
		if err != nil {
			t.Fatal(err)
		}
		if !r.Accepted || !r.ARMv6.Proven {
			return
		}
		var out bytes.Buffer
		if err := Copy(t.Context(), &out, bytes.NewReader(b), int64(len(b)), goodName); errors.Is(err, ErrNoCopy) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		if got := checkCopy(t, out.Bytes()); !got.Accepted {
			t.Errorf("the copy is not accepted: %+v", got.Findings)
		}
	})
}
