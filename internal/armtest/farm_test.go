package armtest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pinwheel/internal/embedpg"
	"pinwheel/internal/farm"
	"pinwheel/internal/farmtest"
	"pinwheel/internal/pip"
	"pinwheel/internal/proc"
	"pinwheel/internal/pypitest"
	"pinwheel/internal/store"
)

// stories are the projects that are released while the farm follows the index.
const stories = `
-- story-pure==1.0 --
-- story-c==1.0 --
kind: extension
-- story-v6==1.0 --
kind: armv6
-- story-crt==1.0 --
kind: nearly-armv6
`

// before is what was released earlier, so that the farm does not know it.
const before = `
-- story-elsewhere==1.0 --
`

// armTarget is what the root's Python builds for.
func armTarget() farm.Target { return farm.Target{ABI: "cp311", Platform: "linux_armv7l"} }

// rig is one farm, on embedded parts.
type rig struct {
	t             *testing.T
	root, dir     string
	py            pip.Python // this machine's
	index         *pypitest.Server
	master, slave *daemon
	url, nats     string
	store         *store.Store
	begun         time.Time
}

func newRig(t *testing.T) *rig {
	t.Helper()
	pg, err := proc.PostgresUser()
	if err != nil {
		t.Fatal(err)
	}
	root := armRoot(t)
	dir, err := proc.SharedTempDir("pinwheel-arm-", proc.BuildUser(), pg)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, root: root, dir: dir, py: farmtest.Python(t), index: pypitest.New(t, before), begun: time.Now()}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", r.path("bin")+"/", "pinwheel/cmd/master", "pinwheel/cmd/slave")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // the slave runs inside the root, too
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the programs: %v\n%s", err, out)
	}
	r.say("the programs are built")
	return r
}

// say logs how far it is, with the time: emulation makes this the slowest of all tests.
func (r *rig) say(format string, args ...any) {
	r.t.Helper()
	r.t.Logf("%6.1fs %s", time.Since(r.begun).Seconds(), fmt.Sprintf(format, args...))
}

func (r *rig) path(parts ...string) string {
	return filepath.Join(append([]string{r.dir}, parts...)...)
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// command is one of the programs with nothing of the caller's settings.
func (r *rig) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(r.path("bin", name), args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + r.dir, "XDG_CONFIG_HOME=" + r.dir, "XDG_CACHE_HOME=" + r.dir,
		"PINWHEEL_STATE_DIR=" + r.path("state"), "PINWHEEL_UPSTREAM=" + r.index.URL()}
	if name == "slave" {
		cmd.Env = append(cmd.Env, "PINWHEEL_STATE_DIR="+r.path("slave"))
	}
	return cmd
}

// tell runs a command of the master to its good end.
func (r *rig) tell(args ...string) string {
	r.t.Helper()
	out, errs, err := run(r.t, r.command("master", args...))
	if err != nil {
		r.t.Fatalf("master %v: %v\n%s", args, err, errs)
	}
	return out
}

// open starts the master, which brings Postgres and NATS, with both targets.
func (r *rig) open() {
	r.t.Helper()
	r.must(os.Mkdir(r.path("state"), 0o711))
	r.master = launch(r.t, r.command("master", "serve", "--listen", "127.0.0.1:0", "--nats-listen", "127.0.0.1:0", "--ingest-poll", "300ms"))
	var ready struct{ URL, NATS string }
	r.must(json.Unmarshal([]byte(r.master.await(r.master.stdout, `"ready":true`)), &ready))
	r.url, r.nats = ready.URL, ready.NATS
	for _, target := range []farm.Target{r.py.Target(), armTarget()} {
		r.tell("target", "add", target.String())
	}
	address, err := embedpg.Find(r.path("state", "postgres"))
	r.must(err)
	r.store, err = store.Open(r.t.Context(), address.URL())
	r.must(err)
	r.t.Cleanup(r.store.Close)
	r.say("the master is ready, with %s and %s", r.py.Target(), armTarget())
}

// serve starts the one slave for both targets.
func (r *rig) serve() {
	r.t.Helper()
	creds := r.write("pi.creds", r.tell("enroll", "pi"))
	file := r.write("slave.toml", fmt.Sprintf("nats-url = %q\ncreds = %q\n\n[[target]]\npython = %q\n\n[[target]]\nroot = %q\ntarget = %q\n",
		r.nats, creds, r.py.Path, r.root, armTarget()))
	r.slave = launch(r.t, r.command("slave", "run", "--config", file))
	r.slave.await(r.slave.stderr, "the master knows us")
	r.say("the slave serves both")
}

func (r *rig) write(name, text string) string {
	r.t.Helper()
	path := r.path(name)
	r.must(os.WriteFile(path, []byte(text), 0o600))
	return path
}

// release lets the index release the stories, waits until the farm has built what is to
// be built, and returns all jobs. How they come on is logged.
func (r *rig) release() []store.JobRow {
	r.t.Helper()
	r.index.MustAdd(r.t, stories)
	seen := map[string]farm.State{}
	var jobs []store.JobRow
	r.eventually("every job has ended", func() (string, bool) {
		var err error
		jobs, err = r.store.Jobs(r.t.Context(), store.Selector{})
		r.must(err)
		busy := len(jobs) < 2*strings.Count(stories, "==") // of two targets
		for _, j := range jobs {
			key := j.Package + " " + j.Target
			if seen[key] != j.State {
				r.say("%s is %s", key, strings.Join([]string{string(j.State), j.Reason, j.Cause, j.Detail}, " "))
			}
			seen[key] = j.State
			busy = busy || j.State == farm.Waiting || j.State == farm.Queued || j.State == farm.Leased
		}
		return fmt.Sprint(seen), !busy
	})
	return jobs
}

// leases counts how often a job was given away.
func (r *rig) leases(job int64) int {
	r.t.Helper()
	builds, err := r.store.BuildsOf(r.t.Context(), job)
	r.must(err)
	return len(builds)
}

// files are the wheels on a project's page, as the farm's rows have them.
func (r *rig) files(project string) []string {
	r.t.Helper()
	page, err := r.store.Page(r.t.Context(), project)
	r.must(err)
	var names []string
	for _, w := range page.Wheels {
		names = append(names, w.Filename)
	}
	slices.Sort(names)
	return names
}

// eventually waits until look is content; what it saw last is told if it never is.
func (r *rig) eventually(what string, look func() (saw string, ok bool)) {
	r.t.Helper()
	late := time.After(patience)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		saw, ok := look()
		if ok {
			return
		}
		select {
		case <-late:
			r.t.Fatalf("not within %v: %s; it is: %s", patience, what, saw)
		case <-tick.C:
		}
	}
}

// check holds the whole farm together.
func (r *rig) check() {
	r.t.Helper()
	farmtest.Farm{Store: r.store, DepotDir: r.path("state", "depot"), SiteDir: r.path("state", "site"), URL: r.url}.Check(r.t)
}
