package builder

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pinwheel/internal/farm"
	"pinwheel/internal/pip"
	"pinwheel/internal/proc"
)

func TestBuilt(t *testing.T) {
	t.Parallel()
	for _, mode := range modes() {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			b := newBuild(t, mode, "SD.ok", index(t, nil)) // any spelling
			live := &signal{word: "Created wheel", seen: make(chan struct{})}
			b.Live = live
			r := build(t, b)
			if r.Outcome != farm.OutcomeBuilt {
				t.Fatalf("%+v", r)
			}
			if want := filepath.Join(b.Dir, "out", "sd_ok-1.0-py3-none-any.whl"); r.Wheels[0] != want {
				t.Errorf("wheel %s, want %s", r.Wheels[0], want)
			}
			if info, err := os.Lstat(r.Wheels[0]); err != nil || info.Mode() != 0o600 {
				t.Errorf("%v, %v", info, err)
			}
			select {
			case <-live.seen:
			default:
				t.Error("the live log did not say that the wheel is there")
			}
		})
	}
}

// signal is a writer that tells when a word came by.
type signal struct {
	word string
	seen chan struct{}
	mu   sync.Mutex
	all  string
}

func (s *signal) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := strings.Contains(s.all, s.word)
	s.all += string(p)
	if !before && strings.Contains(s.all, s.word) {
		close(s.seen)
	}
	return len(p), nil
}

func TestExtensionIsCompiled(t *testing.T) {
	t.Parallel()
	py, err := findPython()
	must(t, err)
	tag := py.ABI + "-" + py.ABI + "-" + py.Platform
	code := sdist(t, "cext", strings.Replace(`
import sysconfig
open("m.c", "w").write('#include <Python.h>\nstatic struct PyModuleDef d = {PyModuleDef_HEAD_INIT, "m", 0, -1, 0};\nPyMODINIT_FUNC PyInit_m(void) { return PyModule_Create(&d); }\n')
subprocess.check_call(sysconfig.get_config_var("CC").split() + ["-shared", "-fPIC", "-I" + sysconfig.get_path("include"), "m.c", "-o", "m.so"])
subprocess.check_call([sys.executable, "-c", "import m"])
return wheel(d, tag="TAG")
`, "TAG", tag, 1))
	for _, mode := range modes() {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			b := newBuild(t, mode, "cext", index(t, map[string][]byte{"cext": code}))
			if r := build(t, b); r.Outcome != farm.OutcomeBuilt || !strings.HasSuffix(r.Wheels[0], tag+".whl") {
				t.Errorf("%+v", r)
			}
			if compiler, err := Check(t.Context(), b); err != nil || compiler == "" {
				t.Errorf("Check = %q, %v", compiler, err)
			}
		})
	}
}

// daemon forks twice, leaves the session, refuses to be asked and keeps the
// output open; it drops the mark, too.
const daemon = `
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        import signal
        for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP): signal.signal(s, signal.SIG_IGN)
        os.execve("/bin/sh", ["sh", "-c", "echo $$ daemon; trap '' TERM; while :; do sleep 1000; done", os.getcwd()], {})
    os._exit(0)
os.wait()
`

func TestNothingIsLeftRunning(t *testing.T) {
	t.Parallel()
	sdists := map[string][]byte{
		"daemon":     sdist(t, "daemon", daemon+"return wheel(d)\n"),
		"daemonfail": sdist(t, "daemonfail", daemon+"raise RuntimeError('boom')\n"),
		"daemonhang": sdist(t, "daemonhang", daemon+"time.sleep(10**6)\n"),
		"parricide": sdist(t, "parricide", daemon+`
import signal
subprocess.Popen(["sleep", "1000"], start_new_session=True)
for p in [int(p) for p in os.listdir("/proc") if p.isdigit()]:
    try: mine = os.stat("/proc/%d" % p).st_uid == os.getuid() and os.environ["PINWHEEL_BUILD"].encode() in open("/proc/%d/environ" % p, "rb").read()
    except OSError: continue
    if mine and p != os.getpid() and b"sleep" not in open("/proc/%d/cmdline" % p, "rb").read(): os.kill(p, signal.SIGKILL)
time.sleep(10**6)
`),
	}
	for name := range sdists {
		for _, mode := range modes() {
			t.Run(name+"/"+string(mode), func(t *testing.T) {
				t.Parallel()
				b := newBuild(t, mode, name, index(t, sdists))
				b.Limits.Timeout = 2 * time.Minute
				if name == "daemonhang" {
					b.Limits.Timeout = 5 * time.Second
				}
				r := build(t, b)
				if built := r.Outcome == farm.OutcomeBuilt; built != (name == "daemon") {
					t.Errorf("%+v", r)
				}
				if name != "daemonhang" && r.Record.Seconds > 100 {
					t.Errorf("waited %.0f s for what was left running", r.Record.Seconds)
				}
			})
		}
	}
}

// An odd mode, a link or a pipe where a wheel should be: nothing is followed,
// all is removed.
func TestOddFiles(t *testing.T) {
	t.Parallel()
	odd := `
home = os.path.expanduser("~")
for p in ("/shut", "/shut/in", "/readonly"): os.mkdir(home + p)
for p in ("/shut/f", "/shut/in/f", "/readonly/f"): open(home + p, "w").close()
for p, mode in (("/shut/in", 0), ("/shut", 0), ("/readonly", 0o500)): os.chmod(home + p, mode)
out = os.path.dirname(home) + "/out"
`
	name := "-1.0-py3-none-any.whl"
	sdists := map[string][]byte{
		"oddmodes": sdist(t, "oddmodes", odd+"return wheel(d)\n"),
		"oddlink":  sdist(t, "oddlink", odd+"subprocess.Popen(['sh', '-c', 'while ! test -s '+out+'/oddlink"+name+"; do :; done; ln -sf /etc/passwd '+out+'/oddlink"+name+"'])\nopen('/dev/null')\nreturn wheel(d)\n"),
		"oddtwo":   sdist(t, "oddtwo", odd+"open(out + '/other"+name+"', 'w').close()\nreturn wheel(d)\n"),
		"oddout":   sdist(t, "oddout", odd+"import atexit\nos.rmdir(out) if os.path.exists(out) else 0\nos.symlink('/', out)\nreturn wheel(d)\n"),
	}
	for pkg := range sdists {
		for _, mode := range modes() {
			t.Run(pkg+"/"+string(mode), func(t *testing.T) {
				t.Parallel()
				b := newBuild(t, mode, pkg, index(t, sdists))
				r := build(t, b)
				switch {
				case pkg == "oddlink": // who is first is not ours to say, what is read is
					if r.Outcome == farm.OutcomeBuilt {
						text, err := os.ReadFile(r.Wheels[0])
						must(t, err)
						if !strings.HasPrefix(string(text), "PK") {
							t.Errorf("followed a link: %q", text)
						}
					}
				case (r.Outcome == farm.OutcomeBuilt) != (pkg == "oddmodes"):
					t.Errorf("%+v", r)
				}
			})
		}
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	for _, mode := range modes() {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			url := index(t, map[string][]byte{"hangs": sdist(t, "hangs", daemon+"time.sleep(10**6)\n")})
			b := newBuild(t, mode, "hangs", url)
			live := &signal{word: " daemon", seen: make(chan struct{})}
			b.Live = live
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() {
				<-live.seen
				cancel()
			}()
			_, err := Run(ctx, b)
			if !errors.Is(err, context.Canceled) || !strings.HasPrefix(err.Error(), "build hangs==1.0: ") {
				t.Errorf("Run = %v", err)
			}
			nothingLeft(t, b)
			if _, err := os.Stat(b.LogPath); err == nil {
				t.Error("left a log")
			}
		})
	}
}

// A build that writes less than ten times the limit is built; its log is cut
// in the middle.
func TestLogIsCapped(t *testing.T) {
	t.Parallel()
	url := index(t, map[string][]byte{"chatty": sdist(t, "chatty", `
print("BEGIN")
for i in range(20000): print("line %06d of much too much to say" % i)
print("END")
return wheel(d)
`)})
	b := newBuild(t, None, "chatty", url)
	b.Limits.LogLimit = 100 << 10
	r := build(t, b)
	text := readLog(t, b)
	if r.Outcome != farm.OutcomeBuilt || r.LogWritten < 700_000 {
		t.Errorf("%+v", r)
	}
	for _, want := range []string{"BEGIN", "bytes left out", "END", "Created wheel"} {
		if !strings.Contains(text, want) {
			t.Errorf("the log has no %q", want)
		}
	}
}

func TestRefusedBeforeAnythingIsBuilt(t *testing.T) {
	t.Parallel()
	for want, spoil := range map[string]func(*Build){
		"not a project's name":                   func(b *Build) { b.Package = "-r" },
		"version":                                func(b *Build) { b.Version = "1.0 --pre" },
		"want bwrap or none":                     func(b *Build) { b.Mode = "fence" },
		"absolute":                               func(b *Build) { b.Dir = "here" },
		"no C compiler: no-such-cc is not there": func(b *Build) { b.Python.CC = "no-such-cc" },
		"no C compiler for extensions: /nowhere/Python.h": func(b *Build) { b.Python.Include = "/nowhere" },
		"certificate bundle":                              func(b *Build) { b.Python.Bundle = "/nowhere/ca.pem" },
	} {
		for _, mode := range modes() {
			b := newBuild(t, mode, "sd_ok", "http://127.0.0.1:1/simple/")
			spoil(&b)
			_, err := Run(t.Context(), b)
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: Run = %v, want %q", mode, err, want)
			}
			if _, err := os.Stat(filepath.Join(b.Dir, "box")); err == nil {
				t.Errorf("%s: left the box", mode)
			}
		}
	}
}

// A crash may leave a box; the next build there is not hindered by it.
func TestAfterACrash(t *testing.T) {
	t.Parallel()
	b := newBuild(t, None, "sd_ok", index(t, nil))
	must(t, os.MkdirAll(filepath.Join(b.Dir, "box", "work", "shut", "in"), 0o755))
	must(t, os.Chmod(filepath.Join(b.Dir, "box", "work", "shut"), 0))
	if r := build(t, b); r.Outcome != farm.OutcomeBuilt {
		t.Errorf("%+v", r)
	}
}

// As root, with a Python in a folder that the build user cannot enter, the
// error says so; nobody else is kept from his own folders.
func TestPythonOutOfReach(t *testing.T) {
	t.Parallel()
	py, err := findPython()
	must(t, err)
	closed := filepath.Join(t.TempDir(), "closed")
	must(t, os.Mkdir(closed, 0o700))
	must(t, os.Symlink(py.Path, filepath.Join(closed, "python3")))
	_, err = pip.Ask(t.Context(), filepath.Join(closed, "python3"), proc.BuildUser())
	if os.Geteuid() == 0 && (err == nil || !strings.Contains(err.Error(), "60999")) {
		t.Errorf("Ask = %v", err)
	}
	if os.Geteuid() != 0 && err != nil {
		t.Errorf("Ask = %v", err)
	}
}
