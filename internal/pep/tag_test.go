package pep

import (
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

func TestParseTags(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, want string }{
		{"cp311-cp311-linux_armv7l", "cp311-cp311-linux_armv7l"},
		{"py2.py3-none-any", "py2-none-any py3-none-any"},
		{"PY3.py3-None-ANY", "py3-none-any"},
		{"cp38-abi3.none-a.b", "cp38-abi3-a cp38-abi3-b cp38-none-a cp38-none-b"},
		{"", ""},
		{"py3-none", ""},
		{"py3-none-any-", ""},
		{"py3--any", ""},
		{"py3.-none-any", ""},
		{"py3-none-linux armv7l", ""},
		{"py3-none-any;", ""},
		{"py3-none-\u212a", ""},
		{"py3-none-any\n", ""},
	} {
		tags, err := ParseTags(tt.in)
		if (err != nil) != (tt.want == "") {
			t.Errorf("ParseTags(%q): error %v", tt.in, err)
		}
		if got := join(tags); got != tt.want {
			t.Errorf("ParseTags(%q) = %s, want %s", tt.in, got, tt.want)
		}
	}
}

func TestParseTagsRefusesToMultiply(t *testing.T) {
	t.Parallel()
	var words []string
	for c := 'a'; c <= 'z'; c++ {
		words = append(words, string(c))
	}
	set := strings.Join(words, ".")
	if tags, err := ParseTags(set + "-" + set + "-" + set); err == nil {
		t.Errorf("%d tags, want an error", len(tags))
	}
	if tags, err := ParseTags(set + "-" + set + "-any"); err != nil || len(tags) != 26*26 {
		t.Errorf("%d tags, %v, want %d", len(tags), err, 26*26)
	}
	same := strings.Repeat("py3.", 1<<18) + "py3"
	if tags, err := ParseTags(same + "-none-any"); err != nil || len(tags) != 1 {
		t.Errorf("%d tags, %v, want one", len(tags), err)
	}
}

// The lists are those of the reference for these interpreters, without their
// middle: their length, and the order that pip chooses by.
func TestSupportedTags(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		abi         string
		n           int
		first, last string
	}{
		{"cp311", 39, "cp311-cp311-P cp311-abi3-P cp311-none-P cp310-abi3-P cp39-abi3-P", "py31-none-any py30-none-any"},
		{"cp37m", 27, "cp37-cp37m-P cp37-abi3-P cp37-none-P cp36-abi3-P", "py30-none-any"},
		{"cp27mu", 21, "cp27-cp27mu-P cp27-none-P py27-none-P py2-none-P py26-none-P", "py20-none-any"},
		{"cp313t", 33, "cp313-cp313t-P cp313-none-P py313-none-P py3-none-P py312-none-P", "py30-none-any"},
		{"cp32m", 12, "cp32-cp32m-P cp32-abi3-P cp32-none-P py32-none-P py3-none-P py31-none-P py30-none-P " +
			"cp32-none-any py32-none-any py3-none-any", "py31-none-any py30-none-any"},
		{"pypy39_pp73", 0, "", ""},
		{"abi3", 0, "", ""},
		{"cp3", 0, "", ""},
		{"cp3999999999999", 0, "", ""},
		{"", 0, "", ""},
	} {
		tags := SupportedTags(tt.abi, "P")
		got := join(tags)
		if !strings.HasPrefix(got, tt.first) || !strings.HasSuffix(got, tt.last) || len(tags) != tt.n {
			t.Errorf("SupportedTags(%q) = %s (%d), want %s … %s (%d)", tt.abi, got, len(tags), tt.first, tt.last, tt.n)
		}
		seen := map[Tag]bool{}
		for _, tag := range tags {
			if seen[tag] {
				t.Errorf("SupportedTags(%q) has %s twice", tt.abi, tag)
			}
			seen[tag] = true
		}
	}
}

func FuzzParseTags(f *testing.F) {
	for _, s := range []string{"cp311-cp311-linux_armv7l", "py2.py3-none.abi3-any", "a.b.c-d-e", "--"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tags, err := ParseTags(s)
		if err != nil {
			return
		}
		if len(tags) == 0 || len(tags) > maxTags {
			t.Errorf("%q stands for %d tags", s, len(tags))
		}
		for _, tag := range tags {
			again, err := ParseTags(tag.String())
			if diff := gocmp.Diff([]Tag{tag}, again); err != nil || diff != "" {
				t.Errorf("%s read again: %v\n%s", tag, err, diff)
			}
		}
	})
}

func join(tags []Tag) string {
	words := make([]string, len(tags))
	for i, tag := range tags {
		words[i] = tag.String()
	}
	return strings.Join(words, " ")
}
