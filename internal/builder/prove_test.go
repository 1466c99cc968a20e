package builder

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pinwheel/internal/farm"
)

// modules makes an sdist whose wheel holds these files.
func modules(t *testing.T, name string, files map[string]string) []byte {
	t.Helper()
	var args strings.Builder
	for file, text := range files {
		fmt.Fprintf(&args, ", %s=%q", file, text)
	}
	return sdist(t, name, "return wheel(d"+args.String()+")\n")
}

// provedBuild is newBuild, and what it made is imported.
func provedBuild(t *testing.T, mode Mode, name, url string) Build {
	t.Helper()
	b := newBuild(t, mode, name, url)
	b.SkipImports, b.proveTime = false, 5*time.Minute
	return b
}

// TestImports: what can be imported and what cannot is told apart, and none of it
// is a refusal.
func TestImports(t *testing.T) {
	t.Parallel()
	url := index(t, map[string][]byte{"proof": modules(t, "proof", map[string]string{
		"fine":    "import json, ssl, sqlite3",
		"needs":   "import numpy",
		"caught":  "try:\n    import numpy\nexcept ImportError:\n    raise RuntimeError('pip install numpy')",
		"broken":  "import fine.part",
		"syntax":  "print 'two'",
		"removed": "import ConfigParser",
		"library": "raise ImportError('libfoo.so.1: cannot open shared object file: No such file or directory')",
		"symbol":  "raise ImportError('/x/m.so: undefined symbol: PyFoo')",
		"crash":   "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
		"leaves":  "import os; os._exit(0)",
		"noisy":   "print('{}'); import sys; sys.stderr.write('\\x1b[31m'); raise ValueError('\\x1b[31m\\u202e')",
		"network": "import socket; socket.create_connection(('127.0.0.1', 1), 5)",
	})})
	want := map[string]string{
		"needs": "import-needs info", "caught": "import-needs info", "broken": "import-failed warning", "syntax": "import-failed warning",
		"removed": "import-failed warning", "library": "import-missing-library warning", "symbol": "import-undefined-symbol warning",
		"crash": "import-crashed warning", "leaves": "import-crashed warning", "noisy": "import-failed warning", "network": "import-failed warning",
	}
	for _, mode := range modes() {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			r := build(t, provedBuild(t, mode, "proof", url))
			if r.Outcome != farm.OutcomeBuilt || r.Record.Imports == nil {
				t.Fatalf("%+v", r)
			}
			got := r.Record.Imports
			if len(got.Modules) != 1 || got.Modules[0] != "fine" || got.Seconds <= 0 {
				t.Errorf("imported %q in %g s", got.Modules, got.Seconds)
			}
			for _, f := range got.Findings {
				if f.Code+" "+f.Severity != want[f.Entry] || f.Message == "" || f.Message != farm.Clean(f.Message) {
					t.Errorf("%+v, want %q", f, want[f.Entry])
				}
			}
			if len(got.Findings) != len(want) {
				t.Errorf("%d findings, want %d: %+v", len(got.Findings), len(want), got.Findings)
			}
		})
	}
}

// TestImportsAreFencedIn: a module that is imported sees no network, cannot change
// the wheel, and leaves nothing running, whatever it does.
func TestImportsAreFencedIn(t *testing.T) {
	t.Parallel()
	bwrapOnly(t)
	url := index(t, map[string][]byte{"fenced": modules(t, "fenced", map[string]string{
		"interfaces": "import socket; raise ValueError(','.join(sorted(n for _, n in socket.if_nameindex())))",
		"daemon":     "import subprocess; subprocess.Popen(['sh', '-c', 'trap \"\" TERM HUP; while :; do sleep 1000; done'], start_new_session=True)",
		"rewrites":   "import glob\nfor f in glob.glob('/tmp/*.whl'): open(f, 'w').write('not a wheel')",
		"babbles":    "import os, json\nfor fd in range(3, 64):\n    try: os.write(fd, b'[null]\\n{\"modules\": [\"babbles\"], \"findings\": []}\\n')\n    except OSError: pass\nraise ValueError(1)",
	})})
	b := provedBuild(t, Bwrap, "fenced", url)
	r := build(t, b)
	if r.Outcome != farm.OutcomeBuilt || r.Record.Imports == nil {
		t.Fatalf("%+v", r)
	}
	for _, f := range r.Record.Imports.Findings {
		if f.Entry == "interfaces" && f.Message != "ValueError: lo" {
			t.Errorf("an import sees the network: %+v", f)
		}
	}
	if text, err := os.ReadFile(r.Wheels[0]); err != nil || !strings.HasPrefix(string(text), "PK") {
		t.Errorf("an import changed the wheel: %.20q, %v", text, err)
	}
}

// TestImportsThatHang: the time is bounded, and the wheel is there all the same.
func TestImportsThatHang(t *testing.T) {
	t.Parallel()
	url := index(t, map[string][]byte{"hangs": modules(t, "hangs", map[string]string{"hangs": "import time; time.sleep(10**6)"})})
	b := provedBuild(t, None, "hangs", url)
	b.proveTime = 2 * time.Second
	r := build(t, b)
	if r.Outcome != farm.OutcomeBuilt || len(r.Record.Imports.Findings) != 1 || r.Record.Imports.Findings[0].Code != farm.ImportTimeout || r.Record.Imports.Seconds > 60 {
		t.Errorf("%+v: %+v", r, r.Record.Imports)
	}
}

func TestExtensionIsImported(t *testing.T) {
	t.Parallel()
	py, err := findPython()
	must(t, err)
	tag := py.ABI + "-" + py.ABI + "-" + py.Platform
	code := sdist(t, "cimport", strings.ReplaceAll(`
import sysconfig
src = '#include <Python.h>\nextern void nowhere(void);\nstatic struct PyModuleDef d = {PyModuleDef_HEAD_INIT, "NAME", 0, -1, 0};\nPyMODINIT_FUNC PyInit_NAME(void) { BODY return PyModule_Create(&d); }\n'
name = wheel(d, tag="TAG")
z = zipfile.ZipFile(os.path.join(d, name), "a")
for mod, body in (("good", ""), ("bad", "nowhere();")):
    open("m.c", "w").write(src.replace("NAME", mod).replace("BODY", body))
    subprocess.check_call(sysconfig.get_config_var("CC").split() + ["-shared", "-fPIC", "-I" + sysconfig.get_path("include"), "m.c", "-o", mod + ".so"])
    z.write(mod + ".so", "cimport-1.0.data/platlib/" + mod + ".so")
z.close()
return name
`, "TAG", tag))
	r := build(t, provedBuild(t, modes()[0], "cimport", index(t, map[string][]byte{"cimport": code})))
	if r.Outcome != farm.OutcomeBuilt {
		t.Fatalf("%+v", r)
	}
	i := r.Record.Imports
	if strings.Join(i.Modules, " ") != "cimport good" || len(i.Findings) != 1 || i.Findings[0].Code != farm.ImportUndefinedSymbol || i.Findings[0].Entry != "bad" {
		t.Errorf("%+v", i)
	}
}

// TestSourceDateEpoch: tools are told the release's time, so that the same source
// gives the same bytes; a recipe may say otherwise.
func TestSourceDateEpoch(t *testing.T) {
	t.Parallel()
	released := time.Date(2021, 5, 4, 3, 2, 1, 0, time.UTC)
	url := index(t, map[string][]byte{"epoch": sdist(t, "epoch", "print('epoch is', os.environ['SOURCE_DATE_EPOCH'])\nreturn wheel(d)\n")})
	tests := map[string]struct {
		at   time.Time
		env  map[string]string
		want string
	}{
		"released":  {at: released, want: fmt.Sprint(released.Unix())},
		"not told":  {want: "1577836800"},
		"before it": {at: time.Date(1970, 1, 2, 0, 0, 0, 0, time.UTC), want: "1577836800"},
		"to come":   {at: time.Now().Add(time.Hour), want: "1577836800"},
		"a recipe":  {at: released, env: map[string]string{"SOURCE_DATE_EPOCH": "1"}, want: "1"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBuild(t, None, "epoch", url)
			b.Epoch, b.Recipe = test.at, farm.Recipe{Env: test.env}
			if r := build(t, b); r.Outcome != farm.OutcomeBuilt || r.Record.Imports != nil {
				t.Errorf("%+v", r)
			}
			if text := readLog(t, b); !strings.Contains(text, "epoch is "+test.want+"\n") {
				t.Errorf("the log does not say %s:\n%s", test.want, text)
			}
		})
	}
}

// TestHostileLog: what a build writes steers no terminal, and shows no password that
// it was told, neither live nor kept.
func TestHostileLog(t *testing.T) {
	t.Parallel()
	url := index(t, map[string][]byte{"hostile": sdist(t, "hostile", `
w = lambda b: (sys.stdout.buffer.write(b), sys.stdout.buffer.flush(), time.sleep(0.05))
w(b"BEGIN \x1b[2J\x1b[31mred\x1b[0m \x1b]0;title\x07 nul\x00 bell\x07 \xff\xfe \xe2\x80\xaetrojan\n")
w(b"https://user:hunt"); w(b"er22@host/simple\n")
w(b"the password is hunter"); w(b"22, twice hunter22\n")
w(b"GET /f?token=abc"); w(b"def&page=2\n")
w(b"x" * 1000000 + b" long\n")
w(os.environ["MY_INDEX"].encode() + b"\n")
print("END")
return wheel(d)
`)})
	for _, mode := range modes() {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			b := newBuild(t, mode, "hostile", url)
			b.Recipe = farm.Recipe{Env: map[string]string{"MY_INDEX": "http://me:hunter22@127.0.0.1:1"}}
			b.ExtraIndexURLs = nil
			var live strings.Builder
			b.Live = &live
			r := build(t, b)
			text := readLog(t, b)
			if r.Outcome != farm.OutcomeBuilt || live.String() != text {
				t.Errorf("%+v; live are %d bytes, kept %d", r, live.Len(), len(text))
			}
			for _, want := range []string{"BEGIN red ", "trojan\n", "https://****@host/simple\n", "the password is ****, twice ****\n",
				"GET /f?token=****&page=2\n", "[... 991808 bytes left out ...] long\n", "http://****@127.0.0.1:1\n", "END\n"} {
				if !strings.Contains(text, want) {
					t.Errorf("the log lacks %q", want)
				}
			}
			if text != farm.Clean(text) || strings.Contains(text, "hunter22") {
				t.Errorf("the log is not harmless:\n%s", text)
			}
			if r.LogWritten < 1000000 {
				t.Errorf("%d bytes are said to be written", r.LogWritten)
			}
		})
	}
}

func TestSecretsOfABuild(t *testing.T) {
	t.Parallel()
	b := newBuild(t, None, "x", "https://reader:p%40ssw0rd@index.example/simple/")
	b.ExtraIndexURLs = []string{"https://host/simple/", "https://x:short@host/"}
	x, err := openBox(b)
	must(t, err)
	defer func() { must(t, x.remove()) }()
	if got := strings.Join(b.secrets(x), " "); got != "p@ssw0rd p%40ssw0rd" {
		t.Errorf("secrets = %q", got)
	}
	if _, err := os.Stat(filepath.Join(b.Dir, "box")); err != nil {
		t.Error(err)
	}
}
