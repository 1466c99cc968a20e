package deploytest

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pinwheel/internal/farmtest"
	"pinwheel/internal/hosttest"
	"pinwheel/internal/pgtest"
	"pinwheel/internal/pip"
	"pinwheel/internal/proc"
	"pinwheel/internal/pypitest"
	"pinwheel/internal/store"
)

const (
	// The public URL is not what the master would call itself: on `:7070` that
	// is an address which no other host can reach.
	siteListen = ":7070"
	publicURL  = "http://10.7.7.1:7070"
	natsListen = "10.7.7.1:4222"
)

// hosts is a farm, a master on one host and a slave on the other.
type hosts struct {
	t             *testing.T
	p             programs
	a, b          *hosttest.Host
	dir, dsn      string // dsn is the database as this process reaches it
	remote        string // and as the master does
	env           []string
	py            pip.Python
	index         *pypitest.Server
	store         *store.Store
	master, slave *daemon
}

// project is the one package of these hosts. Its releases are the stories.
const project = "demo"

// testTwoHosts follows three wheels: one with the cable in place, one whose build
// the cable is pulled under, one whose report.
func testTwoHosts(t *testing.T, p programs) {
	a, b := twoHosts(t)
	f := newFarm(t, p, a, b, pgtest.New(t))
	f.startMaster()
	f.strangers()
	f.startSlave()

	f.add("1.0")
	f.built("1.0")
	f.install("1.0")

	f.cutDuringBuild()
	f.cutDuringReport()
	f.once("1.0", "2.0", "3.0")
	f.slave.stop()
	f.master.stop()
	f.serve() // which writes the root index at once; the old one would within a minute
	f.check()
	f.master.stop()
}

func newFarm(t *testing.T, p programs, a, b *hosttest.Host, dsn string) *hosts {
	t.Helper()
	dir, err := proc.SharedTempDir("pinwheel-hosts-", proc.BuildUser())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	f := &hosts{t: t, p: p, a: a, b: b, dir: dir, dsn: dsn, remote: dsn, py: farmtest.Python(t), index: pypitest.New(t, "-- demo==1.0 --\n")}
	f.env = environment(dir, "PINWHEEL_DATABASE_URL="+f.dsn, "PINWHEEL_UPSTREAM="+f.index.URL(), "PINWHEEL_STATE_DIR="+filepath.Join(dir, "state"))
	for _, h := range []*hosttest.Host{a, b} {
		h.Lend(hostOf(t, f.index.Base()))
	}
	if f.store, err = store.Open(t.Context(), f.dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.store.Close)
	return f
}

func hostOf(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

func (f *hosts) startMaster() {
	f.t.Helper()
	must(f.t, f.env, f.p.master, "target", "add", f.py.Target().String())
	f.serve()
}

func (f *hosts) serve() {
	f.t.Helper()
	file := write(f.t, f.dir, "master.toml", "listen = '"+siteListen+"'\npublic-url = '"+publicURL+"'\nnats-listen = '"+natsListen+"'\n")
	f.master = start(f.t, f.a, f.env, f.p.master, "serve", "--config", file, "--database-url", f.remote)
	want := ready{Ready: true, URL: publicURL, NATS: "nats://" + natsListen}
	if got := f.master.ready(); got != want {
		f.t.Fatalf("the master says %+v, want %+v", got, want)
	}
}

func (f *hosts) startSlave() {
	f.t.Helper()
	creds := write(f.t, f.dir, "pi-1.creds", must(f.t, f.env, f.p.master, "enroll", "pi-1"))
	f.slave = start(f.t, f.b, environment(f.dir), f.slaveArgs(creds)...)
	f.slave.log.Await(f.t, "the master knows us")
}

func (f *hosts) slaveArgs(creds string) []string {
	return []string{f.p.slave, "run", "--nats-url", "nats://" + natsListen, "--creds", creds,
		"--state-dir", filepath.Join(f.dir, "slave"), "--python", f.py.Path, "--allow-network", "127.0.0.0/8"} // the gates
}

// strangers try each door from the other host, without credentials of this farm.
func (f *hosts) strangers() {
	f.t.Helper()
	other := must(f.t, environment(f.t.TempDir()), f.p.master, "nats-config", "--creds", "--state-dir", filepath.Join(f.dir, "other"))
	for name, creds := range map[string]string{"of another farm": other, "none at all": "-----"} {
		d := start(f.t, f.b, environment(f.dir), f.slaveArgs(write(f.t, f.dir, "stranger.creds", creds))...)
		d.log.Await(f.t, "credentials not accepted")
		select {
		case <-d.done:
		case <-time.After(patience):
			f.t.Fatalf("credentials %s: the slave goes on", name)
		}
		if code := d.cmd.ProcessState.ExitCode(); code != 1 {
			f.t.Errorf("credentials %s: exit status %d", name, code)
		}
	}
	f.strangerOnTheWire()
	f.strangerAtTheUpload()
}

// strangerOnTheWire speaks the protocol by hand, without any credentials.
func (f *hosts) strangerOnTheWire() {
	f.t.Helper()
	c, err := f.b.Dial(f.t.Context(), "tcp", natsListen)
	if err != nil {
		f.t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		f.t.Fatal(err)
	}
	if _, err := io.WriteString(c, "CONNECT {\"verbose\":false}\r\nSUB farm.> 1\r\nPING\r\n"); err != nil {
		f.t.Fatal(err)
	}
	said, _ := io.ReadAll(c) // the server ends the connection
	if !strings.Contains(string(said), "-ERR 'Authorization Violation'") || strings.Contains(string(said), "PONG") {
		f.t.Errorf("NATS says to a stranger: %q", said)
	}
}

func (f *hosts) strangerAtTheUpload() {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), http.MethodPut, publicURL+"/upload/"+strings.Repeat("0", 64), strings.NewReader("x"))
	if err != nil {
		f.t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DialContext: f.b.Dial, DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized && resp.StatusCode != http.StatusForbidden {
		f.t.Errorf("an upload without a token gets %s", resp.Status)
	}
}

func (f *hosts) add(version string) {
	f.t.Helper()
	must(f.t, f.env, f.p.master, "add", project, version)
}

// hold makes a release whose build asks a gate, and waits until it is there.
func (f *hosts) hold(version string) *pypitest.Gate {
	f.t.Helper()
	g := pypitest.NewGate(f.t)
	f.b.Lend(hostOf(f.t, g.URL))
	err := f.index.Add(pypitest.Release{Name: project, Version: version, Kind: pypitest.Network, Address: g.URL})
	if err != nil {
		f.t.Fatal(err)
	}
	f.add(version)
	g.Await(patience)
	return g
}

// cutDuringBuild pulls the cable for longer than both ends need to notice.
func (f *hosts) cutDuringBuild() {
	f.t.Helper()
	g := f.hold("2.0")
	mark := f.slave.log.Mark()
	pull(f.b)
	f.slave.log.AwaitAfter(f.t, mark, "NATS is lost")
	plug(f.b)
	f.slave.log.AwaitAfter(f.t, mark, "NATS is back")
	g.Open()
	f.built("2.0")
	f.install("2.0")
}

// cutDuringReport pulls it when the result has just come to lie on the slave's
// disk, which is when it is reported. Until then the master stands still: it may be
// quicker to take a report than this test is to see it.
func (f *hosts) cutDuringReport() {
	f.t.Helper()
	g := f.hold("3.0")
	mark := f.slave.log.Mark()
	f.master.signal(syscall.SIGSTOP)
	g.Open()
	eventually(f.t, "the result is in the spool", func() bool {
		found, err := filepath.Glob(filepath.Join(f.dir, "slave", "spool", "*", "report.json"))
		return err == nil && len(found) > 0
	})
	pull(f.b)
	f.master.signal(syscall.SIGCONT)
	f.slave.log.AwaitAfter(f.t, mark, "NATS is lost")
	plug(f.b)
	f.built("3.0")
	f.install("3.0")
	eventually(f.t, "the spool is empty", func() bool {
		found, err := filepath.Glob(filepath.Join(f.dir, "slave", "spool", "*"))
		return err == nil && len(found) == 0
	})
}

// cutDatabase pulls the cable of the database's host until both ends have noticed,
// and returns when it was back. What happens meanwhile happens while nobody knows.
func (f *hosts) cutDatabase(c *hosttest.Host, meanwhile func()) (back time.Time) {
	f.t.Helper()
	f.attended(true)
	mark := f.master.log.Mark()
	pull(c)
	pulled := time.Now()
	meanwhile()
	f.master.log.AwaitAfter(f.t, mark, "round failed")
	noticed := time.Since(pulled)
	eventually(f.t, "the server has ended the sessions of a host that is gone", func() bool { return sessions(f.t, f.dsn) == 0 })
	f.within(time.Minute, "the master noticed", noticed) // a round begins every ten seconds, and then tries for ten
	f.within(time.Minute, "the server noticed", time.Since(pulled))
	f.attended(false)
	plug(c)
	back = time.Now()
	f.attended(true)
	f.within(30*time.Second, "the master listened again", time.Since(back))
	return back
}

// attended waits until the database says so of its daemon.
func (f *hosts) attended(want bool) {
	f.t.Helper()
	eventually(f.t, fmt.Sprintf("a daemon attends to the database: %v", want), func() bool {
		got, err := f.store.Attended(f.t.Context())
		if err != nil {
			f.t.Fatal(err)
		}
		return got == want
	})
}

// within wants a cable's effect to be over in seconds: far sooner than a lease
// expires, or the kernel gives up by itself.
func (f *hosts) within(most time.Duration, what string, took time.Duration) {
	f.t.Helper()
	f.t.Logf("%s after %v", what, took.Round(time.Millisecond))
	if took > most {
		f.t.Errorf("%s after %v, want at most %v", what, took, most)
	}
}

// built waits until a release's one job is built.
func (f *hosts) built(version string) {
	f.t.Helper()
	eventually(f.t, version+" is built", func() bool {
		jobs, err := f.store.Jobs(f.t.Context(), store.Selector{Package: project, Version: version})
		if err != nil || len(jobs) != 1 {
			f.t.Fatalf("%s has the jobs %v, %v", version, jobs, err)
		}
		if jobs[0].State == "failed" {
			f.t.Fatalf("%s failed: %+v", version, jobs[0])
		}
		return jobs[0].State == "built"
	})
}

// once wants one lease for each job: nothing was built twice.
func (f *hosts) once(versions ...string) {
	f.t.Helper()
	want := map[string]int{}
	for _, v := range versions {
		want[v] = 1
	}
	if got := leases(f.t, f.dsn); !maps.Equal(want, got) {
		f.t.Errorf("leases of each release: %v, want %v", got, want)
	}
}

// install lets real pip on the slave's host install from the public URL.
func (f *hosts) install(version string) {
	f.t.Helper()
	// The page follows the row; after an outage its writer is back a moment later.
	eventually(f.t, "all pages are written", func() bool {
		now, err := f.store.Now(f.t.Context())
		if err != nil {
			return false // the database may be away yet
		}
		left, err := f.store.Unwritten(f.t.Context(), nil, now)
		return err == nil && left.Pages == 0
	})
	d := start(f.t, f.b, environment(f.dir), f.py.Path, "-m", "pip", "install", "--isolated", "--disable-pip-version-check",
		"--no-cache-dir", "--no-deps", "--root-user-action=ignore", "--target", filepath.Join(f.dir, "installed", version),
		"--index-url", publicURL+"/simple/", "--trusted-host", "10.7.7.1", project+"=="+version)
	select {
	case <-d.done:
	case <-time.After(patience):
		f.t.Fatal("pip does not end")
	}
	if code := d.cmd.ProcessState.ExitCode(); code != 0 || !strings.Contains(d.out.Text(), publicURL+"/simple/"+project+"/") {
		f.t.Errorf("pip ends with %d:\n%s%s", code, d.out.Text(), d.log.Text())
	}
}

// check holds rows, files and pages together. The site is read through a proxy,
// since the checker is on neither host.
func (f *hosts) check() {
	f.t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return f.b.Dial(ctx, network, hostOf(f.t, publicURL))
	}}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := r.Clone(r.Context())
		out.URL.Scheme, out.URL.Host, out.RequestURI = "http", hostOf(f.t, publicURL), ""
		resp, err := transport.RoundTrip(out)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		for k, v := range resp.Header {
			w.Header()[k] = v
		}
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body) // the checker sees what is missing
	}))
	f.t.Cleanup(func() { proxy.Close(); transport.CloseIdleConnections() })
	state := filepath.Join(f.dir, "state")
	farmtest.Farm{Store: f.store, DepotDir: filepath.Join(state, "depot"), SiteDir: filepath.Join(state, "site"), URL: proxy.URL}.Check(f.t)
}
