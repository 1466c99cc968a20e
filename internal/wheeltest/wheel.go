// Package wheeltest makes wheels for tests, sound ones, and the ELF files in them: those of
// real compilers, and small ones that say what a test wants. The same words make the same
// bytes. It owns nothing; what goes wrong fails the test.
package wheeltest

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"pinwheel/internal/farm"
	"pinwheel/internal/pep"
)

// File is a file of a wheel, or of another zip.
type File struct {
	Name string
	Body []byte
}

// Text is a File of text.
func Text(name, body string) File { return File{name, []byte(body)} }

// Wheel says what is in a wheel beside WHEEL, METADATA and RECORD.
type Wheel struct {
	Name, Version string // the name as its owner spells it
	Tag           string // of three parts; "" is py3-none-any
	Head          string // more lines of METADATA's head, each with its end
	Files         []File
	Stored        bool // not compressed, which takes five times as long as all the rest
}

// Metadata is the content of METADATA.
func (w Wheel) Metadata() []byte {
	return fmt.Appendf(nil, "Metadata-Version: 2.1\nName: %s\nVersion: %s\n%s", w.Name, w.Version, w.Head)
}

// Make makes a wheel that is sound (PEP 427).
func (w Wheel) Make(t testing.TB) (farm.File, []byte) {
	t.Helper()
	if w.Tag == "" {
		w.Tag = "py3-none-any"
	}
	stem := strings.ReplaceAll(pep.NormalizeName(w.Name), "-", "_") + "-" + w.Version
	info := stem + ".dist-info/"
	files := append(w.Files[:len(w.Files):len(w.Files)],
		File{info + "METADATA", w.Metadata()},
		Text(info+"WHEEL", fmt.Sprintf("Wheel-Version: 1.0\nGenerator: wheeltest\nRoot-Is-Purelib: %v\nTag: %s\n", strings.HasSuffix(w.Tag, "-any"), w.Tag)))
	var record strings.Builder
	for _, f := range files {
		sum := sha256.Sum256(f.Body)
		fmt.Fprintf(&record, "%s,sha256=%s,%d\n", f.Name, base64.RawURLEncoding.EncodeToString(sum[:]), len(f.Body))
	}
	method := zip.Deflate
	if w.Stored {
		method = zip.Store
	}
	b := zipped(t, method, append(files, Text(info+"RECORD", record.String()+info+"RECORD,,\n"))...)
	return Described(stem+"-"+w.Tag+".whl", b), b
}

// Zip makes a zip of files, in their order.
func Zip(t testing.TB, files ...File) []byte {
	t.Helper()
	return zipped(t, zip.Deflate, files...)
}

func zipped(t testing.TB, method uint16, files ...File) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range files {
		w, err := z.CreateHeader(&zip.FileHeader{Name: f.Name, Method: method})
		if err == nil {
			_, err = w.Write(f.Body)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Described is what a slave says of a file with this content.
func Described(name string, b []byte) farm.File {
	sum := sha256.Sum256(b)
	return farm.File{Name: name, SHA256: hex.EncodeToString(sum[:]), Size: int64(len(b))}
}

// RealELF is a file that a compiler for ARM made: "v6.so", "v7.so" and what else
// internal/elffile/testdata/make makes.
func RealELF(t testing.TB, name string) []byte {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	b, err := os.ReadFile(filepath.Join(filepath.Dir(here), "..", "elffile", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
