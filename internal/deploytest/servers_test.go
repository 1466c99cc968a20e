package deploytest

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/rs/zerolog"

	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
	"pinwheel/internal/pgtest"
	"pinwheel/internal/porttest"
)

// upstream is an index that nobody asks here.
const upstream = "http://127.0.0.1:1/simple/"

// serve is how a master is started here: on free ports, and on no database but
// the one that is named.
func serve(p programs, state, dsn string, more ...string) []string {
	return append([]string{p.master, "serve", "--state-dir", state, "--database-url", dsn, "--upstream", upstream,
		"--listen", "127.0.0.1:0", "--nats-listen", "127.0.0.1:0"}, more...)
}

func testDatabase(t *testing.T, p programs) {
	dir := t.TempDir()
	env := environment(dir)
	refuses(t, run(t, env, serve(p, dir, "postgres://pi:geheim@127.0.0.1:1/farm")...), 1, "connect to the database", "127.0.0.1:1", "--database-url")

	old := pgtest.Empty(t)
	refuses(t, run(t, env, serve(p, dir, old)...), 1, "database schema", "`master migrate`")
	r := run(t, env, p.master, "migrate", "--check", "--database-url", old)
	if r.code != 1 || !strings.Contains(r.stdout, "schema version 0, this program wants ") || strings.Contains(r.stderr, "geheim") {
		t.Errorf("a check of an old schema: %+v", r)
	}
	must(t, env, p.master, "migrate", "--database-url", old)
	must(t, env, p.master, "migrate", "--check", "--database-url", old)

	// A newer master has been here: this one still works on its schema.
	execute(t, old, "insert into goose_db_version (version_id, is_applied) values (1000, true)")
	must(t, env, p.master, "migrate", "--check", "--database-url", old)
	d := start(t, nil, env, serve(p, dir, old)...)
	d.ready()
	d.stop()
}

func execute(t *testing.T, dsn, statement string) {
	t.Helper()
	db, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(t.Context())
	if _, err := db.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

// startNATS runs a server of others, told what nats-config printed.
func startNATS(t *testing.T, address, told string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	if port == "0" {
		port = "-1" // of nats-server: any
	}
	path := write(t, t.TempDir(), "nats-server.conf", fmt.Sprintf("host: %s\nport: %s\ninclude pinwheel.conf\n", host, port))
	write(t, filepath.Dir(path), "pinwheel.conf", told)
	opts, err := server.ProcessConfigFile(path)
	if err != nil {
		t.Fatalf("%v in\n%s", err, told)
	}
	opts.NoSigs, opts.NoLog = true, true
	s, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(patience) {
		t.Fatal("the external NATS server is not ready")
	}
	return s.ClientURL()
}

// sayHello asks the master as a slave does, through whatever lies between.
func sayHello(t *testing.T, natsURL string, creds []byte) (bus.Welcome, error) {
	t.Helper()
	c, err := bus.Connect(t.Context(), bus.Options{URL: natsURL, Creds: creds, Log: zerolog.Nop()})
	if err != nil {
		return bus.Welcome{}, err
	}
	defer c.Close()
	target := farm.Target{ABI: "cp311", Platform: "linux_armv7l"}
	return c.Slave("pi-1").Hello(t.Context(), bus.Hello{Version: "1", Targets: []bus.ServedTarget{{Target: target}}})
}

// prepare makes a farm with one target and one slave; the credentials come back.
func prepare(t *testing.T, p programs, env []string, state, dsn string) []byte {
	t.Helper()
	must(t, env, p.master, "target", "add", "cp311-linux_armv7l", "--state-dir", state, "--database-url", dsn)
	return []byte(must(t, env, p.master, "enroll", "pi-1", "--state-dir", state, "--database-url", dsn))
}

func testNATS(t *testing.T, p programs) {
	dir, dsn := t.TempDir(), pgtest.New(t)
	env := environment(dir)
	url := startNATS(t, "127.0.0.1:0", must(t, env, p.master, "nats-config", "--state-dir", dir))
	creds := prepare(t, p, env, dir, dsn)
	d := start(t, nil, env, serve(p, dir, dsn, "--nats-url", url)...)
	if r := d.ready(); r.NATS != url {
		t.Errorf("the master says that NATS is at %s, want %s", r.NATS, url)
	}
	if w, err := sayHello(t, url, creds); err != nil || w.Upstream != upstream {
		t.Errorf("hello gets %v, %v", w, err)
	}
	d.stop()
}

// testLateNATS: after a power cut a master may be up before its NATS; pip needs
// only the master.
func testLateNATS(t *testing.T, p programs) {
	dir, dsn := t.TempDir(), pgtest.New(t)
	env := environment(dir)
	told := must(t, env, p.master, "nats-config", "--state-dir", dir)
	creds := prepare(t, p, env, dir, dsn)
	address, site := porttest.Reserve(t), porttest.Reserve(t)
	d := start(t, nil, env, serve(p, dir, dsn, "--nats-url", "nats://"+address, "--listen", site)...)
	d.log.Await(t, "waiting for NATS at nats://"+address)
	eventually(t, "the site is served without NATS", func() bool {
		resp, err := http.Get("http://" + site + "/simple/")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	if d.out.Text() != "" {
		t.Errorf("it is ready without NATS: %s", d.out.Text())
	}
	startNATS(t, address, told)
	d.ready()
	if _, err := sayHello(t, "nats://"+address, creds); err != nil {
		t.Errorf("hello gets %v", err)
	}
	d.stop()
}

// testMasterCreds: the keys may be on another host than the daemon.
func testMasterCreds(t *testing.T, p programs) {
	keys, state, dsn := t.TempDir(), t.TempDir(), pgtest.New(t)
	env := environment(keys)
	url := startNATS(t, "127.0.0.1:0", must(t, env, p.master, "nats-config", "--state-dir", keys))
	creds := prepare(t, p, env, keys, dsn)
	own := write(t, keys, "master.creds", must(t, env, p.master, "nats-config", "--creds", "--state-dir", keys))

	// The daemon's own state directory has other keys, which that server refuses.
	refuses(t, run(t, env, append(serve(p, state, dsn, "--nats-url", url), "--log-level=error")...), 1, url, "credentials not accepted", "nats-config")
	slaves := write(t, keys, "pi-1.creds", string(creds))
	refuses(t, run(t, env, serve(p, state, dsn, "--nats-url", url, "--nats-creds", slaves)...), 1, slaves, "they are of the slave pi-1", "nats-config --creds")
	refuses(t, run(t, env, serve(p, state, dsn, "--nats-url", url, "--nats-creds", state+"/none")...), 1, state+"/none", "nats-config --creds")

	second := t.TempDir()
	d := start(t, nil, env, serve(p, second, dsn, "--nats-url", url, "--nats-creds", own)...)
	d.ready()
	if _, err := sayHello(t, url, creds); err != nil {
		t.Errorf("hello gets %v", err)
	}
	d.stop()
	// What is signed beside such a master, with keys of its own, no server takes.
	for _, command := range [][]string{{"enroll", "pi-2"}, {"revoke", "pi-1"}} {
		refuses(t, run(t, env, append(append([]string{p.master}, command...), "--state-dir", second, "--database-url", dsn)...), 1, "the farm's keys are not in "+second)
	}
	if info, err := os.Stat(filepath.Join(keys, "nats", "authority.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the keys: %v, %v", info, err)
	}
}
