package crashtest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"pinwheel/internal/bus"
	"pinwheel/internal/depot"
	"pinwheel/internal/farm"
	"pinwheel/internal/farmtest"
	"pinwheel/internal/pgtest"
	"pinwheel/internal/pip"
	"pinwheel/internal/proc"
	"pinwheel/internal/publish"
	"pinwheel/internal/pypitest"
	"pinwheel/internal/store"
)

// rig is one farm of processes.
type rig struct {
	*store.Store
	t        testing.TB
	dir, dsn string
	py       pip.Python
	index    *pypitest.Server
	upstream string // its URL, as the farm knows it
	ip       string // a loopback address of its own
	http     string // the address of the master, once it has one
	nats     string
	public   string // what slaves are told, if not the master's address
	external bool   // nats is the address of a server that is not the master's
}

const story = "-- story==1.0 --\n"

// newRig has one target, one slave enrolled, and a site without projects.
func newRig(t testing.TB, stories string) *rig {
	t.Helper()
	return newRigOn(t, stories, pgtest.New(t))
}

func newRigOn(t testing.TB, stories, dsn string) *rig {
	t.Helper()
	dir, err := proc.SharedTempDir("pinwheel-crash-", proc.BuildUser())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	r := &rig{t: t, dir: dir, dsn: dsn, py: farmtest.Python(t), index: pypitest.New(t, stories)}
	r.upstream = r.index.URL()
	// Of its own, so that nobody gets its ports while the master is down.
	r.ip = fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254))
	r.http, r.nats = r.ip+":0", r.ip+":0"
	if r.Store, err = store.Open(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Store.Close)
	r.enroll()
	r.publishNothing()
	return r
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// enroll does what `master target add` and `master enroll` do.
func (r *rig) enroll() {
	r.t.Helper()
	r.must(r.AddTarget(r.t.Context(), r.py.Target(), farm.Facts{}, "test"))
	r.must(os.MkdirAll(r.masterDir(), 0o711))
	authority, err := bus.OpenAuthority(filepath.Join(r.masterDir(), "nats"))
	r.must(err)
	creds, public, err := authority.Enroll("pi", farm.RoleSlave)
	r.must(err)
	r.must(r.EnrollSlave(r.t.Context(), "pi", farm.RoleSlave, public, "test"))
	r.must(os.WriteFile(r.creds(), creds, 0o600))
}

// publishNothing writes the empty root index. A master that did so itself would
// wait a minute before it writes the next.
func (r *rig) publishNothing() {
	r.t.Helper()
	d, err := depot.Open(r.depotDir())
	r.must(err)
	p, err := publish.New(publish.Config{Store: r.Store, Depot: d, SiteDir: r.siteDir(), Log: zerolog.Nop()})
	r.must(err)
	r.must(p.WriteAll(r.t.Context()))
}

func (r *rig) masterDir() string { return filepath.Join(r.dir, "master") }
func (r *rig) depotDir() string  { return filepath.Join(r.masterDir(), "depot") }
func (r *rig) siteDir() string   { return filepath.Join(r.masterDir(), "site") }
func (r *rig) creds() string     { return filepath.Join(r.dir, "pi.creds") }

// add asks for the package, as people do.
func (r *rig) add(env ...string) *process {
	r.t.Helper()
	return start(r.t, env, "master", "add", "--state-dir", r.masterDir(), "--database-url", r.dsn, "--upstream", r.upstream, "story==1.0")
}

func (r *rig) added() {
	r.t.Helper()
	if status := r.add().awaitEnd(); status != 0 {
		r.t.Fatalf("master add: status %#x", int(status))
	}
}

// run runs a command of master to its good end.
func (r *rig) run(args ...string) {
	r.t.Helper()
	p := start(r.t, nil, "master", args...)
	if status := p.awaitEnd(); status != 0 {
		r.t.Fatalf("%s: status %#x", p.name, int(status))
	}
}

// lease is how long a lease lives here: longer than any machine needs for all that a test
// waits for, so that nothing comes to its end by an expired one.
const lease = 5 * time.Minute

// launch starts a master at the addresses of the one before, if there was one.
func (r *rig) launch(env ...string) *process {
	r.t.Helper()
	args := []string{"serve", "--state-dir", r.masterDir(), "--database-url", r.dsn, "--upstream", r.upstream, "--listen", r.http,
		"--lease", lease.String()}
	if r.external {
		args = append(args, "--nats-url", "nats://"+r.nats)
	} else {
		args = append(args, "--nats-listen", r.nats)
	}
	if r.public != "" {
		args = append(args, "--public-url", r.public)
	}
	return start(r.t, env, "master", args...)
}

// master starts a master and waits until it is ready, or has crashed if env
// wants it to.
func (r *rig) master(env ...string) *process {
	r.t.Helper()
	p := r.launch(env...)
	if !p.await(p.stdout, "\n") {
		if len(env) > 0 {
			return p
		}
		r.t.Fatal("the master does not start")
	}
	var ready struct{ URL, NATS string }
	r.must(json.Unmarshal([]byte(p.stdout.String()), &ready))
	r.nats = strings.TrimPrefix(ready.NATS, "nats://")
	if r.public == "" {
		r.http = strings.TrimPrefix(ready.URL, "http://")
	}
	return p
}

// slave starts the one slave.
func (r *rig) slave(env ...string) *process {
	r.t.Helper()
	return start(r.t, env, "slave", "run", "--nats-url", "nats://"+r.nats, "--creds", r.creds(),
		"--state-dir", filepath.Join(r.dir, "slave"), "--python", r.py.Path)
}

// quiet waits until every job has ended.
func (r *rig) quiet() {
	r.t.Helper()
	farmtest.Eventually(r.t, "every job has ended", func() bool {
		st, err := r.Status(r.t.Context())
		jobs, all := st.Jobs[r.py.Target().String()], int64(0)
		for _, n := range jobs {
			all += n
		}
		return err == nil && all > 0 && jobs["queued"]+jobs["leased"]+jobs["waiting"] == 0
	})
}

// spoolEmpty waits until the slave has nothing more to report.
func (r *rig) spoolEmpty() {
	r.t.Helper()
	farmtest.Eventually(r.t, "the slave's spool is empty", func() bool {
		left, err := os.ReadDir(filepath.Join(r.dir, "slave", "spool"))
		return err == nil && len(left) == 0
	})
}

// outcomes lists how the builds of the job ended, oldest first.
func (r *rig) outcomes() string {
	r.t.Helper()
	jobs, err := r.Jobs(r.t.Context(), store.Selector{})
	r.must(err)
	var words []string
	for _, j := range jobs {
		builds, err := r.BuildsOf(r.t.Context(), j.ID)
		r.must(err)
		for _, b := range builds {
			words = append([]string{b.Outcome}, words...)
		}
		words = append(words, "→", string(j.State))
	}
	return strings.Join(words, " ")
}

func (r *rig) wheels() int64 {
	r.t.Helper()
	st, err := r.Status(r.t.Context())
	r.must(err)
	return st.Wheels
}

// check holds the whole farm together once it is quiet.
func (r *rig) check() {
	r.t.Helper()
	farmtest.Farm{Store: r.Store, DepotDir: r.depotDir(), SiteDir: r.siteDir(), URL: "http://" + r.http}.Check(r.t)
}

// stop ends all, softly: what is left of a farm must also be able to end.
func stop(ps ...*process) {
	for _, p := range ps {
		p.t.Helper()
		p.end(syscall.SIGTERM)
	}
}
