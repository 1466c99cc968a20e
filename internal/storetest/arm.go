package storetest

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// ARM is the target of the wheels that ARMWheel makes.
func ARM() farm.Target { return farm.Target{ABI: "cp311", Platform: "linux_armv7l"} }

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

// ARMWheel makes version 1.0 of a project as a slave of ARM would build it: a sound wheel
// with a module in Python and, for each of the given ELF files, an extension module _NAME.
func ARMWheel(t testing.TB, name string, elves ...string) (farm.File, []byte) {
	t.Helper()
	info := name + "-1.0.dist-info/"
	files := []struct {
		name string
		body []byte
	}{
		{name + ".py", []byte("version = '1.0'\n")},
		{info + "METADATA", fmt.Appendf(nil, "Metadata-Version: 2.1\nName: %s\nVersion: 1.0\n", name)},
		{info + "WHEEL", []byte("Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: false\nTag: cp311-cp311-linux_armv7l\n")},
	}
	for _, e := range elves {
		path := "_" + strings.TrimSuffix(e, ".so") + ".cpython-311-arm-linux-gnueabihf.so"
		files = append(files[:1:1], append(files[1:], struct {
			name string
			body []byte
		}{path, RealELF(t, e)})...)
	}
	var out bytes.Buffer
	var record strings.Builder
	z := zip.NewWriter(&out)
	put := func(name string, body []byte) {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write(body)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range files {
		put(f.name, f.body)
		sum := sha256.Sum256(f.body)
		fmt.Fprintf(&record, "%s,sha256=%s,%d\n", f.name, base64.RawURLEncoding.EncodeToString(sum[:]), len(f.body))
	}
	put(info+"RECORD", []byte(record.String()+info+"RECORD,,\n"))
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return fileOf(name+"-1.0-cp311-cp311-linux_armv7l.whl", out.Bytes()), out.Bytes()
}

func fileOf(name string, b []byte) farm.File {
	sum := sha256.Sum256(b)
	return farm.File{Name: name, SHA256: hex.EncodeToString(sum[:]), Size: int64(len(b))}
}

// Depot is what takes files: depot.Local.
type Depot interface {
	Put(ctx context.Context, r io.Reader, want farm.File) error
}

// BringARM puts ARMWheel on the farm, as collect does when the slave of that name brings
// it: in the depot and in the rows of a build that has ended.
func BringARM(t testing.TB, st *store.Store, depot Depot, slave, name string, elves ...string) farm.File {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(st.AddTarget(t.Context(), ARM(), farm.Facts{}, "test"))
	Release(t, st, name, ARM(), store.ReleaseFacts{Version: "1.0", Raw: "1.0",
		Sdist: farm.Sdist{Filename: name + "-1.0.tar.gz", URL: "http://index.example/" + name, SHA256: "abc", Size: 7}})
	row, err := st.Slave(t.Context(), slave)
	must(err)
	lease, ok, err := st.Claim(t.Context(), store.ClaimRequest{
		Slave: row.ID, Request: "arm-" + name, Token: "arm-" + slave + "-" + name, Targets: []int64{idOf(t, st, ARM())}, Length: time.Minute,
	})
	must(err)
	if !ok || lease.Package != name {
		t.Fatalf("the lease is %+v, want one of %s", lease, name)
	}
	file, b := ARMWheel(t, name, elves...)
	must(depot.Put(t.Context(), bytes.NewReader(b), file))
	metadata := fmt.Appendf(nil, "Metadata-Version: 2.1\nName: %s\nVersion: 1.0\n", name)
	res, err := st.FinishBuilt(t.Context(), store.Ending{Slave: row.ID, Token: lease.Token}, store.NewWheel{
		File: file, Metadata: metadata, MetadataSHA256: fileOf("", metadata).SHA256, Tags: []string{"cp311-cp311-linux_armv7l"},
	})
	must(err)
	if !res.Counted {
		t.Fatalf("the wheel did not count: %s", res.Why)
	}
	return file
}
