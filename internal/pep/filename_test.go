package pep

import (
	"slices"
	"strings"
	"testing"
)

func TestWheelNameVectors(t *testing.T) {
	t.Parallel()
	for _, row := range readVectors(t, "filenames.tsv") {
		if row[1] != "wheel" {
			continue
		}
		w, err := ParseWheelName(row[0])
		valid := row[6] == ""
		// Stricter by intent: the reference lets any letter and white space
		// around the version pass; our names are safe in paths, pages, shells.
		if !only(row[0], "._-+!") {
			valid = false
		}
		if (err == nil) != valid {
			t.Errorf("ParseWheelName(%q): error %v, want valid %v (%s)", row[0], err, valid, row[6])
			continue
		}
		if err == nil {
			checkWheelName(t, w, row)
		}
	}
}

func checkWheelName(t *testing.T, w WheelName, row []string) {
	t.Helper()
	var tags []string
	for _, tag := range w.Tags {
		tags = append(tags, tag.String())
	}
	slices.Sort(tags)
	build := w.Build // the reference reads its number: "01" is 1
	if len(build) > 1 && isDigit(build[1]) {
		build = strings.TrimPrefix(build, "0")
	}
	got := []string{w.Name(), w.Version.String(), build, strings.Join(tags, " ")}
	if !slices.Equal(got, row[2:6]) {
		t.Errorf("ParseWheelName(%q) = %q, want %q", row[0], got, row[2:6])
	}
	if w.Filename() != row[0] {
		t.Errorf("ParseWheelName(%q).Filename() = %q", row[0], w.Filename())
	}
}

func TestSdistNameVectors(t *testing.T) {
	t.Parallel()
	for _, row := range readVectors(t, "filenames.tsv") {
		if row[1] != "sdist" {
			continue
		}
		s, err := ParseSdistName(row[0])
		if valid := row[6] == ""; (err == nil) != valid {
			t.Errorf("ParseSdistName(%q): error %v, want valid %v", row[0], err, valid)
			continue
		}
		if err == nil && (NormalizeName(s.Distribution) != row[2] || s.Version.String() != row[3]) {
			t.Errorf("ParseSdistName(%q) = %q %s, want %q %s", row[0], s.Distribution, s.Version, row[2], row[3])
		}
	}
}

func TestParseWheelNameRefuses(t *testing.T) {
	t.Parallel()
	long := "demo-1.0-1" + strings.Repeat("a", 300) + "-py3-none-any.whl"
	for _, name := range []string{
		long,
		"demo-1.0-py3-none-linux_armv7l;touch${IFS}x.whl",
		"demo-1.0-py3-none-\"><b>\u202elhw.whl",
		"demo-1.0-py3-none-any\x00.whl",
		"../demo-1.0-py3-none-any.whl",
		"demo/demo-1.0-py3-none-any.whl",
		"demo-1.0-1$(id)-py3-none-any.whl",
		"demo-1.0-1é-py3-none-any.whl",
		"demo-1.0-py3-none-" + strings.Repeat("a.b.", 10) + ".whl",
		"\u212aelvin-1.0-py3-none-any.whl",
		"demo-1.0\n-py3-none-any.whl",
		"demo-1.0-py3-none-any.whl\n",
	} {
		if w, err := ParseWheelName(name); err == nil {
			t.Errorf("ParseWheelName(%q) = %+v, want an error", name, w)
		} else if strings.ContainsAny(err.Error(), "\n\x00\u202e") || len(err.Error()) > 600 {
			t.Errorf("ParseWheelName(%q): error %q is not one plain line", name, err)
		}
	}
	limit := "demo-1.0-1" + strings.Repeat("a", 255-len("demo-1.0-1-py3-none-any.whl")) + "-py3-none-any.whl"
	if _, err := ParseWheelName(limit); err != nil || len(limit) != 255 {
		t.Errorf("a name of %d bytes: %v", len(limit), err)
	}
}

func FuzzParseWheelName(f *testing.F) {
	for _, s := range []string{
		"demo_pkg-1.0-cp311-cp311-linux_armv7l.whl",
		"RPi.GPIO-0.7.1-1abc-cp27.cp311-none.abi3-linux_armv6l.linux_armv7l.whl",
		"demo-1!1.0+Local_1-py2.py3-none-any.whl", "demo-1.0-py3-none-any.zip",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		w, err := ParseWheelName(s)
		if err != nil {
			return
		}
		if w.Filename() != s || len(w.Tags) == 0 || len(s) > maxFilename || !only(s, "._-+!") {
			t.Errorf("%q is %+v", s, w)
		}
	})
}

func FuzzParseSdistName(f *testing.F) {
	for _, s := range []string{"demo-pkg-1.0.tar.gz", "demo-1.0-1.zip", "-1.0.tar.gz", "demo.tar.gz"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseSdistName(s)
		if err == nil && (!strings.HasPrefix(s, n.Distribution+"-") || n.Distribution == "" || n.Version.String() == "") {
			t.Errorf("%q is %+v", s, n)
		}
	})
}
