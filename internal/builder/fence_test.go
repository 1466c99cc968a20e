package builder

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pinwheel/internal/farm"
	"pinwheel/internal/proc"
)

// spy tells, from inside a build, what it can see; on one line of the log.
const spy = `
import json, pwd
def names(p):
    try: return sorted(os.listdir(p))
    except OSError as e: return "no: %s" % e.strerror
def text(p):
    try: return open(p).read()
    except OSError as e: return "no: %s" % e.strerror
def writes(p):
    try: open(p, "w").close(); os.remove(p); return True
    except OSError: return False
def terminal():
    try: os.close(os.open("/dev/tty", os.O_RDWR)); return True
    except OSError: return False
status = dict(l.split(":", 1) for l in text("/proc/self/status").splitlines())
print("SEEN " + json.dumps({
    "uid": os.getuid(), "groups": os.getgroups(), "env": dict(os.environ), "top": names("/"), "home": names("/home"),
    "var": names("/var"), "secret": text("%s"), "reachable": text("%s"), "processes": len([p for p in names("/proc") if p.isdigit()]),
    "caps": status["CapEff"].strip() + status["CapBnd"].strip(), "nnp": status["NoNewPrivs"].strip(),
    "writes": [p for p in ("/usr/x", "/etc/x", "/x", "/tmp/x", os.path.expanduser("~/x")) if writes(p)],
    "stdin": sys.stdin.read(), "host": os.uname().nodename, "terminal": terminal(),
    "core": __import__("resource").getrlimit(4)[0],
    "userns": subprocess.run(["unshare", "-U", "true"], stderr=subprocess.DEVNULL).returncode == 0,
    "name": pwd.getpwuid(os.getuid()).pw_name if os.path.exists("/build") else ""}))
return wheel(d)
`

type seen struct {
	UID, Processes         int
	Groups                 []int
	Env                    map[string]string
	Top, Writes            []string
	Home, Var              any
	Secret, Reachable      string
	Caps, NNP, Stdin, Host string
	Name                   string
	Terminal, Userns       bool
	Core                   int
}

// spyOn builds the spy; secret is a file in a folder of the Python's, so that
// it is in the view, reachable a world-readable one elsewhere.
func spyOn(t *testing.T, mode Mode) seen {
	t.Helper()
	b := newBuild(t, mode, "spy", "")
	prefix := filepath.Dir(b.Dir)
	secret, reachable := filepath.Join(prefix, "lib", "secret"), filepath.Join(prefix, "reachable")
	must(t, os.Mkdir(filepath.Dir(secret), 0o755))
	must(t, os.WriteFile(secret, []byte("of the slave"), 0o600))
	must(t, os.WriteFile(reachable, []byte("of the host"), 0o644))
	b.Python.Prefixes = append(b.Python.Prefixes, prefix)
	code := strings.Replace(strings.Replace(spy, "%s\"), \"reachable", secret+"\"), \"reachable", 1), "text(\"%s\"), \"processes", "text(\""+reachable+"\"), \"processes", 1)
	b.IndexURL = index(t, map[string][]byte{"spy": sdist(t, "spy", code)})
	if r := build(t, b); r.Outcome != farm.OutcomeBuilt {
		t.Fatalf("%+v", r)
	}
	_, line, ok := strings.Cut(readLog(t, b), "SEEN ")
	if !ok {
		t.Fatalf("the spy said nothing:\n%s", readLog(t, b))
	}
	line, _, _ = strings.Cut(line, "\n")
	var s seen
	must(t, json.Unmarshal([]byte(line), &s))
	return s
}

func TestBuildSeesOnlyItsOwn(t *testing.T) {
	t.Setenv("PIP_FIND_LINKS", "/callers")
	t.Setenv("DISPLAY", ":callers")
	for _, mode := range modes() {
		t.Run(string(mode), func(t *testing.T) {
			s := spyOn(t, mode)
			for k, v := range s.Env {
				if strings.Contains(v, "callers") {
					t.Errorf("the caller's %s=%s", k, v)
				}
			}
			if s.Stdin != "" || s.Terminal || s.NNP != "1" || s.Core != 0 {
				t.Errorf("stdin %q, terminal %v, NoNewPrivs %s, core %d", s.Stdin, s.Terminal, s.NNP, s.Core)
			}
			if os.Geteuid() == 0 {
				if s.UID != int(proc.BuildUser().UID) || len(s.Groups) > 1 || strings.Contains(s.Secret, "slave") {
					t.Errorf("uid %d, groups %v, secret %q", s.UID, s.Groups, s.Secret)
				}
			}
			if mode == Bwrap {
				fenced(t, s)
			}
		})
	}
}

func fenced(t *testing.T, s seen) {
	t.Helper()
	for _, top := range s.Top {
		if !strings.Contains(" bin build dev etc home lib lib32 lib64 libo32 libx32 opt pinwheel proc sbin tmp usr var ", " "+top+" ") &&
			!strings.HasPrefix(os.TempDir(), "/"+top) {
			t.Errorf("/%s is in the view", top)
		}
	}
	if s.Reachable != "no: No such file or directory" {
		t.Errorf("a file of the host: %q", s.Reachable)
	}
	if got := strings.Join(s.Writes, " "); got != "/tmp/x /build/home/x" {
		t.Errorf("can write %s", got)
	}
	if strings.Trim(s.Caps, "0") != "" || s.Host != "build" || s.Name != "build" || s.Processes > 12 {
		t.Errorf("capabilities %s, host %s, user %s, %d processes", s.Caps, s.Host, s.Name, s.Processes)
	}
	if s.Userns {
		t.Error("can make further user namespaces")
	}
}

// A user database, a view and a process table of its own are no use if the
// file modes of what is in the view do not count: bwrap by root with --uid
// would still read root's files.
func TestPrivateFileInTheView(t *testing.T) {
	t.Parallel()
	bwrapOnly(t)
	s := spyOn(t, Bwrap)
	want := "of the slave" // without root, the build's user is the slave's
	if os.Geteuid() == 0 {
		want = "no: Permission denied"
	}
	if s.Secret != want {
		t.Errorf("the private file in the view: %q, want %q", s.Secret, want)
	}
}

func TestProbeNamesTheRemedy(t *testing.T) {
	bwrapOnly(t)
	if err := Probe(t.Context(), proc.BuildUser()); err != nil {
		t.Fatalf("%v\n(PINWHEEL_TEST_NO_BWRAP=1 leaves these tests out)", err)
	}
	empty := t.TempDir()
	t.Setenv("PATH", empty)
	err := Probe(t.Context(), proc.BuildUser())
	if err == nil || !strings.Contains(err.Error(), "apt install bubblewrap") {
		t.Errorf("Probe without a bwrap = %v", err)
	}
	shared, err := proc.SharedTempDir("builder-test-", proc.BuildUser())
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(shared)) })
	must(t, os.WriteFile(filepath.Join(shared, "bwrap"), []byte("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n"), 0o755))
	t.Setenv("PATH", shared)
	err = Probe(t.Context(), proc.BuildUser())
	if err == nil || !strings.Contains(err.Error(), "No permissions") || !strings.Contains(err.Error(), "--sandbox=none") {
		t.Errorf("Probe with a failing bwrap = %v", err)
	}
}

// An old bwrap that cannot forbid further user namespaces still fences.
func TestOldBwrap(t *testing.T) {
	bwrapOnly(t)
	b := newBuild(t, Bwrap, "sd_ok", index(t, nil))
	real, err := findBwrap()
	must(t, err)
	dir := filepath.Dir(b.Dir)
	script := "#!/bin/sh\ncase \" $* \" in *' --disable-userns '*) echo 'bwrap: Unknown option --disable-userns' >&2; exit 1;; esac\nexec " + real + " \"$@\"\n"
	must(t, os.WriteFile(filepath.Join(dir, "bwrap"), []byte(script), 0o755))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	if r := build(t, b); r.Outcome != farm.OutcomeBuilt {
		t.Errorf("%+v", r)
	}
}
