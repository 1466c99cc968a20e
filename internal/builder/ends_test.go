package builder

import (
	"bytes"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pinwheel/internal/farm"
)

// survivor is a process that has let go of all that could give it away: terminal,
// session, parent, output, folder, environment. MARK is its command line's alone.
const survivor = `
import signal
def survive(*more):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP): signal.signal(s, signal.SIG_IGN)
            os.chdir("/")
            os.closerange(0, 4096)
            for f in more: f()
            os.execve("/bin/sh", ["sh", "-c", "trap '' TERM; while :; do sleep 1000; done", "MARK"], {})
        os._exit(0)
    os.wait()
def alive(): return [p for p in os.listdir("/proc") if p.isdigit() and b"MA" + b"RK" in cmdline(p)]
def cmdline(p):
    try: return open("/proc/%s/cmdline" % p, "rb").read()
    except OSError: return b""
def wait():
    while not alive(): time.sleep(0.01)
`

// TestNothingSurvives: whatever a build leaves running ends with it, however the
// build itself ends.
func TestNothingSurvives(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"builds":     "survive(); wait()\nreturn wheel(d)\n",
		"fails":      "survive(); wait()\nraise RuntimeError('boom')\n",
		"hangs":      "survive(); wait()\ntime.sleep(1000)\n",
		"stopped":    "survive(); wait()\nfor p in alive(): os.kill(int(p), signal.SIGSTOP)\nreturn wheel(d)\n",
		"ownsession": "for i in range(20): survive()\nwait()\nreturn wheel(d)\n",
		"subreaper":  "survive(lambda: __import__('ctypes').CDLL(None).prctl(36, 1, 0, 0, 0)); wait()\nreturn wheel(d)\n",
	} {
		for _, mode := range modes() {
			t.Run(name+"/"+string(mode), func(t *testing.T) {
				t.Parallel()
				mark := "survivor-" + rand.Text()
				code := strings.NewReplacer(`"MARK"`, `"`+mark+`"`, `b"MA" + b"RK"`, `b"`+mark+`"`).Replace(survivor + body)
				b := newBuild(t, mode, name, index(t, map[string][]byte{name: sdist(t, name, code)}))
				if name == "hangs" {
					b.Limits.Timeout = 8 * time.Second
				}
				r := build(t, b)
				want := map[string]farm.Cause{"fails": farm.BuildBackend, "hangs": farm.Timeout}[name]
				if r.Failure.Cause != want {
					t.Errorf("%+v, want %q\n%s", r.Failure, want, readLog(t, b))
				}
				if left := withArgument(t, mark); len(left) > 0 {
					t.Errorf("still there: %v", left)
				}
			})
		}
	}
}

// withArgument lists the processes of the machine that have mark in their command
// line.
func withArgument(t *testing.T, mark string) []string {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	must(t, err)
	var found []string
	for _, path := range all {
		if text, err := os.ReadFile(path); err == nil && bytes.Contains(text, []byte(mark)) {
			found = append(found, path)
		}
	}
	return found
}

// TestNobodyIsAsked: programs that would ask a person fail at once, since there is
// none. Whether git is there is the machine's affair.
func TestNobodyIsAsked(t *testing.T) {
	t.Setenv("DISPLAY", ":7")
	t.Setenv("WAYLAND_DISPLAY", "wayland-0")
	t.Setenv("SSH_AUTH_SOCK", "/run/agent")
	t.Setenv("GIT_ASKPASS", "/usr/bin/ask")
	code := sdist(t, "asks", `
import shutil
for name in ("DISPLAY", "WAYLAND_DISPLAY", "SSH_AUTH_SOCK", "XAUTHORITY", "DBUS_SESSION_BUS_ADDRESS"): assert name not in os.environ, name
assert os.environ["GIT_ASKPASS"] == os.environ["SSH_ASKPASS"] == "/bin/false" and os.environ["GIT_TERMINAL_PROMPT"] == "0"
assert os.read(0, 100) == b"", "stdin is not empty"
assert not any(os.isatty(fd) for fd in range(3))
for name in ("/dev/tty", "/dev/console"):
    try: os.open(name, os.O_RDWR); raise RuntimeError(name + " can be opened")
    except OSError: pass
try: input()
except EOFError: pass
else: raise RuntimeError("somebody answered")
if shutil.which("git"):
    said = subprocess.run(["git", "credential", "fill"], input="protocol=https\nhost=example.org\n\n", text=True, capture_output=True, timeout=30)
    assert said.returncode != 0 and "terminal prompts disabled" in said.stderr, said
return wheel(d)
`)
	for _, mode := range modes() {
		t.Run(string(mode), func(t *testing.T) {
			b := newBuild(t, mode, "asks", index(t, map[string][]byte{"asks": code}))
			if r := build(t, b); r.Outcome != farm.OutcomeBuilt {
				t.Errorf("%+v\n%s", r, readLog(t, b))
			}
		})
	}
}
