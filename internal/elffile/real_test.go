package elffile

import (
	"bytes"
	"debug/elf"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/farm"
)

// realFile reads a file of testdata, or all of an archive's.
func realFile(t testing.TB, name string) []farm.ELF {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return readAll(t, b, name)
}

func readAll(t testing.TB, b []byte, name string) (list []farm.ELF) {
	t.Helper()
	r, budget := bytes.NewReader(b), DefaultBudget()
	if IsArchive(b) {
		if err := ReadArchive(r, r.Size(), name, &budget, func(f farm.ELF) { list = append(list, f) }); err != nil {
			t.Fatal(err)
		}
		return list
	}
	f, err := Read(r, r.Size(), name, &budget)
	if err != nil {
		t.Fatal(err)
	}
	return []farm.ELF{f}
}

// TestProofOfRealFiles is what compilers made, by testdata/make, and what it proves.
func TestProofOfRealFiles(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		files   string
		proven  bool
		vouched bool // also proven by a target that vouches
		reason  string
	}{
		{"v6.so", true, true, "by the attributes of its one ELF file"},
		{"v6.o", true, true, "by the attributes"},
		{"v6.a", true, true, "by the attributes"},
		{"rust-arm.so", true, true, "by the attributes"},
		{"go6.so", true, true, "by the attributes"},
		{"v6.so v6.a cxx6.so", true, true, "by the attributes of its 3 ELF files"},
		{"v7.so", false, false, "v7.so: ARMv7, Thumb-2, VFPv3-D16"},
		{"v6-crt7.so", false, false, "v6-crt7.so: ARMv7"},
		{"neon.so", false, false, "NEONv1"},
		{"rust-armv7.so", false, false, "rust-armv7.so: ARMv7"},
		{"go7.so", false, false, "go7.so: Go code for GOARM=7"},
		{"v6.so v7.so", false, false, "v7.so: ARMv7"},
		{"v6-stripped.so v7.so neon.so", false, false, "v7.so: ARMv7, Thumb-2, VFPv3-D16 (and 1 more)"},
		{"mixed.a", false, false, "mixed.a(v7.o): ARMv7"},
		{"v6-stripped.so", false, true, "v6-stripped.so: it has no attributes"},
		{"text.a", false, false, "text.a(readme): a member of an archive that is no ELF file"},
		{"go6", false, true, "go6: it has no attributes"},
		{"", false, true, "there is no ELF file in it"},
	} {
		t.Run(c.files, func(t *testing.T) {
			t.Parallel()
			var all []farm.ELF
			for _, name := range strings.Fields(c.files) {
				all = append(all, realFile(t, name)...)
			}
			if got := ProveARMv6(all, false); got.Proven != c.proven || !strings.Contains(got.Reason, c.reason) {
				t.Errorf("proven %v: %s; want %v: %s", got.Proven, got.Reason, c.proven, c.reason)
			}
			got := ProveARMv6(all, true)
			if got.Proven != c.vouched || !strings.Contains(got.Reason, c.reason) {
				t.Errorf("vouched for, proven %v: %s; want %v: %s", got.Proven, got.Reason, c.vouched, c.reason)
			}
			if c.vouched && !c.proven && !strings.Contains(got.Reason, "vouches") {
				t.Errorf("the reason does not say who vouches: %s", got.Reason)
			}
		})
	}
}

// TestNotVouchedFor: who vouches for a compiler knows nothing of files that are broken,
// and did not see what could not be looked into.
func TestNotVouchedFor(t *testing.T) {
	t.Parallel()
	sound := realFile(t, "v6-stripped.so")[0]
	for name, change := range map[string]func(*farm.ELF){
		"a file that is broken":          func(f *farm.ELF) { f.Problem = "it is cut off" },
		"attributes that are broken":     func(f *farm.ELF) { f.ARM = &farm.ARM{Problem: "attributes that are cut off"} },
		"what was not looked into":       func(f *farm.ELF) { *f = farm.ELF{Path: "x.zip", Problem: "inside of it, an ELF file"} },
		"a broken file, and a sound one": func(f *farm.ELF) { *f = farm.ELF{Path: "x", Machine: "arm", Class: 32, Problem: "cut off"} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := sound
			change(&f)
			if p := ProveARMv6([]farm.ELF{sound, f}, true); p.Proven {
				t.Errorf("vouched for: %s", p.Reason)
			}
		})
	}
	if p := ProveARMv6([]farm.ELF{sound}, true); !p.Proven {
		t.Errorf("a sound file without attributes is not vouched for: %s", p.Reason)
	}
}

// TestBrokenAttributes: damage to the attributes of a file for ARMv6 is never vouched for,
// unless they still say that they suffice.
func TestBrokenAttributes(t *testing.T) {
	t.Parallel()
	b := seeds(t)["v6.so"]
	at := bytes.Index(b, []byte("aeabi\x00"))
	problems := 0
	for i := at - 5; i < at+40; i++ {
		for _, flip := range []byte{0x01, 0x80, 0xff} {
			c := bytes.Clone(b)
			c[i] ^= flip
			f := readAll(t, c, "x.so")[0]
			if f.ARM == nil || f.ARM.Problem == "" {
				continue
			}
			problems++
			if p := ProveARMv6([]farm.ELF{f}, true); p.Proven {
				t.Errorf("byte %d: vouched for, though %s", i, f.ARM.Problem)
			}
		}
	}
	if problems < 20 {
		t.Errorf("only %d files had broken attributes", problems)
	}
}

// TestFactsOfRealFiles is all that is read of some.
func TestFactsOfRealFiles(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]farm.ELF{
		"v6.so": {
			Machine: "arm", Class: 32, GLIBC: "2.4", Needed: []string{"libm.so.6", "libc.so.6"},
			ARM: &farm.ARM{CPU: "v6", Name: "6", Thumb: "Thumb-1", FP: "VFPv2", Args: "VFP"},
		},
		"v7.so": {
			Machine: "arm", Class: 32, GLIBC: "2.4", Needed: []string{"libm.so.6", "libc.so.6"},
			ARM: &farm.ARM{CPU: "v7", Name: "7-A", Profile: "A", Thumb: "Thumb-2", FP: "VFPv3-D16", Args: "VFP",
				Beyond: []string{"ARMv7", "Thumb-2", "VFPv3-D16"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want.Path = name
			if diff := cmp.Diff([]farm.ELF{want}, realFile(t, name)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	cxx := realFile(t, "cxx.so")[0]
	if cxx.RunPath != "$ORIGIN/../lib" || cxx.SOName != "libcxx.so.1" || !strings.HasPrefix(cxx.GLIBCXX, "3.4") || !strings.HasPrefix(cxx.CXXABI, "1.3") {
		t.Errorf("cxx.so: %+v", cxx)
	}
}

// TestAgreesWithDebugELF: of the libraries of this machine, and of those that were made,
// the standard library reads the same.
func TestAgreesWithDebugELF(t *testing.T) {
	t.Parallel()
	var paths []string
	for _, pattern := range []string{"/lib/*-linux-gnu*/*.so*", "/usr/lib/*-linux-gnu*/*.so*", "testdata/*.so"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, found[:min(len(found), 150)]...)
	}
	n := 0
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil || !IsELF(b) {
			continue // a text for the linker, a link to nothing
		}
		if agrees(t, path, b) {
			n++
		}
	}
	if n < 20 {
		t.Errorf("only %d libraries were compared", n)
	}
}

func agrees(t *testing.T, path string, b []byte) bool {
	theirs, err := elf.NewFile(bytes.NewReader(b))
	if err != nil {
		return false
	}
	needed, err := theirs.ImportedLibraries()
	if err != nil {
		return false
	}
	ours := readAll(t, b, path)[0]
	if ours.Problem != "" {
		t.Errorf("%s: %s", path, ours.Problem)
		return false
	}
	if diff := cmp.Diff(needed, ours.Needed); diff != "" && len(needed)+len(ours.Needed) > 0 {
		t.Errorf("%s needs, debug/elf (-) and we (+):\n%s", path, diff)
	}
	soname, _ := theirs.DynString(elf.DT_SONAME)
	if got := slices.Concat(soname, []string{""})[0]; got != ours.SOName {
		t.Errorf("%s: the soname is %q, for debug/elf %q", path, ours.SOName, got)
	}
	versions, _ := theirs.DynamicVersionNeeds()
	var want file
	for _, library := range versions {
		for _, v := range library.Needs {
			if v.Flags&elf.VER_FLG_WEAK == 0 {
				want.needs(v.Dep)
			}
		}
	}
	if got := [3]string{ours.GLIBC, ours.GLIBCXX, ours.CXXABI}; got != [3]string{want.facts.GLIBC, want.facts.GLIBCXX, want.facts.CXXABI} {
		t.Errorf("%s needs %q, by debug/elf %+v", path, got, want.facts)
	}
	return true
}
