package storetest

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
	"pinwheel/internal/wheeltest"
)

// ARM is the target of the wheels that ARMWheel makes.
func ARM() farm.Target { return farm.Target{ABI: "cp311", Platform: "linux_armv7l"} }

// ARMWheel makes version 1.0 of a project as a slave of ARM would build it: a sound wheel
// with a module in Python and, for each of the given ELF files (wheeltest.RealELF), an
// extension module _NAME.
func ARMWheel(t testing.TB, name string, elves ...string) (farm.File, []byte) {
	t.Helper()
	return armWheel(t, name, elves).Make(t)
}

func armWheel(t testing.TB, name string, elves []string) wheeltest.Wheel {
	t.Helper()
	w := wheeltest.Wheel{Name: name, Version: "1.0", Tag: "cp311-cp311-linux_armv7l"}
	w.Files = append(w.Files, wheeltest.Text(name+".py", "version = '1.0'\n"))
	for _, e := range elves {
		path := "_" + strings.TrimSuffix(e, ".so") + ".cpython-311-arm-linux-gnueabihf.so"
		w.Files = append(w.Files, wheeltest.File{Name: path, Body: wheeltest.RealELF(t, e)})
	}
	return w
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
	wheel := armWheel(t, name, elves)
	file, b := wheel.Make(t)
	must(depot.Put(t.Context(), bytes.NewReader(b), file))
	metadata := wheel.Metadata()
	res, err := st.FinishBuilt(t.Context(), store.Ending{Slave: row.ID, Token: lease.Token}, store.NewWheel{
		File: file, Metadata: metadata, MetadataSHA256: wheeltest.Described("", metadata).SHA256, Tags: []string{"cp311-cp311-linux_armv7l"},
	})
	must(err)
	if !res.Counted {
		t.Fatalf("the wheel did not count: %s", res.Why)
	}
	return file
}
