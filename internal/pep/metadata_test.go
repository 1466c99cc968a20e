package pep

import (
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

const goodMetadata = `Metadata-Version: 2.4
Name: RPi.GPIO
Version: 0.7.1
Summary: A module to control
        the channels
requires-python: >=3.7
Requires-Dist: one >=1 ;
	python_version < "3.9"
Requires-Dist: two

Name: not-a-field
`

func TestParseMetadata(t *testing.T) {
	t.Parallel()
	want := Metadata{
		MetadataVersion: "2.4", Name: "RPi.GPIO", Version: "0.7.1",
		Summary: "A module to control the channels", RequiresPython: ">=3.7",
		RequiresDist: []string{`one >=1 ; python_version < "3.9"`, "two"},
	}
	for _, text := range []string{goodMetadata, strings.ReplaceAll(goodMetadata, "\n", "\r\n")} {
		got, err := ParseMetadata([]byte(text))
		if diff := gocmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("ParseMetadata: %v\n%s", err, diff)
		}
	}
}

func TestParseMetadataRefuses(t *testing.T) {
	t.Parallel()
	const rest = "\nName: demo\nVersion: 1.0\n"
	for name, text := range map[string]string{
		"empty":              "",
		"only a body":        "\nMetadata-Version: 2.1" + rest,
		"no version":         "Metadata-Version: 2.1\nName: demo\n",
		"no name":            "Metadata-Version: 2.1\nVersion: 1.0\n",
		"empty name":         "Metadata-Version: 2.1\nName:\nVersion: 1.0\n",
		"no format":          "Name: demo\nVersion: 1.0\n",
		"format 9.9":         "Metadata-Version: 9.9" + rest,
		"format 2":           "Metadata-Version: 2" + rest,
		"format 2.x":         "Metadata-Version: 2.x" + rest,
		"two names":          "Metadata-Version: 2.1\nName: other" + rest,
		"two requirements":   "Metadata-Version: 2.1\nRequires-Python: >=3\nRequires-Python: <3" + rest,
		"full-width letter":  "Metadata-Version: 2.1\nName: dem\uff4f\nVersion: 1.0\n",
		"bad version":        "Metadata-Version: 2.1\nName: demo\nVersion: 1.0-final!\n",
		"not UTF-8":          "Metadata-Version: 2.1\nSummary: \xff" + rest,
		"not UTF-8 below":    "Metadata-Version: 2.1" + rest + "\n\xff",
		"byte order mark":    "\ufeffMetadata-Version: 2.1" + rest,
		"hidden field":       "Metadata-Version: 2.1\nSummary: x\rName: other" + rest,
		"NUL":                "Metadata-Version: 2.1\nSummary: x\x00" + rest,
		"line without colon": "Metadata-Version: 2.1\njust words" + rest,
		"space in a name":    "Metadata-Version: 2.1\nSum mary: x" + rest,
		"continues nothing":  " x\nMetadata-Version: 2.1" + rest,
		"name on two lines":  "Metadata-Version: 2.1\nName: demo\n other\nVersion: 1.0\n",
		"binary":             "\x7fELF\x01\x01\x01\x00\n\n",
	} {
		if m, err := ParseMetadata([]byte(text)); err == nil {
			t.Errorf("%s: %+v, want an error", name, m)
		} else if strings.ContainsAny(err.Error(), "\n\r\x00") {
			t.Errorf("%s: error %q is not one plain line", name, err)
		}
	}
}

func TestParseWheelFile(t *testing.T) {
	t.Parallel()
	text := "Wheel-Version: 1.0\nGenerator: setuptools (84.0)\nRoot-Is-Purelib: False\n" +
		"Tag: py2-none-any\nTag: py3-none-any\nBuild: 2abc\n"
	want := WheelFile{
		Version: "1.0", Generator: "setuptools (84.0)", Build: "2abc",
		Tags: []string{"py2-none-any", "py3-none-any"},
	}
	got, err := ParseWheelFile([]byte(text))
	if diff := gocmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("ParseWheelFile: %v\n%s", err, diff)
	}
	got, err = ParseWheelFile([]byte("Wheel-Version: 1.99\r\nRoot-Is-Purelib: true\r\n\r\n"))
	if diff := gocmp.Diff(WheelFile{Version: "1.99", RootIsPurelib: true}, got); err != nil || diff != "" {
		t.Errorf("ParseWheelFile: %v\n%s", err, diff)
	}
}

func TestParseWheelFileRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"",
		"Tag: py3-none-any\n",
		"Wheel-Version: 2.0\n",
		"Wheel-Version: one\n",
		"Wheel-Version: 1\n",
		"Wheel-Version: 1.0\nWheel-Version: 1.0\n",
		"Wheel-Version: 1.0\nRoot-Is-Purelib: maybe\n",
		"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nroot-is-purelib: false\n",
		"Wheel-Version: 1.0\nTag: \xff\n",
	} {
		if w, err := ParseWheelFile([]byte(text)); err == nil {
			t.Errorf("ParseWheelFile(%q) = %+v, want an error", text, w)
		}
	}
}

func FuzzParseMetadata(f *testing.F) {
	f.Add([]byte(goodMetadata))
	f.Add([]byte("Metadata-Version: 1.0\r\nName: a\r\nVersion: 1\r\n\r\nbody"))
	f.Add([]byte("Name: a\n b\n\tc\n:\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseMetadata(b)
		if err != nil {
			return
		}
		if !ValidName(m.Name) || strings.ContainsAny(m.Summary+m.RequiresPython+strings.Join(m.RequiresDist, ""), "\n\r\x00") {
			t.Errorf("%q is %+v", b, m)
		}
	})
}

func FuzzParseWheelFile(f *testing.F) {
	f.Add([]byte("Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"))
	f.Add([]byte("Wheel-Version: 1.0\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		w, err := ParseWheelFile(b)
		if err == nil && !strings.HasPrefix(w.Version, "1.") {
			t.Errorf("%q is %+v", b, w)
		}
	})
}
