package wheel

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/farm"
	"pinwheel/internal/pep"
)

func TestDistInfo(t *testing.T) {
	t.Parallel()
	with := func(change func(*recipe)) recipe {
		r := good()
		change(&r)
		return r
	}
	meta := func(s string) recipe { return with(func(r *recipe) { r.metadata = s }) }
	wheel := func(old, new string) recipe {
		return with(func(r *recipe) { r.wheel = strings.Replace(r.wheel, old, new, 1) })
	}
	dir := func(s string) recipe { return with(func(r *recipe) { r.distInfo = s }) }
	checkAll(t, []hostile{
		{"version not normalised", meta("Metadata-Version: 2.1\nName: Demo.PKG\nVersion: v1.0.0\n"), ""},
		{"another version", meta("Metadata-Version: 2.1\nName: demo_pkg\nVersion: 1.0+local\n"), CodeMetadataVersion},
		{"two names", meta(goodMetadata[:len("Metadata-Version: 2.1\n")] + "Name: pip\n" + goodMetadata[len("Metadata-Version: 2.1\n"):]), CodeMetadata},
		{"two versions", meta("Metadata-Version: 2.1\nName: demo_pkg\nVersion: 1.0\nversion: 2.0\n"), CodeMetadata},
		{"name in the text only", meta("Metadata-Version: 2.1\nVersion: 1.0\n\nName: demo_pkg\n"), CodeMetadata},
		{"millions of fields", meta(goodMetadata[:len(goodMetadata)-6] + strings.Repeat("a:\n", 100_000)), CodeMetadata},
		{"millions of folded lines", meta(goodMetadata[:len(goodMetadata)-6] + strings.Repeat(" \n", 200_000)), CodeMetadata},
		{"long description", meta(goodMetadata + strings.Repeat("text\n", 100_000)), ""},
		{"longer than any", meta(goodMetadata + strings.Repeat("text\n", 1_000_000)), CodeMetadataSize},
		{"old minor version", meta("Metadata-Version: 1.2\nName: demo_pkg\nVersion: 1.0\n"), ""},

		{"spelled otherwise", dir("Demo.Pkg-1.dist-info"), ""},
		{"with a dash", dir("demo-pkg-1.0.dist-info"), ""},
		{"of another version", dir("demo_pkg-2.0.dist-info"), CodeDistInfoName},
		{"of a longer name", dir("demo_pkg_x-1.0.dist-info"), CodeDistInfoName},
		{"without version", dir("demo_pkg.dist-info"), CodeDistInfoName},
		{"upper-case ending", dir("demo_pkg-1.0.DIST-INFO"), CodeDistInfoName},
		{"a second one", good(file{name: "pip-99.dist-info/METADATA", data: "x"}), CodeDistInfoSeveral},
		{"a second one in another spelling", good(file{name: "Demo_pkg-1.0.dist-info/x", data: "x"}), CodeDistInfoSeveral},
		{"an empty second one", good(file{name: "pip-99.dist-info/"}), CodeDistInfoSeveral},
		{"a vendored one", good(file{name: "demo_pkg/_vendor/x-1.dist-info/METADATA", data: "x"}), ""},
		{"one in purelib", good(file{name: "demo_pkg-1.0.data/purelib/pip-99.dist-info/METADATA", data: "x"}), CodeDistInfoHidden},

		{"data of another project", good(file{name: "pip-99.data/scripts/pip", data: "x"}), CodeDataName},
		{"data of an unknown scheme", good(file{name: "demo_pkg-1.0.data/stdlib/os.py", data: "x"}), CodeDataScheme},
		{"data of no scheme", good(file{name: "demo_pkg-1.0.data/os.py", data: "x"}), CodeDataScheme},
		{"data folder", good(file{name: "demo_pkg-1.0.data/"}, file{name: "demo_pkg-1.0.data/data/"}), ""},

		{"wheel 1.9", wheel("Wheel-Version: 1.0", "Wheel-Version: 1.9"), ""},
		{"wheel version twice", wheel("Wheel-Version: 1.0", "Wheel-Version: 1.0\nWheel-Version: 1.0"), CodeWheel},
		{"tag too many", wheel("Tag:", "Tag: py3-none-any\nTag:"), CodeWheelTags},
		{"tag twice", wheel("Tag:", "Tag: cp311-cp311-linux_armv7l\nTag:"), ""},
		{"tag that is none", wheel("Tag: cp311-cp311", "Tag: cp311"), CodeWheelTags},
		{"a million tags", wheel("Tag:", strings.Repeat("Tag: "+strings.Repeat("a.", 9)+"b-"+strings.Repeat("a.", 9)+"c-d\n", 1000)+"Tag:"), CodeWheelTags},
		{"build that the name has not", wheel("Tag:", "Build: 1\nTag:"), CodeWheelBuild},
		{"purelib neither true nor false", wheel("Purelib: false", "Purelib: perhaps"), CodeWheel},
		{"no WHEEL", with(func(r *recipe) { r.wheel = "" }), CodeWheelMissing},
	})
}

func TestRecord(t *testing.T) {
	t.Parallel()
	with := func(change func(rows []string) string, files ...file) recipe {
		r := good(files...)
		r.record = change
		return r
	}
	lines := func(rows []string) string { return strings.Join(rows, "\n") + "\n" }
	row := func(old, new string) recipe {
		return with(func(rows []string) string { return strings.Replace(lines(rows), old, new, 1) })
	}
	plus := func(extra string, files ...file) recipe {
		return with(func(rows []string) string { return lines(rows) + extra }, files...)
	}
	checkAll(t, []hostile{
		{"file without a row", good(file{name: "demo_pkg/evil.py", data: "x", noRow: true}), CodeRecordUnlisted},
		{"row without a file", plus(recordRow("demo_pkg/gone.py", "x")), CodeRecordExtra},
		{"row that leads out", plus(recordRow("../../bin/x", "x")), CodeRecordExtra},
		{"row twice", plus(recordRow("demo_pkg/__init__.py", "x = 1\n")), CodeRecordDuplicate},
		{"row with another spelling", row("demo_pkg/__init__.py", "./demo_pkg/__init__.py"), CodeRecordUnlisted},
		{"row with a backslash", row("demo_pkg/__init__.py", `demo_pkg\__init__.py`), CodeRecordUnlisted},
		{"folder with an entry", plus("demo_pkg/,,\n", file{name: "demo_pkg/"}), ""},
		{"folder without", plus("demo_pkg/,,\n"), CodeRecordExtra},
		{"no size", row(",6\n", ",\n"), ""},
		{"another size", row(",6\n", ",7\n"), CodeRecordLength},
		{"negative size", row(",6\n", ",-6\n"), CodeRecordLength},
		{"size with a sign", row(",6\n", ",+6\n"), CodeRecordLength},
		{"size in hex", row(",6\n", ",0x6\n"), CodeRecordLength},
		{"huge size", row(",6\n", ",99999999999999999999\n"), CodeRecordLength},
		{"sha224", row("sha256=", "sha224="), CodeRecordWeak},
		{"upper-case algorithm", row("sha256=", "SHA256="), CodeRecordWeak},
		{"hash without algorithm", row("sha256=", ""), CodeRecordWeak},
		{"hash cut short", row("sha256=", "sha256=AAAA,6\nx,sha256="), CodeRecordHash},
		{"hash of another length", row("sha256=", "sha512="), CodeRecordHash},
		{"four columns", row(",6\n", ",6,\n"), CodeRecordColumns},
		{"one column", plus("x\n"), CodeRecordColumns},
		{"quote inside", plus("a\"b,,\n"), CodeRecordCSV},
		{"quote never closed", plus("\"a,,\n"), CodeRecordCSV},
		{"not UTF-8", plus("\xff,,\n"), CodeRecordCSV},
		{"byte order mark", with(func(rows []string) string { return "\ufeff" + lines(rows) }), CodeRecordUnlisted},
		{"empty", with(func([]string) string { return "" }), CodeRecordUnlisted},
		{"quoted throughout", with(func(rows []string) string {
			return `"` + strings.ReplaceAll(strings.Join(rows, "\"\r\n\""), ",", `","`) + "\"\r\n"
		}), ""},
		{"too many rows", plus(manyRows(100_001)), CodeRecordSize},
		{"too many columns", plus(strings.Repeat(",", 1_000_000)), CodeRecordSize},
		{"hash of RECORD", row("RECORD,,", "RECORD,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0"), CodeRecordSelf},
		{"RECORD not listed", with(func(rows []string) string { return lines(rows[:len(rows)-1]) }), ""},
		{"signatures", good(file{name: "demo_pkg-1.0.dist-info/RECORD.jws", data: "x", noRow: true},
			file{name: "demo_pkg-1.0.dist-info/RECORD.p7s", data: "y", noRow: true}), ""},
		{"signature listed without hash", plus("demo_pkg-1.0.dist-info/RECORD.jws,,\n",
			file{name: "demo_pkg-1.0.dist-info/RECORD.jws", data: "x", noRow: true}), ""},
		{"signature with a wrong hash", plus(recordRow("demo_pkg-1.0.dist-info/RECORD.jws", "z"),
			file{name: "demo_pkg-1.0.dist-info/RECORD.jws", data: "x", noRow: true}), CodeRecordHash},
		{"signature elsewhere", good(file{name: "demo_pkg/RECORD.jws", data: "x", noRow: true}), CodeRecordUnlisted},
	})
}

func manyRows(n int) string {
	var b strings.Builder
	for i := range n {
		for ; i > 0; i /= 64 {
			b.WriteByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[i%64])
		}
		b.WriteString("~,,\n")
	}
	return b.String()
}

// TestTags tries file names: what matters is which findings they bring, the
// wheel inside is of another name.
func TestTags(t *testing.T) {
	t.Parallel()
	about := []string{CodeTagPlatform, CodeTagABI, CodeTagUnsupported, CodeFilename, CodeFilenameName, CodeFilenameVersion}
	cases := []struct {
		filename string
		target   string
		want     []string
	}{
		{"demo_pkg-1.0-cp311-cp311-linux_armv7l.whl", "", nil},
		{"demo_pkg-1.0-1-cp311-cp311-linux_armv7l.whl", "", nil},
		{"demo_pkg-1.0-cp311-abi3-linux_armv7l.whl", "", nil},
		{"demo_pkg-1.0-cp37-abi3-linux_armv7l.whl", "", nil},
		{"demo_pkg-1.0-py3-none-linux_armv7l.whl", "", nil},
		{"demo_pkg-1.0-py2.py3-none-any.whl", "", nil},
		{"demo_pkg-1.0-py311-none-any.whl", "", nil},
		{"demo_pkg-1.0-cp313-cp313t-linux_armv7l.whl", "cp313t-linux_armv7l", nil},
		{"demo_pkg-1.0-cp27-cp27mu-linux_armv7l.whl", "cp27mu-linux_armv7l", nil},
		{"demo_pkg-1.0-py2-none-any.whl", "", []string{CodeTagUnsupported}},
		{"demo_pkg-1.0-py312-none-any.whl", "", []string{CodeTagUnsupported}},
		{"demo_pkg-1.0-cp312-abi3-linux_armv7l.whl", "", []string{CodeTagUnsupported}},
		{"demo_pkg-1.0-cp37-abi3-linux_armv7l.whl", "cp313t-linux_armv7l", []string{CodeTagUnsupported}},
		{"demo_pkg-1.0-cp310-cp310-linux_armv7l.whl", "", []string{CodeTagABI, CodeTagUnsupported}},
		{"demo_pkg-1.0-cp311.cp39-cp311.cp39-linux_armv7l.whl", "", []string{CodeTagABI}},
		{"demo_pkg-1.0-cp311-cp311-linux_armv7l.linux_armv6l.whl", "", []string{CodeTagPlatform}},
		{"demo_pkg-1.0-cp311-cp311-linux_armv7l.manylinux_2_31_armv7l.whl", "", []string{CodeTagPlatform}},
		{"demo_pkg-1.0-cp311-cp311-linux_x86_64.whl", "cp311-linux_x86_64", nil},
		{"other-1.0-py3-none-any.whl", "", []string{CodeFilenameName}},
		{"demo_pkg-1.0.1-py3-none-any.whl", "", []string{CodeFilenameVersion}},
		{"demo_pkg-1.0-x1-py3-none-any.whl", "", []string{CodeFilename}},
		{"../demo_pkg-1.0-py3-none-any.whl", "", []string{CodeFilename}},
		{"demo_pkg-1.0-py3-none-any.whl\n", "", []string{CodeFilename}},
		{"", "", []string{CodeFilename}},
	}
	for _, c := range cases {
		t.Run(c.filename+" "+c.target, func(t *testing.T) {
			t.Parallel()
			expect := want()
			if c.target != "" {
				var err error
				if expect.Target, err = farm.ParseTarget(c.target); err != nil {
					t.Fatal(err)
				}
			}
			r, err := Verify(t.Context(), strings.NewReader(""), 0, c.filename, expect)
			if err != nil {
				t.Fatal(err)
			}
			got := slices.DeleteFunc(codes(r), func(code string) bool { return !slices.Contains(about, code) })
			if diff := cmp.Diff(c.want, slices.Clip(got), cmp.Transformer("empty", func(s []string) []string { return append([]string{}, s...) })); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBuildNumber(t *testing.T) {
	t.Parallel()
	r := good()
	r.wheel = strings.Replace(r.wheel, "Tag:", "Build: 2\nTag:", 1)
	if got := check(t, r.build(), "demo_pkg-1.0-2-cp311-cp311-linux_armv7l.whl"); !got.Accepted {
		t.Errorf("build number in both: %+v", got.Findings)
	}
	if got := check(t, good().build(), "demo_pkg-1.0-2-cp311-cp311-linux_armv7l.whl"); !slices.Contains(codes(got), CodeWheelBuild) {
		t.Errorf("build number in the name only: %+v", got.Findings)
	}
}

func TestCompressedTags(t *testing.T) {
	t.Parallel()
	r := good()
	r.wheel = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py2.py3-none-any\n"
	got := check(t, r.build(), "demo_pkg-1.0-py2.py3-none-any.whl")
	if diff := cmp.Diff([]string{"py2-none-any", "py3-none-any"}, got.Tags); diff != "" || !got.Accepted {
		t.Errorf("%s %+v", diff, got.Findings)
	}
}

func TestELF(t *testing.T) {
	t.Parallel()
	head := func(class, machine byte) string {
		return "\x7fELF" + string([]byte{class, 1, 1}) + strings.Repeat("\x00", 9) + "\x03\x00" + string([]byte{machine, 0}) + strings.Repeat("\x00", 40)
	}
	arm, intel := head(1, 40), head(2, 62)
	checkAll(t, []hostile{
		{"own", good(file{name: "demo_pkg/_x.abi3.so", data: arm}), ""},
		{"foreign as data", good(file{name: "demo_pkg/tool", data: intel}), ""},
		{"foreign extension for itself", good(file{name: "demo_pkg/_x.cpython-311-x86_64-linux-gnu.so", data: intel}), ""},
		{"foreign extension for us", good(file{name: "demo_pkg/_x.cpython-311-arm-linux-gnueabihf.so", data: intel}), CodeELFMachine},
		{"foreign stable extension", good(file{name: "demo_pkg/_x.abi3.so", data: intel}), CodeELFMachine},
	})
	got := check(t, good(file{name: "demo_pkg/tool", data: intel}).build(), goodName)
	want := []Finding{{CodeELFForeign, Warning, "demo_pkg/tool", "an ELF file for another machine: it is for x86_64"}}
	if diff := cmp.Diff(want, got.Findings); diff != "" {
		t.Error(diff)
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	b := good().build()
	got := check(t, b, goodName)
	if got.Size != int64(len(b)) || len(got.SHA256) != 64 || string(got.MetadataBytes) != goodMetadata ||
		got.Metadata.Name != "demo_pkg" || got.Name.Name() != "demo-pkg" || got.Name.Version.String() != "1.0" ||
		got.Findings == nil {
		t.Errorf("%+v", got)
	}
	if diff := cmp.Diff([]string{pep.Tag{Python: "cp311", ABI: "cp311", Platform: "linux_armv7l"}.String()}, got.Tags); diff != "" {
		t.Error(diff)
	}
}
