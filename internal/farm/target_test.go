package farm

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseTarget(t *testing.T) {
	t.Parallel()
	cases := []struct {
		text   string
		want   Target
		python string
	}{
		{"cp311-linux_armv7l", Target{"cp311", "linux_armv7l"}, "3.11"},
		{"cp39-linux_aarch64", Target{"cp39", "linux_aarch64"}, "3.9"},
		{"cp313t-linux_x86_64", Target{"cp313t", "linux_x86_64"}, "3.13"},
		{"cp27mu-linux_armv7l", Target{"cp27mu", "linux_armv7l"}, "2.7"},
		{"cp37m-linux_armv7l", Target{"cp37m", "linux_armv7l"}, "3.7"},
	}
	for _, c := range cases {
		got, err := ParseTarget(c.text)
		if err != nil || got != c.want || got.String() != c.text || got.Python() != c.python {
			t.Errorf("%s: %+v, Python %s, %v", c.text, got, got.Python(), err)
		}
	}
}

func TestNoTarget(t *testing.T) {
	t.Parallel()
	for text, names := range map[string]string{
		"":                      "ABI-PLATFORM",
		"cp311":                 "ABI-PLATFORM",
		"cp311linux_armv7l":     "ABI-PLATFORM",
		"-linux_armv7l":         "ABI tag",
		"py3-linux_armv7l":      "ABI tag",
		"abi3-linux_armv7l":     "ABI tag",
		"cp4-linux_armv7l":      "ABI tag",
		"cp3111-linux_armv7l":   "ABI tag",
		"CP311-linux_armv7l":    "ABI tag",
		"cp311x-linux_armv7l":   "ABI tag",
		"cp311-":                "platform tag",
		"cp311-any":             "platform tag",
		"cp311-manylinux1_i686": "platform tag",
		"cp311-linux_":          "platform tag",
		"cp311-linux_armv7l-x":  "platform tag",
		"cp311-linux_../etc":    "platform tag",
		"cp311-linux_ARMV7L":    "platform tag",
		"cp311-linux_armv7l\n":  "platform tag",
	} {
		got, err := ParseTarget(text)
		if err == nil || !strings.Contains(err.Error(), names) || got != (Target{}) {
			t.Errorf("%q: %+v, error %v, want one about the %s", text, got, err, names)
		}
	}
}

// TestTargetsInOrder: by number, not by text, where cp311 comes before cp39.
func TestTargetsInOrder(t *testing.T) {
	t.Parallel()
	want := []string{"cp27mu", "cp37m", "cp39", "cp310", "cp311", "cp313", "cp314"}
	got := []string{"cp311", "cp39", "cp314", "cp27mu", "cp310", "cp313", "cp37m"}
	slices.SortFunc(got, func(a, b string) int { return Target{ABI: a}.PythonRank() - Target{ABI: b}.PythonRank() })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if r := (Target{}).PythonRank(); r != 0 {
		t.Errorf("the zero target has rank %d", r)
	}
}

func TestTargetAsText(t *testing.T) {
	t.Parallel()
	type message struct{ Target Target }
	for text, want := range map[string]Target{
		`{"Target":"cp311-linux_armv7l"}`: {"cp311", "linux_armv7l"},
		`{"Target":""}`:                   {},
		`{"Target":"-"}`:                  {}, // as the zero Target is written
	} {
		var m message
		if err := json.Unmarshal([]byte(text), &m); err != nil || m.Target != want {
			t.Errorf("%s: %+v, %v", text, m.Target, err)
		}
		again, err := json.Marshal(m)
		var back message
		if err != nil || json.Unmarshal(again, &back) != nil || back != m {
			t.Errorf("%s: written as %s, read as %+v, %v", text, again, back.Target, err)
		}
	}
	var m message
	if err := json.Unmarshal([]byte(`{"Target":"../../etc"}`), &m); err == nil {
		t.Errorf("taken as %+v", m.Target)
	}
}

func TestTags(t *testing.T) {
	t.Parallel()
	tags := Target{"cp311", "linux_armv7l"}.Tags()
	if len(tags) == 0 || tags[0].String() != "cp311-cp311-linux_armv7l" {
		t.Fatalf("best first: %v", tags)
	}
	var all []string
	for _, tag := range tags {
		all = append(all, tag.String())
	}
	for tag, want := range map[string]bool{
		"cp311-abi3-linux_armv7l": true, "cp32-abi3-linux_armv7l": true, "py3-none-any": true, "cp311-none-any": true,
		"cp312-abi3-linux_armv7l": false, "cp310-cp310-linux_armv7l": false, "cp311-cp311-linux_armv6l": false, "py2-none-any": false,
	} {
		if slices.Contains(all, tag) != want {
			t.Errorf("%s is accepted: %v", tag, !want)
		}
	}
}

func TestFacts(t *testing.T) {
	t.Parallel()
	known := Facts{Python: "3.11.2"}
	got := known.Fill(Facts{Python: "3.11.9", Glibc: "2.36", Codename: "bookworm"})
	if diff := cmp.Diff(Facts{"3.11.2", "2.36", "bookworm"}, got); diff != "" {
		t.Errorf("what is known must stay (-want +got)\n%s", diff)
	}
	for abi, codename := range map[string]string{"cp39": "bullseye", "cp311": "bookworm", "cp313": "trixie"} {
		target := Target{abi, "linux_armv7l"}
		f, ok := BuiltinFacts(target)
		if !ok || f.Codename != codename || f.Glibc == "" || !strings.HasPrefix(f.Python, target.Python()+".") {
			t.Errorf("%s: %+v", abi, f)
		}
	}
	for _, target := range []Target{{"cp311", "linux_x86_64"}, {"cp312", "linux_armv7l"}, {}} {
		if f, ok := BuiltinFacts(target); ok {
			t.Errorf("%s: %+v", target, f)
		}
	}
}

func FuzzParseTarget(f *testing.F) {
	for _, seed := range []string{"cp311-linux_armv7l", "cp27mu-linux_x86_64", "cp3--", "-"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		target, err := ParseTarget(text)
		if err != nil {
			return
		}
		if target.String() != text || target.PythonRank() < 200 || len(target.Tags()) == 0 {
			t.Fatalf("%q: %+v", text, target)
		}
	})
}
