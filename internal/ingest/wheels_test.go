package ingest

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/farm"
	"pinwheel/internal/pep"
	"pinwheel/internal/pypi"
	"pinwheel/internal/store"
)

// wheelsOf is a release with these wheels, "py3-none-any"; what follows a blank
// makes one of them special.
func wheelsOf(files ...string) pypi.Release {
	r := release("1.0", needs(">=3.8"))
	for _, f := range files {
		tags, special, _ := strings.Cut(f, " ")
		file := pypi.File{Filename: "demo-1.0-" + tags + ".whl", RequiresPython: ">=3.8"}
		switch special {
		case "":
		case "yanked":
			file.Yanked = true
		default:
			file.RequiresPython = special
		}
		r.Wheels = append(r.Wheels, file)
	}
	return r
}

func TestWheelTags(t *testing.T) {
	t.Parallel()
	cases := []struct {
		what string
		r    pypi.Release
		want string
	}{
		{"none", wheelsOf(), ""},
		{"pure", wheelsOf("py3-none-any"), "py3-none-any"},
		{"for two Pythons", wheelsOf("py2.py3-none-any"), "py2-none-any py3-none-any"},
		{"sorted, each once", wheelsOf("py3-none-any", "cp39-cp39-linux_armv7l", "1-py3-none-any"), "cp39-cp39-linux_armv7l py3-none-any"},
		{"in upper case", wheelsOf("PY3-NONE-ANY"), "py3-none-any"},
		{"other systems", wheelsOf("cp311-cp311-win_amd64", "cp311-cp311-macosx_11_0_arm64", "cp311-cp311-win32"), ""},
		{"every kind of Linux", wheelsOf("cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64", "cp311-cp311-musllinux_1_1_aarch64", "cp311-cp311-linux_armv6l"),
			"cp311-cp311-linux_armv6l cp311-cp311-manylinux2014_x86_64 cp311-cp311-manylinux_2_17_x86_64 cp311-cp311-musllinux_1_1_aarch64"},
		{"a yanked file of a release that is not", wheelsOf("py3-none-any yanked"), ""},
		{"a yanked release", func() pypi.Release { r := wheelsOf("py3-none-any yanked"); r.Yanked = true; return r }(), "py3-none-any"},
		{"for fewer Pythons than the sdist", wheelsOf("py3-none-any >=3.10", "py2-none-any"), "py2-none-any"},
		{"a file name that is none", wheelsOf("py3-none"), ""},
	}
	for _, c := range cases {
		if diff := cmp.Diff(c.want, wheelTags(c.r)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", c.what, diff)
		}
	}
}

// TestWheelTagsAreBounded: of too many the most useful stay.
func TestWheelTagsAreBounded(t *testing.T) {
	t.Parallel()
	r := wheelsOf("py3-none-any", "cp311-cp311-linux_armv7l")
	for _, py := range []string{"aa", "pp", "zz"} {
		for n := 'a'; n <= 'z'; n++ {
			tag := py + string(n)
			r.Wheels = append(r.Wheels, pypi.File{
				Filename: "demo-1.0-" + tag + "-" + tag + "-manylinux_2_28_x86_64.manylinux_2_31_x86_64.manylinux_2_34_x86_64.musllinux_1_2_x86_64.whl",
			})
		}
	}
	got := wheelTags(r)
	if len(got) > maxWheels || len(got) < maxWheels-100 {
		t.Errorf("%d bytes of %d", len(got), maxWheels)
	}
	words := strings.Fields(got)
	if !slices.IsSorted(words) {
		t.Error("not sorted")
	}
	for _, want := range []string{"py3-none-any", "cp311-cp311-linux_armv7l"} {
		if !slices.Contains(words, want) {
			t.Errorf("%s was left out", want)
		}
	}
}

// TestChoice is what pip takes: targets with their glibc, and wheels.
func TestChoice(t *testing.T) {
	t.Parallel()
	cases := []struct {
		target, glibc string
		wheels, want  string
	}{
		{"cp311-linux_armv7l", "2.36", "", ""},
		{"cp311-linux_armv7l", "2.36", "py3-none-any", "py3-none-any"},
		{"cp311-linux_armv7l", "", "py3-none-any", "py3-none-any"},
		{"cp311-linux_armv7l", "2.36", "py2-none-any", ""},
		{"cp311-linux_armv7l", "2.36", "cp39-none-any py38-none-any", "py38-none-any"},
		{"cp311-linux_armv7l", "2.36", "cp311-cp311-linux_armv7l py3-none-any", "cp311-cp311-linux_armv7l"},
		{"cp311-linux_armv7l", "2.36", "cp39-abi3-linux_armv7l py3-none-any", "cp39-abi3-linux_armv7l"},
		{"cp311-linux_armv7l", "2.36", "cp312-abi3-linux_armv7l cp312-cp312-linux_armv7l", ""},
		{"cp311-linux_armv7l", "2.36", "cp311-cp311-linux_armv6l cp311-cp311-linux_aarch64", ""},
		{"cp311-linux_armv7l", "2.36", "cp311-cp311-musllinux_1_1_armv7l", ""},
		{"cp313t-linux_x86_64", "2.41", "cp313-cp313-linux_x86_64 cp313-abi3-linux_x86_64", ""},
		{"cp313t-linux_x86_64", "2.41", "cp313-cp313t-manylinux_2_17_x86_64", "cp313-cp313t-manylinux_2_17_x86_64"},

		{"cp311-linux_armv7l", "2.36", "cp311-cp311-manylinux_2_36_armv7l", "cp311-cp311-manylinux_2_36_armv7l"},
		{"cp311-linux_armv7l", "2.36", "cp311-cp311-manylinux_2_37_armv7l", ""},
		{"cp311-linux_armv7l", "2.36", "cp311-cp311-manylinux_3_1_armv7l", ""},
		{"cp311-linux_armv7l", "2.36", "cp311-cp311-manylinux_2_17_armv7l cp311-cp311-manylinux_2_31_armv7l", "cp311-cp311-manylinux_2_17_armv7l"},
		{"cp311-linux_armv7l", "", "cp311-cp311-manylinux_2_17_armv7l", ""}, // until a slave tells its glibc
		{"cp311-linux_armv7l", "two", "cp311-cp311-manylinux_2_17_armv7l", ""},
		{"cp311-linux_armv7l", "2.36.9000", "cp311-cp311-manylinux_2_36_armv7l", "cp311-cp311-manylinux_2_36_armv7l"},
		{"cp311-linux_armv7l", "2.36", "cp311-cp311-manylinux2014_armv7l", "cp311-cp311-manylinux2014_armv7l"},
		{"cp311-linux_armv7l", "2.36", "cp311-cp311-manylinux2014_x86_64 cp311-cp311-manylinux_2_17_aarch64", ""},
		{"cp311-linux_armv7l", "2.36", "cp311-cp311-manylinux_2_16_armv7l cp311-cp311-manylinux1_armv7l cp311-cp311-manylinux2010_armv7l", ""},
		{"cp311-linux_armv6l", "2.36", "cp311-cp311-manylinux_2_17_armv6l", ""},
		{"cp311-linux_x86_64", "2.36", "cp311-cp311-manylinux1_x86_64", "cp311-cp311-manylinux1_x86_64"},
		{"cp311-linux_x86_64", "2.36", "cp311-cp311-manylinux2010_x86_64", "cp311-cp311-manylinux2010_x86_64"},
		{"cp311-linux_x86_64", "2.36", "cp311-cp311-manylinux_2_5_x86_64", "cp311-cp311-manylinux_2_5_x86_64"},
		{"cp311-linux_x86_64", "2.36", "cp311-cp311-manylinux_2_4_x86_64 cp311-cp311-manylinux_x86_64 cp311-cp311-manylinux_2_x86_64", ""},
		{"cp39-linux_x86_64", "2.11", "cp39-cp39-manylinux2010_x86_64 cp39-cp39-manylinux_2_5_x86_64", "cp39-cp39-manylinux_2_5_x86_64"},
		{"cp39-linux_x86_64", "2.36", "cp39-abi3-manylinux_2_17_x86_64 cp38-abi3-linux_x86_64", "cp39-abi3-manylinux_2_17_x86_64"},
		{"cp311-linux_aarch64", "2.36", "cp311-cp311-manylinux_2_28_aarch64 py3-none-any", "cp311-cp311-manylinux_2_28_aarch64"},
	}
	for _, c := range cases {
		target, err := farm.ParseTarget(c.target)
		if err != nil {
			t.Fatal(err)
		}
		k := newTaker(store.TargetRow{Target: target, Facts: farm.Facts{Glibc: c.glibc}})
		if got := k.choice(c.wheels); got != c.want {
			t.Errorf("%s with glibc %q takes %q of %s, want %q", c.target, c.glibc, got, c.wheels, c.want)
		}
	}
}

// FuzzWheelTags: whatever the files are called, the text is one that the database
// takes, that a target can be held against, and whose choice is one of its words.
func FuzzWheelTags(f *testing.F) {
	f.Add("py2.py3-none-any", "cp311-cp311-manylinux_2_17_armv7l.manylinux2014_armv7l", "2.36")
	f.Add("a.b.c.d.e.f.g.h-i.j.k.l.m-linux_a.linux_b.linux_c", "\x00-\xff-manylinux", "2.99999999999999999999")
	f.Add("py3-none-any", "cp39-abi3-manylinux_2_99999999999999999999_x86_64", ".")
	f.Fuzz(func(t *testing.T, a, b, glibc string) {
		r := release("1.0")
		for _, tags := range []string{a, b, a + "-" + b} {
			r.Wheels = append(r.Wheels, pypi.File{Filename: "demo-1.0-" + tags + ".whl"})
		}
		text := wheelTags(r)
		if len(text) > maxWheels || !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Fatalf("%q", text)
		}
		words := strings.Split(text, " ")
		if text != "" && (!slices.IsSorted(words) || len(slices.Compact(slices.Clone(words))) != len(words)) {
			t.Errorf("not sorted, or not distinct: %q", text)
		}
		for _, word := range words {
			if tags, err := pep.ParseTags(word); text != "" && (err != nil || len(tags) != 1 || tags[0].String() != word || !forLinux(tags[0].Platform)) {
				t.Errorf("%q is no tag of Linux: %v", word, err)
			}
		}
		for _, target := range []farm.Target{{ABI: "cp311", Platform: "linux_armv7l"}, {ABI: "cp39", Platform: "linux_x86_64"}} {
			got := newTaker(store.TargetRow{Target: target, Facts: farm.Facts{Glibc: glibc}}).choice(text)
			if got != "" && !slices.Contains(words, got) {
				t.Errorf("%q is none of %q", got, text)
			}
		}
	})
}

// TestWheelOfOnePython: a wheel for every platform may still be for one Python.
func TestWheelOfOnePython(t *testing.T) {
	t.Parallel()
	m := newModel(t)
	m.read(page(release("1.0")), true)
	m.ends("1.0", 1, farm.Built, "demo-1.0-cp39-none-any.whl")
	m.plan()
	m.want("cp313 does not take it", "1.0: built queued/40")
	m.ends("1.0", 1, farm.Built, "demo-1.0-py3-none-any.whl")
	m.find("1.0", 1).WheelPython = "<3.13"
	m.plan()
	m.want("nor one that is not for its Python, as only the wheel says", "1.0: built queued/40")
	m.find("1.0", 1).WheelPython = ">=3.9"
	m.plan()
	m.want("it takes this one", "1.0: built covered-lower-wheel")
}
