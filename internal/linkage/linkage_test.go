package linkage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/farm"
	"pinwheel/internal/wheeltest"
)

// root makes a system with these packages, each with its files.
func root(t testing.TB, packages map[string][]string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, dpkgLists), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, files := range packages {
		install(t, dir, name, files...)
	}
	return dir
}

func install(t testing.TB, dir, name string, files ...string) {
	t.Helper()
	list := "/.\n/usr\n" + strings.Join(files, "\n") + "\n"
	if err := os.WriteFile(filepath.Join(dir, dpkgLists, name+".list"), []byte(list), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, dpkgStatus), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := fmt.Fprintf(f, "Package: %s\n\n", name); err != nil {
		t.Fatal(err)
	}
}

// wheelOf makes a zip of files of internal/elffile/testdata, by their paths in it.
func wheelOf(t testing.TB, files map[string]string) string {
	t.Helper()
	var list []wheeltest.File
	for name, from := range files {
		list = append(list, wheeltest.File{Name: name, Body: wheeltest.RealELF(t, from)})
	}
	return written(t, wheeltest.Zip(t, list...))
}

func written(t testing.TB, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.whl")
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

const armv7 = "linux_armv7l"

// TestLibraries: what a wheel needs is of the package that has it where the loader looks,
// by either name of the folder; what nobody has is an orphan.
func TestLibraries(t *testing.T) {
	t.Parallel()
	const triple = "/arm-linux-gnueabihf/"
	path := wheelOf(t, map[string]string{"demo/_x.so": "v6.so", "demo/_y.so": "cxx.so", "demo/readme": "make"})
	for name, c := range map[string]struct {
		packages map[string][]string
		want     []farm.Library
	}{
		"in /lib": {
			map[string][]string{"libc6:armhf": {"/lib" + triple + "libc.so.6", "/lib" + triple + "libm.so.6"}},
			[]farm.Library{{SOName: "libc.so.6", Package: "libc6"}, {SOName: "libm.so.6", Package: "libc6"}, {SOName: "libstdc++.so.6", Package: ""}},
		},
		"in /usr/lib": {
			map[string][]string{"libc6": {"/usr/lib" + triple + "libc.so.6"}, "libstdc++6": {"/usr/lib" + triple + "libstdc++.so.6"}},
			[]farm.Library{{SOName: "libc.so.6", Package: "libc6"}, {SOName: "libm.so.6", Package: ""}, {SOName: "libstdc++.so.6", Package: "libstdc++6"}},
		},
		"of several packages": {
			map[string][]string{
				"libc6-cross": {"/usr/arm-linux-gnueabihf/lib/libc.so.6"}, "libc6-i386": {"/lib/i386-linux-gnu/libc.so.6"},
				"libc6-private": {"/usr/lib/other/libc.so.6"}, "libc6-real": {"/lib" + triple + "libc.so.6"},
				"libm-alternative": {"/usr/lib" + triple + "fast/libm.so.6"},
			},
			[]farm.Library{{SOName: "libc.so.6", Package: "libc6-real"}, {SOName: "libm.so.6", Package: "libm-alternative"}, {SOName: "libstdc++.so.6", Package: ""}},
		},
		"in none": {nil, []farm.Library{{SOName: "libc.so.6", Package: ""}, {SOName: "libm.so.6", Package: ""}, {SOName: "libstdc++.so.6", Package: ""}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files, got, err := Wheel(t.Context(), path, armv7, NewSystem(root(t, c.packages)), t.TempDir())
			if err != nil || len(files) != 2 {
				t.Fatalf("%d files, %v", len(files), err)
			}
			libraries := got
			for i := range libraries {
				if libraries[i].SOName == "libgcc_s.so.1" { // by the compiler's mood
					libraries = append(libraries[:i:i], libraries[i+1:]...)
					break
				}
			}
			if diff := cmp.Diff(c.want, libraries); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestBundledLibraries are no need of the wheel, by file name or by soname; what a file
// for another machine needs is not either.
func TestBundledLibraries(t *testing.T) {
	t.Parallel()
	system := NewSystem(root(t, nil))
	path := wheelOf(t, map[string]string{"a/_x.so": "v6.so", "a.libs/libm.so.6": "v6.so", "a.libs/libc.so.6": "v7.so"})
	if _, got, err := Wheel(t.Context(), path, armv7, system, ""); err != nil || len(got) > 0 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, got, err := Wheel(t.Context(), path, "linux_x86_64", system, ""); err != nil || len(got) > 0 {
		t.Errorf("for another machine: %+v, %v", got, err)
	}
}

// TestSystemIsReadAgain when something was installed, and only then.
func TestSystemIsReadAgain(t *testing.T) {
	t.Parallel()
	dir := root(t, map[string][]string{"libc6": {"/lib/libc.so.6"}})
	s := NewSystem(dir)
	want := func(pkg string) {
		t.Helper()
		if got := s.libraries([]string{"libz.so.1"}, "")[0].Package; got != pkg {
			t.Errorf("libz is of %q, want %q", got, pkg)
		}
	}
	want("")
	list := filepath.Join(dir, dpkgLists, "zlib1g.list")
	if err := os.WriteFile(list, []byte("/lib/libz.so.1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	want("") // dpkg has not said so
	install(t, dir, "zlib1g", "/lib/libz.so.1")
	want("zlib1g")
}

// TestHostileSystem: links out of the root, endless lines, and what is no list.
func TestHostileSystem(t *testing.T) {
	t.Parallel()
	dir := root(t, map[string][]string{"libc6": {strings.Repeat("/x", 200_000), "/lib/libc.so.6"}, "Not A Name": {"/lib/libm.so.6"}})
	outside := filepath.Join(t.TempDir(), "outside.list")
	if err := os.WriteFile(outside, []byte("/lib/libz.so.1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Symlink(outside, filepath.Join(dir, dpkgLists, "zlib1g.list")), os.Mkdir(filepath.Join(dir, dpkgLists, "folder.list"), 0o755)); err != nil {
		t.Fatal(err)
	}
	got := NewSystem(dir).libraries([]string{"libc.so.6", "libm.so.6", "libz.so.1"}, "")
	want := []farm.Library{{SOName: "libc.so.6", Package: "libc6"}, {SOName: "libm.so.6"}, {SOName: "libz.so.1"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := NewSystem("/nonexistent").libraries([]string{"libc.so.6"}, ""); len(got) != 1 || got[0].Package != "" {
		t.Errorf("without a system: %+v", got)
	}
}

// TestHostileWheel: what is no zip is an error, what is broken in it is not.
func TestHostileWheel(t *testing.T) {
	t.Parallel()
	system := NewSystem(root(t, nil))
	path := wheelOf(t, map[string]string{"a/_x.so": "v6.so", "a/_y.so": "v7.so"})
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		c := append([]byte{}, b...)
		c[i*len(b)/200] ^= 0x5a
		if err := os.WriteFile(path, c, 0o644); err != nil {
			t.Fatal(err)
		}
		_, _, _ = Wheel(t.Context(), path, armv7, system, t.TempDir()) // whatever comes of it
	}
	if err := os.WriteFile(path, b[:100], 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Wheel(t.Context(), path, armv7, system, ""); err == nil {
		t.Error("half a zip is no error")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	path = wheelOf(t, map[string]string{"a/_x.so": "v6.so"})
	if _, _, err := Wheel(ctx, path, armv7, system, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("when nobody waits for it: %v", err)
	}
}

// TestCostlyWheel: of files that cost more to read than a slave has time for, the first are
// told, and a build is reported.
func TestCostlyWheel(t *testing.T) {
	t.Parallel()
	greedy := wheeltest.Library{Machine: wheeltest.ARM, Names: 9_900, Long: strings.Repeat(strings.Repeat("n", 1000)+"\x00", 10)}.Make()
	var list []wheeltest.File
	for i := range 100 {
		list = append(list, wheeltest.File{Name: fmt.Sprintf("demo/_%d.so", i), Body: greedy})
	}
	files, _, err := Wheel(t.Context(), written(t, wheeltest.Zip(t, list...)), armv7, NewSystem(root(t, nil)), t.TempDir())
	if err != nil || len(files) == 0 || len(files) == 100 {
		t.Errorf("of 100 files %d are told, %v", len(files), err)
	}
}

// BenchmarkWheel is a wheel with one library on this machine's own system (budget: 50 ms),
// the first time, when the lists are read, and later.
func BenchmarkWheel(b *testing.B) {
	path := wheelOf(b, map[string]string{"demo/_x.so": "v6.so", "demo/readme": "make"})
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			measure(b, path, NewSystem("/"))
		}
	})
	b.Run("later", func(b *testing.B) {
		system := NewSystem("/")
		measure(b, path, system)
		for b.Loop() {
			measure(b, path, system)
		}
	})
}

func measure(b *testing.B, path string, system *System) {
	start := time.Now()
	files, libraries, err := Wheel(b.Context(), path, armv7, system, b.TempDir())
	if err != nil || len(files) != 1 || len(libraries) != 2 {
		b.Fatalf("%+v, %+v, %v", files, libraries, err)
	}
	b.ReportMetric(float64(time.Since(start).Microseconds())/1000, "ms/last")
}
