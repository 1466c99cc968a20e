package farm

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// snippets are the telling ends of real logs and what each should be told as.
func snippets() []struct {
	log  string
	want Failure
} {
	return []struct {
		log  string
		want Failure
	}{
		{"c/_cffi_backend.c:15:10: fatal error: ffi.h: No such file or directory\n   15 | #include <ffi.h>\ncompilation terminated.\nerror: command '/usr/bin/gcc' failed with exit code 1",
			Failure{MissingHeader, "ffi.h", "apt: libffi-dev"}},
		{"cupsconnection.h:26:10: fatal error: cups/http.h: No such file or directory", Failure{MissingHeader, "cups/http.h", "apt: libcups2-dev"}},
		{"      src/pyaudio/device_api.c:9:10: fatal error: portaudio.h: No such file or directory", Failure{MissingHeader, "portaudio.h", "apt: portaudio19-dev"}},
		{"Modules/common.h:15:10: fatal error: lber.h: No such file or directory", Failure{MissingHeader, "lber.h", "apt: libldap-dev"}},
		{"x.c:1:10: fatal error: 'Python.h' file not found", Failure{MissingHeader, "Python.h", "apt: python3-dev"}},
		{"x.c:1:10: fatal error: nobody/knows.h: No such file or directory", Failure{MissingHeader, "nobody/knows.h", ""}},
		{"Error: Please make sure the libxml2 and libxslt development packages are installed.", Failure{MissingHeader, "libxml/xmlversion.h", "apt: libxml2-dev libxslt1-dev"}},
		{"The headers or library files could not be found for zlib,\na required dependency when compiling Pillow from source.", Failure{MissingHeader, "zlib", "apt: zlib1g-dev"}},
		{"../subprojects/dbus-gmain/meson.build:107:11: ERROR: Dependency \"dbus-1\" not found (tried pkg-config and cmake)", Failure{MissingLibrary, "dbus-1", "apt: libdbus-1-dev"}},
		{"../meson.build:31:9: ERROR: Dependency lookup for cairo with method 'pkgconfig' failed: Pkg-config binary for machine 1 not found.", Failure{MissingLibrary, "cairo", "apt: libcairo2-dev"}},
		{"Package libpq was not found in the pkg-config search path.\nPerhaps you should add the directory", Failure{MissingLibrary, "libpq", "apt: libpq-dev"}},
		{"No package 'libsystemd' found", Failure{MissingLibrary, "libsystemd", "apt: libsystemd-dev"}},
		{"Package 'libgit2', required by 'virtual:world', not found", Failure{MissingLibrary, "libgit2", "apt: libgit2-dev"}},
		{"/usr/bin/ld: cannot find -lbluetooth: No such file or directory\ncollect2: error: ld returned 1 exit status", Failure{MissingLibrary, "bluetooth", "apt: libbluetooth-dev"}},
		{"/usr/bin/ld: cannot find -lzzz\n", Failure{MissingLibrary, "zzz", ""}},
		{"CMake Error: Could NOT find OpenSSL, try to set\n  Could NOT find ZLIB (missing: ZLIB_LIBRARY ZLIB_INCLUDE_DIR)", Failure{MissingLibrary, "ZLIB", "apt: zlib1g-dev"}},
		{"Error: pg_config executable not found.", Failure{MissingTool, "pg_config", "apt: libpq-dev"}},
		{"/bin/sh: 1: mysql_config: not found\nOSError: mysql_config not found", Failure{MissingTool, "mysql_config", "apt: libmariadb-dev"}},
		{"error: command 'swig' failed: No such file or directory", Failure{MissingTool, "swig", "apt: swig"}},
		{"unable to execute 'gcc': No such file or directory", Failure{MissingTool, "gcc", "apt: build-essential"}},
		{"error: can't find Rust compiler", Failure{MissingTool, "rustc", "apt: rustc cargo"}},
		{"Cargo, the Rust package manager, is not installed or is not on PATH.", Failure{MissingTool, "cargo", "apt: rustc cargo"}},
		{"FileNotFoundError: [Errno 2] No such file or directory: 'cmake'", Failure{MissingTool, "cmake", "apt: cmake"}},
		{"../meson.build:1:0: ERROR: Unknown compiler(s): [['gfortran'], ['flang']]", Failure{MissingTool, "gfortran", "apt: gfortran"}},
		{"./autogen.sh: 3: autoreconf: not found", Failure{MissingTool, "autoreconf", "apt: autoconf automake libtool"}},
		{"bash: line 1: bison: command not found", Failure{MissingTool, "bison", "apt: bison"}},
		{"ERROR: Package 'demo' requires a different Python: 3.11.2 not in '>=3.12'", Failure{NeedsNewerPython, "needs Python >=3.12, has 3.11.2", ""}},
		{"ModuleNotFoundError: No module named 'tomllib'", Failure{NeedsNewerPython, "module tomllib is of a newer Python", ""}},
		{"    print 'hello'\n    ^^^^^\nSyntaxError: Missing parentheses in call to 'print'. Did you mean print(...)?", Failure{PythonSyntax, "SyntaxError: Missing parentheses in call to 'print'. Did you mean print(...)?", ""}},
		{"NameError: name 'execfile' is not defined", Failure{PythonSyntax, "execfile: Python 2", ""}},
		{"ModuleNotFoundError: No module named 'ConfigParser'", Failure{PythonSyntax, "ConfigParser: Python 2", ""}},
		{"ImportError: cannot import name 'MutableMapping' from 'collections' (/usr/lib/python3.11/collections/__init__.py)", Failure{PythonSyntax, "MutableMapping is gone from collections", ""}},
		{"This backport is for Python 2.7 only.", Failure{PythonSyntax, "for Python 2.7 only", ""}},
		{"packaging.version.InvalidVersion: Invalid version: '0.8.7p1'", Failure{MetadataInvalid, "version 0.8.7p1", ""}},
		{"WARNING: Requested a==1 from http://h/a-1.tar.gz has inconsistent version: expected '1', but metadata has '2'", Failure{WrongWheel, "version: expected '1', but metadata has '2'", ""}},
		{"tarfile.ReadError: empty file", Failure{MetadataInvalid, "the sdist is broken: empty file", ""}},
		{"error in anyjson setup command: use_2to3 is invalid.", Failure{BuildBackend, "use_2to3 is gone from setuptools", "needs setuptools<58"}},
		{"ModuleNotFoundError: No module named 'pkg_resources'", Failure{BuildBackend, "pkg_resources is gone", "needs an older setuptools"}},
		{"ModuleNotFoundError: No module named 'distutils.command'", Failure{BuildBackend, "distutils.command is gone", "needs an older setuptools"}},
		{"  error: The 'sklearn' PyPI package is deprecated, use 'scikit-learn'\n  rather than 'sklearn'", Failure{BuildBackend, "'sklearn' PyPI package is deprecated, use 'scikit-learn'", ""}},
		{"AttributeError: 'build_ext' object has no attribute 'cython_sources'", Failure{BuildBackend, "'build_ext' object has no attribute 'cython_sources'", "needs Cython<3"}},
		{"ModuleNotFoundError: No module named 'numpy'", Failure{BuildRequirement, "numpy is wanted and not declared", ""}},
		{"ERROR: Some build dependencies for file:///a conflict with PEP 517/518 supported requirements: setuptools==1", Failure{BuildRequirement, "file:///a conflict with PEP 517/518 supported requirements: setuptools==1", ""}},
		{"ERROR: ResolutionImpossible: for help visit\n× pip subprocess to install build dependencies did not run successfully.", Failure{BuildRequirement, "conflict: the build requirements exclude one another", ""}},
		{"EOFError: EOF when reading a line", Failure{Prompt, "read from the terminal", ""}},
		{"curl: (6) Could not resolve host: example.org", Failure{Network, "example.org", ""}},
		{"urllib.error.URLError: <urlopen error [Errno 111] Connection refused>", Failure{Network, "Connection refused", ""}},
		{"fatal: unable to access 'https://git.example.org/x.git/': x", Failure{Network, "https://git.example.org/x.git/", ""}},
		{"c++: fatal error: Killed signal terminated program cc1plus", Failure{OutOfMemory, "cc1plus", ""}},
		{"OSError: [Errno 28] No space left on device", Failure{Disk, "No space left on device", ""}},
		{"x.c:3:5: error: too few arguments to function 'PyCode_New'\nerror: command '/usr/bin/gcc' failed with exit code 1", Failure{CompilerError, "too few arguments to function 'PyCode_New'", ""}},
		{"error[E0658]: use of unstable library feature\nerror: could not compile `x`", Failure{CompilerError, "error[E0658]: use of unstable library feature", ""}},
		{"x.c:1: internal compiler error: Segmentation fault", Failure{Crashed, "internal compiler error: Segmentation fault", ""}},
		{"ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", Failure{UpstreamFault, "hash mismatch of a download", ""}},
		{"ERROR: HTTP error 503 while getting http://h/x.tar.gz (from http://h/simple/x/)", Failure{UpstreamFault, "HTTP 503 for http://h/x.tar.gz", ""}},
		{"WARNING: Retrying (Retry(total=0, connect=None, read=None)) after connection broken by 'X': /simple/a/\nERROR: Could not find a version that satisfies the requirement a==1 (from versions: none)\nERROR: No matching distribution found for a==1", Failure{UpstreamFault, "index unreachable while looking for a==1", ""}},
		{"ERROR: No matching distribution found for pywin32==306", Failure{NoSdist, "pywin32==306", ""}},
		{"RuntimeError: boom", Failure{BuildBackend, "RuntimeError: boom", ""}},
		{"all went well, and then it did not", Failure{Cause: Unknown}},
	}
}

func TestClassify(t *testing.T) {
	t.Parallel()
	for _, c := range snippets() {
		if diff := cmp.Diff(c.want, Classify(c.log)); diff != "" {
			t.Errorf("Classify(%q) (-want +got):\n%s", c.log, diff)
		}
	}
}

// A telling line is found wherever it stands, and the excerpt is told as the
// line would be.
func TestExcerptKeepsWhatTells(t *testing.T) {
	t.Parallel()
	noise := strings.Repeat("building 'x' extension: gcc -O2 -Wall -fPIC -c x.c -o x.o\n", 3000)
	for _, c := range snippets() {
		if c.want.Cause == Unknown || strings.Contains(c.log, "Retrying") {
			continue
		}
		excerpt := Excerpt([]byte(noise + c.log + "\n" + noise))
		if len(excerpt) > MaxExcerpt {
			t.Errorf("excerpt of %q has %d bytes", c.log, len(excerpt))
		}
		if diff := cmp.Diff(c.want, Classify(excerpt)); diff != "" {
			t.Errorf("excerpt of %q (-want +got):\n%s\n%s", c.log, diff, excerpt)
		}
	}
}

func TestExcerptEndsWithTheLog(t *testing.T) {
	t.Parallel()
	got := Excerpt([]byte("one\n\ntwo\r 50%\r100%\n\x1b[31mthree\x1b[0m\x00\n"))
	if want := "one\ntwo\n 50%\n100%\nthree"; got != want {
		t.Errorf("Excerpt = %q, want %q", got, want)
	}
}

func TestClean(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain\ttext\n":                   "plain\ttext\n",
		"\x1b[1;31mred\x1b[0m":            "red",
		"\x1b]0;title\x07shown":           "shown",
		"a\x00b\x07c\u009bd":              "abcd",
		"\xff\xfe<b>":                     "\uFFFD<b>",
		"turn\u202ened\u2066 \u200fit":    "turnned it",
		"no\u200bthing\u2060\ufeff\u00ad": "nothing", // of no width
		"fill\u3164\uffa0\u2800\u034f":    "fill",    // drawn as nothing
		"tag\U000e0041\ufe0f":             "tag",
		"one\u2028line\u0085":             "oneline",
		"Zoë 名前 \u00a0€ ▁█":               "Zoë 名前 \u00a0€ ▁█",
	} {
		if got := Clean(in); got != want {
			t.Errorf("Clean(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzExcerpt(f *testing.F) {
	for _, c := range snippets() {
		f.Add([]byte(c.log))
	}
	f.Add([]byte("\xff\x00\x1b[\x1b]\r\r\n\u202e"))
	f.Fuzz(func(t *testing.T, log []byte) {
		e := Excerpt(log)
		if len(e) > MaxExcerpt || !utf8.ValidString(e) || e != Clean(e) {
			t.Errorf("Excerpt(%q) = %q", log, e)
		}
		fail := Classify(e)
		if !fail.Cause.Valid() || len(fail.Detail) > maxDetail || !utf8.ValidString(fail.Detail) {
			t.Errorf("Classify(%q) = %+v", e, fail)
		}
	})
}

func BenchmarkExcerpt(b *testing.B) {
	log := []byte(strings.Repeat("x.c:1:2: warning: error is not an error, not found at all\n", 20000))
	b.SetBytes(int64(len(log)))
	for b.Loop() {
		Excerpt(log)
	}
}

// TestLongLineIsClassified: pip names two URLs with their hashes before it says
// what is wrong.
func TestLongLineIsClassified(t *testing.T) {
	t.Parallel()
	url := "https://files.example/packages/ab/cd/" + strings.Repeat("e", 60) + "/demo_pkg-1.0.tar.gz#sha256=" + strings.Repeat("0", 64) +
		" (from https://index.example/simple/demo-pkg/) (requires-python:>=3.7)"
	line := "Discarding " + url + ": Requested demo_pkg==1.0 from " + url + " has inconsistent name: expected 'demo-pkg', but metadata has 'other'"
	log := line + "\nERROR: Could not find a version that satisfies the requirement demo_pkg==1.0\nERROR: No matching distribution found for demo_pkg==1.0\n"
	if got := Classify(Excerpt([]byte(log))); got.Cause != WrongWheel {
		t.Errorf("cause %s (%s)", got.Cause, got.Detail)
	}
}

// BenchmarkClassify tells one log of each snippet, in the 2,000 bytes that a row has.
func BenchmarkClassify(b *testing.B) {
	var excerpts []string
	noise := strings.Repeat("  gcc -Wno-unused-result -O2 -Wall -fPIC -I/usr/include/python3.11 -c src/x.c -o build/x.o\n", 15)
	for _, c := range snippets() {
		excerpts = append(excerpts, clip(noise+c.log, MaxExcerpt))
	}
	for b.Loop() {
		for _, e := range excerpts {
			Classify(e)
		}
	}
	b.ReportMetric(float64(len(excerpts)*b.N)/b.Elapsed().Seconds(), "logs/s")
}
