package linkage

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"pinwheel/internal/elffile"
	"pinwheel/internal/wheeltest"
)

// emptyMembers is an archive of so many, which compresses to nearly nothing.
func emptyMembers(n int) []byte {
	return []byte("!<arch>\n" + strings.Repeat(fmt.Sprintf("%-16s%-32s%-10d`\n", "x.o/", "", 0), n))
}

// TestLongNames: what is kept of a wheel of some kilobytes does not grow with the number of
// its files times the length of their names. It is not parallel: others would be measured.
func TestLongNames(t *testing.T) {
	var small, needy []wheeltest.File
	for i := range 5000 {
		small = append(small, wheeltest.File{Name: fmt.Sprintf("demo/%d.o", i), Body: []byte("\x7fELF")})
	}
	for i := range 700 {
		var needed []string
		for k := range 40 {
			needed = append(needed, fmt.Sprintf("%d-%d-%s.so", i, k, strings.Repeat("n", 500)))
		}
		needy = append(needy, wheeltest.File{Name: fmt.Sprintf("demo/%d.so", i),
			Body: wheeltest.Library{Machine: wheeltest.ARM, Needed: needed}.Make()})
	}
	long := strings.Repeat("a", 30_000)
	for what, c := range map[string]struct {
		files []wheeltest.File
		most  uint64 // bytes, garbage included; unpacking has its part
	}{
		"an archive with a long name":       {[]wheeltest.File{{Name: long, Body: emptyMembers(20_000)}}, 16 << 20},
		"many archives":                     {archives(20), 16 << 20},
		"many ELF files":                    {small, 32 << 20},
		"files that need many long names":   {needy, 48 << 20},
		"an archive that is broken, by far": {[]wheeltest.File{{Name: long, Body: emptyMembers(20_001)}}, 16 << 20},
	} {
		path, system := written(t, wheeltest.Zip(t, c.files...)), NewSystem(root(t, nil))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		files, libraries, err := Wheel(t.Context(), path, armv7, system, t.TempDir())
		runtime.ReadMemStats(&after)
		if err != nil || len(files) == 0 || len(files) > elffile.MaxFiles || len(libraries) > maxLibraries {
			t.Errorf("%s: %d files, %d libraries, %v", what, len(files), len(libraries), err)
		}
		texts := 0
		for _, f := range files {
			texts += len(f.Path) + len(strings.Join(f.Needed, ""))
		}
		n := after.TotalAlloc - before.TotalAlloc
		t.Logf("%s: %d files with %d bytes of text cost %d bytes of memory", what, len(files), texts, n)
		if n > c.most || texts > 5<<20 {
			t.Errorf("%s: %d bytes of text in %d files cost %d bytes of memory, want at most %d", what, texts, len(files), n, c.most)
		}
	}
}

func archives(n int) (list []wheeltest.File) {
	for i := range n {
		list = append(list, wheeltest.File{Name: strings.Repeat("a", 1000) + fmt.Sprint(i), Body: emptyMembers(20_000)})
	}
	return list
}

// TestBehindAnArchive: that a wheel brings an archive of thousands of members does not hide
// what its libraries need.
func TestBehindAnArchive(t *testing.T) {
	t.Parallel()
	needs := wheeltest.Library{Machine: wheeltest.ARM, Needed: []string{"libz.so.1"}}.Make()
	path := written(t, wheeltest.Zip(t, wheeltest.File{Name: "demo/all.a", Body: emptyMembers(5000)}, wheeltest.File{Name: "demo/_x.so", Body: needs}))
	files, libraries, err := Wheel(t.Context(), path, armv7, NewSystem(root(t, nil)), t.TempDir())
	if err != nil || len(files) != elffile.MaxFiles/2+1 || files[len(files)-1].Path != "demo/_x.so" {
		t.Errorf("%d files, %v", len(files), err)
	}
	if len(libraries) != 1 || libraries[0].SOName != "libz.so.1" {
		t.Errorf("libraries %v", libraries)
	}
}
