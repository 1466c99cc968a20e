package chaostest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pinwheel/internal/farmtest"
	"pinwheel/internal/pgtest"
	"pinwheel/internal/pip"
	"pinwheel/internal/proc"
	"pinwheel/internal/pypitest"
	"pinwheel/internal/store"
)

// patience bounds every wait outside of the chaos itself. It is long because
// machines that test are busy; a test that passes never waits so long.
const patience = 4 * time.Minute

// world is a farm of processes and all that it stands on.
type world struct {
	t     *testing.T
	dir   string // of everything; its path marks what is ours
	logs  string
	ip    string // a loopback address of its own, so that every port is free
	local string // URL of the database past all cables
	index *pypitest.Server
	store *store.Store // past all cables, too
	py    pip.Python

	units  map[string]*unit
	cables map[string]*cable
	disks  map[string]*disk
	begun  time.Time

	mu   sync.Mutex
	told []string // what happened, with times
}

func newWorld(t *testing.T) *world {
	t.Helper()
	pg, err := proc.PostgresUser()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := proc.SharedTempDir("pinwheel-chaos-", proc.BuildUser(), pg)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		t: t, dir: dir, logs: filepath.Join(dir, "logs"), py: farmtest.Python(t), index: pypitest.New(t),
		ip:    fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254)),
		units: map[string]*unit{}, cables: map[string]*cable{}, disks: map[string]*disk{}, begun: time.Now(),
	}
	t.Cleanup(w.remove)
	for _, d := range []string{"logs", "home", "a", "b", "bin"} {
		w.must(os.Mkdir(w.path(d), 0o755))
	}
	w.must(os.Mkdir(w.path("t"), 0o700))
	w.must(os.Chmod(w.path("t"), 0o777|os.ModeSticky)) // whatever the umask
	w.compile()
	w.makeDisks()
	w.startPostgres()
	w.layCables()
	w.startNATS()
	w.startMasters()
	w.startSlaves()
	return w
}

func (w *world) path(parts ...string) string {
	return filepath.Join(append([]string{w.dir}, parts...)...)
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// say keeps what happens, for the end.
func (w *world) say(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = append(w.told, fmt.Sprintf("%7.2fs ", time.Since(w.begun).Seconds())+fmt.Sprintf(format, args...))
}

// remove ends everything. The logs of a run that failed are kept.
func (w *world) remove() {
	for _, u := range w.units {
		if u.name == "pg" {
			u.end(syscall.SIGQUIT) // by force the kernel would keep its shared memory
			u.gone(10 * time.Second)
		}
		u.close()
	}
	for _, c := range w.cables {
		c.close()
	}
	if w.t.Failed() {
		for _, line := range w.told {
			w.t.Log(line)
		}
		kept, err := os.MkdirTemp("", "pinwheel-chaos-logs-")
		if err == nil {
			err = os.CopyFS(kept, os.DirFS(w.logs))
		}
		w.t.Logf("the logs of all processes are in %s (%v)", kept, err)
	}
	for _, d := range w.disks {
		d.close()
	}
	if err := os.RemoveAll(w.dir); err != nil {
		w.t.Error(err)
	}
}

// compile builds the programs where the user of builds can reach them.
func (w *world) compile() {
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", w.path("bin"), "pinwheel/cmd/master", "pinwheel/cmd/slave")
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("build the programs: %v\n%s", err, out)
	}
}

func (w *world) makeDisks() {
	for _, name := range disks() {
		size := slaveDisk
		if name == "disk-site" {
			size = siteDisk
		}
		d, err := newDisk(w.path(name), size)
		w.must(err)
		w.disks[name] = d
	}
}

// env is what every program gets: nothing of the caller's settings.
func (w *world) env(more ...string) []string {
	home := w.path("home")
	return append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "XDG_CONFIG_HOME=" + home, "XDG_STATE_HOME=" + home, "XDG_CACHE_HOME=" + home,
		"TMPDIR=" + w.path("t"),
	}, more...)
}

// run runs a program to its good end, and returns what it prints.
func (w *world) run(name string, args ...string) string {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, w.path("bin", name), args...)
	cmd.Env = w.env("PINWHEEL_DATABASE_URL="+w.local, "PINWHEEL_STATE_DIR="+w.path("a"))
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		w.t.Fatalf("%s %v: %v\n%s%s", name, args, err, out, errs.String())
	}
	return string(out)
}

func (w *world) write(name, text string) string {
	w.t.Helper()
	path := w.path(name)
	w.must(os.WriteFile(path, []byte(text), 0o600))
	return path
}

func (w *world) unit(name string, cmd func(skew time.Duration) *exec.Cmd) {
	w.t.Helper()
	u, err := newUnit(w.logs, name, cmd)
	w.must(err)
	w.units[name] = u
	u.start()
}

func (w *world) startPostgres() {
	user, err := proc.PostgresUser()
	w.must(err)
	socket := w.path("socket")
	w.must(os.Mkdir(socket, 0o755))
	w.must(user.Chown(socket))
	argv := pgtest.NewCluster(w.t, w.path("pg"))
	w.local = "postgres://postgres@/postgres?sslmode=disable&host=" + socket
	w.unit("pg", func(time.Duration) *exec.Cmd {
		cmd := exec.Command(argv[0], append(argv[1:], "-c", "listen_addresses="+w.ip, "-c", "port=5432",
			"-c", "unix_socket_directories="+socket, "-c", "fsync=off")...)
		cmd.Env = w.env()
		user.Apply(cmd)
		if cmd.SysProcAttr == nil {
			cmd.SysProcAttr = &syscall.SysProcAttr{}
		}
		cmd.SysProcAttr.Pdeathsig = syscall.SIGQUIT
		return cmd
	})
	farmtest.Eventually(w.t, "Postgres answers", func() bool {
		_, _, err := store.Migrate(w.t.Context(), w.local)
		return err == nil
	})
	w.store, err = store.Open(w.t.Context(), w.local)
	w.must(err)
	w.t.Cleanup(w.store.Close)
}

// at is an address of this farm.
func (w *world) at(port int) string { return fmt.Sprintf("%s:%d", w.ip, port) }

const (
	webPort  = 7070
	natsPort = 4222
	pgPort   = 5432
	ends     = 20000 // of the first cable; each has the next
)

func (w *world) masterAt(name string) string {
	if name == "a" {
		return w.at(webPort + 1)
	}
	return w.at(webPort + 2)
}

func (w *world) layCables() {
	for i, name := range cables() {
		if name == "web" {
			ctx, cancel := context.WithCancel(context.Background())
			w.t.Cleanup(cancel)
			f, err := newFront(ctx, w.at(webPort), []string{w.masterAt("a"), w.masterAt("b")})
			w.must(err)
			w.cables[name] = f.cable
			continue
		}
		to := w.at(natsPort)
		if strings.HasSuffix(name, "-pg") {
			to = w.at(pgPort)
		}
		c, err := newCable(w.at(ends+i), func() string { return to })
		w.must(err)
		w.cables[name] = c
	}
}

// end is the address by which a part reaches the other end of its cable.
func (w *world) end(cable string) string { return w.cables[cable].listener.Addr().String() }

func (w *world) startNATS() {
	w.run("master", "target", "add", w.py.Target().String())
	told := w.run("master", "nats-config")
	w.write("pinwheel.conf", told)
	conf := w.write("nats-server.conf", fmt.Sprintf("host: %s\nport: %d\ninclude pinwheel.conf\n", w.ip, natsPort))
	self, err := os.Executable()
	w.must(err)
	w.unit("nats", func(time.Duration) *exec.Cmd {
		cmd := exec.Command(self)
		cmd.Env = w.env(natsVariable + "=" + conf)
		return cmd
	})
}

// startMasters starts two on one database, one depot and one site; only the first
// one's folder has the farm's keys.
func (w *world) startMasters() {
	creds := w.write("master.creds", w.run("master", "nats-config", "--creds"))
	for _, name := range masters() {
		args := []string{"serve", "--state-dir", w.path(name), "--depot-dir", w.path("disk-site", "depot"), "--site-dir", w.path("disk-site", "site"),
			"--database-url", fmt.Sprintf("postgres://postgres@%s/postgres?sslmode=disable", w.end(name+"-pg")),
			"--nats-url", "nats://" + w.end(name+"-nats"), "--listen", w.masterAt(name), "--public-url", w.url(), "--upstream", w.index.URL(),
			"--lease", lease.String(), "--ingest-poll", "300ms"}
		if name != "a" {
			args = append(args, "--nats-creds", creds)
		}
		w.unit(name, w.program("master", args))
	}
}

// url is the farm's, which slaves and pip know.
func (w *world) url() string { return "http://" + w.at(webPort) }

func (w *world) startSlaves() {
	sandbox := "bwrap"
	if os.Getenv("PINWHEEL_TEST_NO_BWRAP") != "" {
		sandbox = "none"
	}
	for _, name := range slaves() {
		// The disks are small here, and who has a wrong clock is to go on with it.
		creds := w.write(name+".creds", w.run("master", "enroll", name))
		w.unit(name, w.program("slave", []string{"run", "--nats-url", "nats://" + w.end(name+"-nats"), "--creds", creds,
			"--state-dir", w.path("disk-"+name, "state"), "--python", w.py.Path, "--sandbox", sandbox,
			"--min-disk", "64M", "--max-skew", "0s"}))
	}
}

func (w *world) program(name string, args []string) func(time.Duration) *exec.Cmd {
	return func(skew time.Duration) *exec.Cmd {
		cmd := exec.Command(w.path("bin", name), args...)
		cmd.Env = w.env("PINWHEEL_CLOCK_SKEW=" + skew.String())
		return cmd
	}
}
