package builder

import (
	"archive/zip"
	"os"
	"path/filepath"
	"testing"

	"pinwheel/internal/farm"
	"pinwheel/internal/linkage"
	"pinwheel/internal/pip"
)

// TestLink: the record has what a wheel needs of the system that it was built on, and
// nothing of a wheel that cannot be read.
func TestLink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lists := filepath.Join(dir, "var/lib/dpkg/info")
	must(t, os.MkdirAll(lists, 0o755))
	must(t, os.WriteFile(filepath.Join(lists, "libc6:armhf.list"), []byte("/lib/arm-linux-gnueabihf/libc.so.6\n"), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "var/lib/dpkg/status"), []byte("Package: libc6\n"), 0o644))
	code, err := os.ReadFile("../elffile/testdata/v6.so")
	must(t, err)
	path := filepath.Join(t.TempDir(), "x-1.0-cp311-cp311-linux_armv7l.whl")
	out, err := os.Create(path)
	must(t, err)
	z := zip.NewWriter(out)
	w, err := z.Create("_x.so")
	must(t, err)
	_, err = w.Write(code)
	must(t, err)
	must(t, z.Close())
	must(t, out.Close())

	b := Build{Dir: t.TempDir(), Python: pip.Python{ABI: "cp311", Platform: "linux_armv7l"}, System: linkage.NewSystem(dir)}
	r := Result{Wheels: []string{path}}
	b.link(t.Context(), &r)
	want := []farm.Library{{SOName: "libc.so.6", Package: "libc6"}, {SOName: "libm.so.6"}}
	if rec := r.Record; len(rec.ELF) != 1 || rec.ELF[0].ARM.CPU != "v6" || len(rec.Libraries) != 2 || rec.Libraries[0] != want[0] || rec.Libraries[1] != want[1] {
		t.Errorf("recorded %+v", rec)
	}
	must(t, os.WriteFile(path, []byte("no zip"), 0o644))
	r = Result{Wheels: []string{path}}
	b.link(t.Context(), &r)
	if r.Record.ELF != nil || r.Record.Libraries != nil {
		t.Errorf("of what is no wheel is recorded %+v", r.Record)
	}
	left, err := os.ReadDir(b.Dir)
	must(t, err)
	if len(left) > 0 {
		t.Errorf("files are left: %v", left)
	}
}
