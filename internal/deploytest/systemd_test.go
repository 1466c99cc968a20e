package deploytest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pinwheel/internal/farmtest"
	"pinwheel/internal/hosttest"
	"pinwheel/internal/proc"
	"pinwheel/internal/pypitest"
)

const units = "../../deploy/systemd/"

// unit is a unit file: what is set in its sections, in order.
type unit struct {
	path, text string
	set        map[string][]string
}

func readUnit(t *testing.T, name string) unit {
	t.Helper()
	b, err := os.ReadFile(units + name)
	if err != nil {
		t.Fatal(err)
	}
	u := unit{path: units + name, text: string(b), set: map[string][]string{}}
	for s := bufio.NewScanner(strings.NewReader(u.text)); s.Scan(); {
		if key, value, ok := strings.Cut(s.Text(), "="); ok && !strings.HasPrefix(key, "#") {
			u.set[key] = append(u.set[key], value)
		}
	}
	return u
}

// one is the value of a key that stands there once.
func (u unit) one(t *testing.T, key string) string {
	t.Helper()
	if len(u.set[key]) != 1 {
		t.Fatalf("%s has %d lines of %s=", u.path, len(u.set[key]), key)
	}
	return u.set[key][0]
}

// TestUnits has systemd's own program judge the units.
func TestUnits(t *testing.T) {
	t.Parallel()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("there is no systemd-analyze here: install systemd")
	}
	for name, most := range map[string]string{"pinwheel-master.service": "25", "pinwheel-slave.service": "32", "pinwheel-audit.service": "25"} {
		u := readUnit(t, name)
		path, err := filepath.Abs(u.path)
		if err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(analyze, "security", "--offline=true", "--no-pager", "--threshold="+most, path).CombinedOutput()
		if err != nil {
			t.Errorf("%s is exposed more than %s/10: %v\n%s", name, most, err, out)
		}
		if name == "pinwheel-slave.service" { // over 3.0, so each line has its reason
			wantReasons(t, u, string(out))
		}
	}
	verify(t, analyze)
}

var aLack = regexp.MustCompile(`(?m)^✗ (\w+)=`)

func wantReasons(t *testing.T, u unit, judgement string) {
	t.Helper()
	found := aLack.FindAllStringSubmatch(judgement, -1)
	if len(found) < 5 {
		t.Errorf("nothing can be read from the judgement:\n%s", judgement)
	}
	for _, m := range found {
		if !strings.Contains(u.text, m[1]+"=") {
			t.Errorf("%s: %s= is judged, and has no reason in the unit", u.path, m[1])
		}
	}
}

// verify wants nothing to be said about the units, which are looked at with the
// programs where they are installed.
func verify(t *testing.T, analyze string) {
	t.Helper()
	dir := t.TempDir()
	names, err := filepath.Glob(units + "pinwheel-*")
	if err != nil || len(names) != 4 {
		t.Fatalf("units: %v, %v", names, err)
	}
	args := []string{"verify", "--man=no"}
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(b), "ExecStart=/usr/local/bin/pinwheel-master", "ExecStart=/bin/true")
		text = strings.ReplaceAll(text, "ExecStart=/usr/local/bin/pinwheel-slave", "ExecStart=/bin/true")
		args = append(args, write(t, dir, filepath.Base(n), text))
	}
	if out, err := exec.Command(analyze, args...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// manager plays systemd for one unit: it starts what ExecStart says, with what the unit
// sets, and hears what is told to it.
type manager struct {
	*daemon
	t    *testing.T
	told *hosttest.Lines
}

// installed is what the unit's paths are in a test.
type installed struct {
	programs    programs
	dir         string            // the StateDirectory's and CacheDirectory's parents are below
	credentials map[string]string // by their name in the unit
	watchdog    time.Duration     // instead of the unit's
}

func (in installed) start(t *testing.T, name string) *manager {
	t.Helper()
	u := readUnit(t, name)
	if got := u.one(t, "Type"); got != "notify" {
		t.Errorf("%s is of the type %s", name, got)
	}
	m := &manager{t: t, told: hosttest.NewLines(patience)}
	socket, creds := filepath.Join(in.dir, name+".notify"), filepath.Join(in.dir, name+".credentials")
	m.listen(socket)
	var wanted []string
	for _, c := range u.set["LoadCredential"] {
		id, _, _ := strings.Cut(c, ":")
		wanted = append(wanted, id)
		write(t, creds, id, in.credentials[id])
	}
	for id := range in.credentials {
		if !slices.Contains(wanted, id) {
			t.Errorf("%s loads no credential %s", name, id)
		}
	}
	in.own(t, creds)
	argv := strings.Fields(u.one(t, "ExecStart"))
	for i, a := range argv {
		argv[i] = strings.NewReplacer("${CREDENTIALS_DIRECTORY}", creds, "/usr/local/bin/pinwheel-master", in.programs.master,
			"/usr/local/bin/pinwheel-slave", in.programs.slave).Replace(a)
	}
	state := filepath.Join(in.dir, "lib")
	env := []string{"PATH=" + os.Getenv("PATH"), "CREDENTIALS_DIRECTORY=" + creds, "NOTIFY_SOCKET=" + socket, "TMPDIR=" + in.make(t, filepath.Join(in.dir, "tmp")), // PrivateTmp
		fmt.Sprintf("WATCHDOG_USEC=%d", in.watchdog.Microseconds())}
	for _, line := range u.set["Environment"] {
		env = append(env, strings.Fields(strings.NewReplacer("/var/lib", state, "/var/cache", filepath.Join(in.dir, "cache")).Replace(line))...)
	}
	for _, key := range []string{"StateDirectory", "CacheDirectory"} {
		for _, d := range strings.Fields(strings.Join(u.set[key], " ")) {
			in.make(t, filepath.Join(in.dir, map[string]string{"StateDirectory": "lib", "CacheDirectory": "cache"}[key], d))
		}
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = env
	in.confine(t, u, cmd)
	m.daemon = launch(t, nil, cmd)
	return m
}

// make makes a folder of the unit's user.
func (in installed) make(t *testing.T, dir string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	in.own(t, dir)
	return dir
}

// own gives a folder with all that is in it to the unit's user.
func (in installed) own(t *testing.T, dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	u := unitsUser(t)
	if out, err := exec.Command("chown", "-R", u.Uid+":"+u.Gid, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// unitsUser is nobody: Postgres wants one who has an entry in passwd.
func unitsUser(t *testing.T) *user.User {
	t.Helper()
	u, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// confine starts the command as the unit's user, who is not root, without capabilities
// and without a way to get any. Of the file system, all but its own folders is read-only.
func (in installed) confine(t *testing.T, u unit, cmd *exec.Cmd) {
	t.Helper()
	for key, want := range map[string]string{"NoNewPrivileges": "yes", "CapabilityBoundingSet": "", "ProtectSystem": "strict", "KillMode": "mixed"} {
		if got := u.one(t, key); got != want {
			t.Errorf("%s: %s=%s, want %s", u.path, key, got, want)
		}
	}
	if os.Geteuid() != 0 {
		return // then it is not root already, and the rest is for root to do
	}
	as := unitsUser(t)
	script := fmt.Sprintf(`set -e
mount --make-rprivate /
mount --bind "$0" "$0"
mount -o remount,bind,ro /
exec setpriv --reuid %s --regid %s --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all "$@"`, as.Uid, as.Gid)
	before := []string{"unshare", "--mount"}
	if exec.Command("unshare", "--mount", "mount", "--make-rprivate", "/").Run() != nil { // a container without CAP_SYS_ADMIN
		t.Log("the file system is not made read-only: this root may not make mount namespaces")
		before = nil
		script = script[strings.Index(script, "exec "):]
	}
	cmd.Args = slices.Concat(before, []string{"sh", "-c", script, in.dir}, cmd.Args)
	var err error
	if cmd.Path, err = exec.LookPath(cmd.Args[0]); err != nil {
		t.Fatal(err)
	}
}

// listen takes the messages of sd_notify, a line each.
func (m *manager) listen(socket string) {
	m.t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		m.t.Fatal(err)
	}
	if err := os.Chmod(socket, 0o777); err != nil {
		m.t.Fatal(err)
	}
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		buf := make([]byte, 64<<10)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			_, _ = io.WriteString(m.told, string(buf[:n])+"\n")
		}
	}()
	m.t.Cleanup(func() { conn.Close(); <-heard })
}

// feeds wants some more signs of life from now on.
func (m *manager) feeds() {
	m.t.Helper()
	mark := m.told.Mark()
	for range 3 {
		m.told.AwaitAfter(m.t, mark, "WATCHDOG=1")
		mark = m.told.Mark()
	}
}

// testSupervised runs master and slave as their units say: a farm with a database of its
// own, and a build in bubblewrap, with all that the units take away.
func testSupervised(t *testing.T, p programs) {
	py, index := farmtest.Python(t), pypitest.New(t, "-- "+project+"==1.0 --\n")
	dir, err := proc.SharedTempDir("pinwheel-units-", proc.BuildUser())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	bin := filepath.Join(dir, "bin") // where the units' user can go
	copyTo(t, bin, p.master, p.slave)
	in := installed{programs: programs{master: filepath.Join(bin, "master"), slave: filepath.Join(bin, "slave")}, dir: dir, watchdog: 4 * time.Second}
	in.make(t, dir)

	in.credentials = map[string]string{"master.toml": fmt.Sprintf("upstream = '%s'\nlisten = '127.0.0.1:0'\nnats-listen = '127.0.0.1:0'\n", index.URL())}
	master := in.start(t, "pinwheel-master.service")
	at := master.ready()
	master.told.Await(t, "READY=1")
	master.told.Await(t, "STATUS=serving "+at.URL)
	master.feeds()

	env := environment(dir, "PINWHEEL_STATE_DIR="+filepath.Join(dir, "lib", "pinwheel"))
	must(t, env, p.master, "target", "add", py.Target().String())
	creds := must(t, env, p.master, "enroll", "pi-1")
	in.credentials = map[string]string{"slave.creds": creds, "slave.toml": fmt.Sprintf("nats-url = '%s'\nstate-dir = '%s'\npython = '%s'\n",
		at.NATS, in.make(t, filepath.Join(dir, "lib", "slave")), py.Path)}
	slave := in.start(t, "pinwheel-slave.service")
	slave.told.Await(t, "READY=1")
	slave.told.Await(t, "STATUS=building for the farm at ")
	must(t, env, p.master, "add", project, "1.0")
	eventually(t, "the wheel is on its page", func() bool { return code(t, at.URL+"/simple/"+project+"/") == http.StatusOK })
	slave.feeds()

	if strings.Contains(master.told.Text()+slave.told.Text(), "stuck") {
		t.Errorf("somebody is stuck:\n%s%s", master.told.Text(), slave.told.Text())
	}
	frozen(t, master)
	for _, m := range []*manager{slave, master} {
		m.stop()
		m.told.Await(t, "STOPPING=1")
	}
}

// frozen stops a program as a fault of the machine would: no sign of life comes.
func frozen(t *testing.T, m *manager) {
	t.Helper()
	pid := m.cmd.Process.Pid
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	mark := m.told.Mark()
	quiet := time.NewTimer(5 * time.Second)
	<-quiet.C
	if got := m.told.Text()[mark:]; strings.Count(got, "WATCHDOG=1") > 1 { // one may have been under way
		t.Errorf("a frozen program says %s", got)
	}
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	m.feeds()
}

func copyTo(t *testing.T, dir string, what ...string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cp", append(append([]string{"-a"}, what...), dir)...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// TestReasonsAboutProc: what the slave's unit leaves out because bubblewrap could not work
// would really keep it from working.
func TestReasonsAboutProc(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 || exec.Command("unshare", "--mount", "mount", "--make-rprivate", "/").Run() != nil {
		t.Skip("only a root who may mount can cover /proc: run `make test` as root")
	}
	as := unitsUser(t)
	for key, cover := range map[string]string{
		"":                      "true",
		"ProtectKernelTunables": "mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys",
		"ProtectKernelLogs":     "mount --bind /dev/null /proc/kmsg",
		"ProcSubset":            "mount -t proc -o subset=pid proc /proc",
	} {
		script := "set -e; mount --make-rprivate /; " + cover + "; exec setpriv --reuid " + as.Uid + " --regid " + as.Gid +
			" --clear-groups --no-new-privs bwrap --unshare-user --unshare-pid --ro-bind / / --proc /proc true"
		out, err := exec.Command("unshare", "--mount", "sh", "-c", script).CombinedOutput()
		if (err == nil) != (key == "") {
			t.Errorf("%s: bubblewrap ends with %v: %s", key, err, out)
		}
		if key != "" && readUnit(t, "pinwheel-slave.service").set[key] != nil {
			t.Errorf("the slave's unit sets %s", key)
		}
	}
}
