package builder

import (
	"strings"
	"testing"
	"time"

	"pinwheel/internal/farm"
)

// limited is a build of its own kind, in both modes, and what must come of it.
type limited struct {
	name, body string
	limits     farm.Limits
	want       farm.Cause // "": built
	detail     string
	only       Mode // since it is no other in the other one
}

// crowd makes many processes, each of which has some memory of its own.
const crowd = `
for i in range(50):
    if os.fork() == 0:
        mine = bytearray(100 << 20)
        for at in range(0, len(mine), 4096): mine[at] = 1
        time.sleep(1000)
time.sleep(1000)
`

// unlinked writes a file that nobody can see in a folder.
const unlinked = `
f = open(os.path.join(os.environ["TMPDIR"], "secret"), "wb")
os.unlink(f.name)
for i in range(MEGABYTES): f.write(os.urandom(1 << 20)); f.flush()
`

// libc calls what Python has no words for.
const libc = `
import ctypes
libc = ctypes.CDLL(None)
`

// transit sends files to a socket, where they stay.
const transit = `
import array, socket
near, far = socket.socketpair(socket.AF_UNIX)
def send(f):
    near.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [f]))])
    os.close(f)
`

func overLimit() []limited {
	return []limited{
		{name: "crowd", body: crowd, limits: farm.Limits{Memory: 1 << 30}, want: farm.OutOfMemory, detail: "more than its limit of 1.0 GB"},
		// Forty times 60 MB that all share are 60 MB.
		{name: "shared", only: Bwrap, limits: farm.Limits{Memory: 512 << 20}, body: `
mine = b"x" * (60 << 20)
kids = []
for i in range(40):
    pid = os.fork()
    if pid == 0:
        time.sleep(2)
        os._exit(0)
    kids.append(pid)
for pid in kids: os.waitpid(pid, 0)
return wheel(d)
`},
		{name: "memfd", only: Bwrap, limits: farm.Limits{Memory: 256 << 20}, want: farm.OutOfMemory, detail: "more than its limit of 256 MB", body: `
fd = os.memfd_create("x")
for i in range(400): os.write(fd, b"x" * (1 << 20))
time.sleep(1000)
`},
		{name: "devshm", limits: farm.Limits{Memory: 256 << 20}, want: farm.OutOfMemory, detail: "more than its limit of 256 MB", only: Bwrap, body: `
with open("/dev/shm/x", "wb") as f:
    for i in range(400): f.write(b"x" * (1 << 20))
time.sleep(1000)
`},
		{name: "unlinked", limits: farm.Limits{Disk: 128 << 20, FileSize: 4 << 30}, want: farm.Disk, detail: "more than its limit of 128 MB",
			body: strings.ReplaceAll(unlinked, "MEGABYTES", "4096") + "time.sleep(1000)\n"},
		{name: "mapped", only: Bwrap, limits: farm.Limits{Disk: 128 << 20, FileSize: 4 << 30}, want: farm.Disk, detail: "more than its limit of 128 MB", body: `
import mmap
f = open(os.path.join(os.environ["TMPDIR"], "secret"), "w+b")
os.unlink(f.name)
f.truncate(400 << 20)
m = mmap.mmap(f.fileno(), 400 << 20)
f.close()
os.closerange(3, 100)
for at in range(0, len(m), 1 << 20): m[at:at + (1 << 20)] = os.urandom(1 << 20)
time.sleep(1000)
`},
		// What no process has.
		{name: "segments", only: Bwrap, limits: farm.Limits{Memory: 256 << 20}, want: farm.OutOfMemory, detail: "more than its limit of 256 MB", body: libc + `
libc.shmat.restype = ctypes.c_void_p
libc.shmdt.argtypes = [ctypes.c_void_p]
for i in range(8):
    at = libc.shmat(libc.shmget(0, 50 << 20, 0o1600), None, 0)
    ctypes.memset(at, 1, 50 << 20)
    libc.shmdt(at)
time.sleep(1000)
`},
		{name: "messages", only: Bwrap, limits: farm.Limits{Memory: 256 << 20}, want: farm.OutOfMemory, detail: "more than its limit of 256 MB", body: libc + `
message = ctypes.create_string_buffer(b"\1" + b"\0" * 7 + b"x" * 4096)
for i in range(20000):
    queue = libc.msgget(0, 0o1600)
    while libc.msgsnd(queue, message, 4096, 0o4000) == 0: pass
time.sleep(1000)
`},
		{name: "semaphores", only: Bwrap, limits: farm.Limits{Memory: 256 << 20}, want: farm.OutOfMemory, detail: "more than its limit of 256 MB", body: libc + `
for i in range(200): libc.semget(0, 32000, 0o1600)
time.sleep(1000)
`},
		// Nobody has them open, for they are on their way to somebody. What the machine has
		// lost stands for them, and others give it something back meanwhile: hence more and more.
		{name: "intransit", only: Bwrap, limits: farm.Limits{Disk: 24 << 20}, want: farm.Disk, detail: "more than its limit of 24 MB", body: transit + `
for n in range(60):
    f = os.open(os.path.join(os.environ["TMPDIR"], "secret"), os.O_CREAT | os.O_RDWR)
    os.unlink(os.path.join(os.environ["TMPDIR"], "secret"))
    for i in range(10): os.write(f, os.urandom(1 << 20))
    send(f)
    time.sleep(n / 10)
time.sleep(1000)
`},
		{name: "memfdintransit", only: Bwrap, limits: farm.Limits{Memory: 256 << 20}, want: farm.OutOfMemory, detail: "more than its limit of 256 MB", body: transit + `
for n in range(12):
    f = os.memfd_create("x")
    for i in range(100): os.write(f, b"x" * (1 << 20))
    send(f)
    time.sleep(n)
time.sleep(1000)
`},
		{name: "manyfiles", only: Bwrap, limits: farm.Limits{Disk: 64 << 20}, want: farm.Disk, detail: "more than its limit of 64 MB", body: `
for i in range(4000):
    with open("file%d" % i, "wb") as f: f.write(os.urandom(50000))
time.sleep(1000)
`},
		{name: "emptyfiles", only: Bwrap, limits: farm.Limits{Disk: 64 << 20}, want: farm.Disk, detail: "more than its limit of 64 MB", body: `
for i in range(40000): open("file%d" % i, "wb").close()
time.sleep(1000)
`},
		// Deeper than a path may be long; the folder is gone afterwards all the same.
		{name: "abyss", limits: farm.Limits{}, body: `
top = os.getcwd()
os.chdir(os.environ["TMPDIR"])
for i in range(3000):
    os.mkdir("d")
    os.chdir("d")
os.chdir(top)
return wheel(d)
`},
		{name: "bigfile", only: Bwrap, limits: farm.Limits{FileSize: 16 << 20}, want: farm.Disk, detail: "more than its limit for one file", body: `
with open("big", "wb") as f:
    for i in range(32): f.write(os.urandom(1 << 20))
return wheel(d)
`},
		{name: "withinlimits", only: Bwrap, limits: farm.Limits{Disk: 512 << 20, Memory: 512 << 20, Processes: 100, OpenFiles: 100},
			body: strings.ReplaceAll(unlinked, "MEGABYTES", "64") + `
time.sleep(1)
x = bytearray(64 << 20)
f = [open("/dev/null") for i in range(60)]
return wheel(d)
`},
		{name: "openfiles", only: Bwrap, limits: farm.Limits{OpenFiles: 100}, want: farm.BuildBackend, detail: "Too many open files",
			body: "f = [open('/dev/null') for i in range(200)]\nreturn wheel(d)\n"},
		{name: "forkbomb", limits: farm.Limits{Processes: 100}, want: farm.Crashed, detail: "its limit of 100 processes", body: `
while True:
    try: os.fork()
    except OSError: pass
`},
		{name: "threads", only: Bwrap, limits: farm.Limits{Processes: 100}, want: farm.Crashed, detail: "its limit of 100 processes", body: `
import threading
def wait(): time.sleep(1000)
while True:
    try: threading.Thread(target=wait, daemon=True).start()
    except RuntimeError: time.sleep(0.1)
`},
	}
}

// TestLimits: what takes too much ends soon, as what it is, and the machine is as it
// was before.
func TestLimits(t *testing.T) {
	t.Parallel()
	for _, c := range overLimit() {
		for _, mode := range modes() {
			if c.only != "" && c.only != mode {
				continue
			}
			t.Run(c.name+"/"+string(mode), func(t *testing.T) {
				t.Parallel()
				c.run(t, mode)
			})
		}
	}
}

func (c limited) run(t *testing.T, mode Mode) {
	b := newBuild(t, mode, c.name, index(t, map[string][]byte{c.name: sdist(t, c.name, c.body)}))
	b.Limits = c.limits
	b.Limits.Timeout, b.Limits.LogLimit = 4*time.Minute, 1<<20
	r := build(t, b)
	if r.Failure.Cause != c.want || !strings.Contains(r.Failure.Detail, c.detail) {
		t.Errorf("%+v, want %s: %s\n%s", r.Failure, c.want, c.detail, readLog(t, b))
	}
	if r.Record.Seconds > 150 {
		t.Errorf("it took %.0f s", r.Record.Seconds)
	}
	if c.name == "crowd" && r.Record.PeakRSS < 1<<30 {
		t.Errorf("a peak of %d bytes", r.Record.PeakRSS)
	}
	if r.Record.CauseFrom == farm.FromBuilder && !strings.Contains(readLog(t, b), "\n[stopped: "+string(c.want)+": ") {
		t.Errorf("the log does not say why it ends:\n%s", readLog(t, b))
	}
}

// TestBoundsAreSet: the kernel's own limits, as each process of a build has them.
func TestBoundsAreSet(t *testing.T) {
	t.Parallel()
	code := `
import resource as r
for which, want in ((r.RLIMIT_DATA, 1 << 30), (r.RLIMIT_FSIZE, 2 << 30), (r.RLIMIT_NOFILE, 200), (r.RLIMIT_CORE, 0)):
    assert r.getrlimit(which) == (want, want), (which, r.getrlimit(which))
most = r.getrlimit(r.RLIMIT_NPROC)
assert most[0] == most[1] and (most[0] == 300 if EXACT else most[0] >= 300), most
assert open("/proc/self/oom_score_adj").read() == "1000\n"
assert os.uname()[4] == subprocess.check_output(["uname", "-m"]).decode().strip() == "MACHINE", os.uname()
return wheel(d)
`
	for _, mode := range modes() {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			exact := "False"
			if mode == Bwrap && countsByNamespace() {
				exact = "True"
			}
			b := newBuild(t, mode, "bounded", index(t, map[string][]byte{"bounded": sdist(t, "bounded", strings.NewReplacer("EXACT", exact, "MACHINE", machineName(t, "uname", "-m")).Replace(code))}))
			b.Limits = farm.Limits{Timeout: time.Minute, LogLimit: 1 << 20, Memory: 1 << 30, FileSize: 2 << 30, OpenFiles: 200, Processes: 300}
			if r := build(t, b); r.Outcome != farm.OutcomeBuilt {
				t.Errorf("%+v\n%s", r, readLog(t, b))
			}
		})
	}
}
