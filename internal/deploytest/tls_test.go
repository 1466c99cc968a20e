package deploytest

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"pinwheel/internal/certs"
	"pinwheel/internal/certstest"
	"pinwheel/internal/pgtest"
	"pinwheel/internal/proc"
	"pinwheel/internal/pypitest"
)

const localhost = "127.0.0.1"

// secureFarm is a farm on this host whose master speaks TLS.
type secureFarm struct {
	hosts
	ca   *certstest.Authority
	own  certstest.Pair // the master's
	at   ready
	cred string
}

// testTLS runs a farm over TLS: what is wrong has one line, wheels are built and
// installed, and a renewal stops nobody.
func testTLS(t *testing.T, p programs) {
	h := newFarm(t, p, nil, nil, pgtest.New(t))
	f := &secureFarm{hosts: *h, ca: certstest.NewAuthority(t, h.dir, "ca")}
	f.badFiles()
	f.own = f.ca.Issue("farm", time.Now().AddDate(1, 0, 0), localhost)
	f.startSecure()
	f.plainVisitors()
	f.doubtfulSlaves()
	f.monitors()

	f.slave = start(t, nil, environment(f.dir), f.slaveTLS("slave", f.at.NATS, f.ca.File)...)
	f.slave.log.Await(t, "the master knows us")
	f.add("1.0")
	f.built("1.0")
	f.pip("1.0", "--cert", f.ca.File)
	f.pipRefuses()

	f.renew()
	f.slave.stop()
	f.master.stop()
}

func (f *secureFarm) badFiles() {
	t := f.t
	good, second := f.ca.Issue("good", time.Now().AddDate(1, 0, 0), localhost), f.ca.Issue("second", time.Now().AddDate(1, 0, 0), "farm.example")
	old := f.ca.Issue("old", time.Now().Add(-time.Hour), localhost)
	stranger := certstest.NewAuthority(t, f.dir, "stranger")
	state := filepath.Join(f.dir, "bad")
	try := func(code int, words []string, more ...string) {
		t.Helper()
		refuses(t, run(t, environment(f.dir), serve(f.p, state, f.dsn, more...)...), code, words...)
	}
	try(2, []string{"--tls-cert and --tls-key go together"}, "--tls-cert", good.Cert)
	try(1, []string{"--tls-cert", state + "/none", "no such file"}, "--tls-cert", state+"/none", "--tls-key", good.Key)
	try(1, []string{second.Key + " is not the key of", good.Cert}, "--tls-cert", good.Cert, "--tls-key", second.Key)
	try(1, []string{old.Cert, "expired on", "renewed"}, "--tls-cert", old.Cert, "--tls-key", old.Key)
	try(1, []string{good.Cert, stranger.File, "name the authority"}, "--tls-cert", good.Cert, "--tls-key", good.Key, "--tls-ca", stranger.File)
	try(2, []string{second.Cert, "is for farm.example, not for 127.0.0.1", "--public-url"}, "--tls-cert", second.Cert, "--tls-key", second.Key)
	creds := write(t, f.dir, "nobody.creds", "-----")
	refuses(t, run(t, environment(f.dir), f.p.slave, "run", "--nats-url", "nats://127.0.0.1:1", "--creds", creds, "--tls-ca", state+"/none"), 1, "--tls-ca", state+"/none")
}

func (f *secureFarm) startSecure() {
	f.t.Helper()
	must(f.t, f.env, f.p.master, "target", "add", f.py.Target().String())
	f.cred = write(f.t, f.dir, "pi-1.creds", must(f.t, f.env, f.p.master, "enroll", "pi-1"))
	file := write(f.t, f.dir, "master.toml", fmt.Sprintf("listen = '127.0.0.1:0'\nnats-listen = '127.0.0.1:0'\n[tls]\ncert = '%s'\nkey = '%s'\nca = '%s'\n",
		f.own.Cert, f.own.Key, f.ca.File))
	f.master = start(f.t, nil, f.env, f.p.master, "serve", "--config", file)
	f.at = f.master.ready()
	if !strings.HasPrefix(f.at.URL, "https://127.0.0.1:") || !strings.HasPrefix(f.at.NATS, "tls://127.0.0.1:") {
		f.t.Fatalf("the master says %+v", f.at)
	}
}

// plainVisitors speak no TLS: they get nothing, and the log says what they should do.
func (f *secureFarm) plainVisitors() {
	t := f.t
	resp, err := http.Get("http" + strings.TrimPrefix(f.at.URL, "https") + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("plain HTTP gets %s", resp.Status)
	}
	f.master.log.Await(t, "use https://, with the certificate of the authority")
	c, err := net.Dial("tcp", strings.TrimPrefix(f.at.NATS, "tls://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(c, "CONNECT {\"verbose\":false}\r\nPING\r\n")
	for said := bufio.NewScanner(c); said.Scan(); {
		if strings.HasPrefix(said.Text(), "PONG") {
			t.Error("NATS talks plainly")
		}
	}
	f.master.log.Await(t, "TLS handshake error")
}

// doubtfulSlaves do not believe the server, or it is none of TLS: they say why, and
// what to do, and wait.
func (f *secureFarm) doubtfulSlaves() {
	t := f.t
	stranger := certstest.NewAuthority(t, f.dir, "another")
	plain := startNATS(t, "127.0.0.1:0", must(t, f.env, f.p.master, "nats-config"))
	for name, c := range map[string]struct{ nats, ca, want string }{
		"system's authorities": {f.at.NATS, "", "with --tls-ca"},
		"another authority":    {f.at.NATS, stranger.File, "not signed by an authority that is trusted here"},
		"plain server":         {plain, f.ca.File, "that server speaks no TLS"},
	} {
		d := start(t, nil, environment(f.dir), f.slaveTLS("doubtful-"+name, c.nats, c.ca)...)
		d.log.Await(t, c.want)
		d.stop()
		if strings.Contains(d.log.Text(), "the master knows us") {
			t.Errorf("%s: it was let in:\n%s", name, d.log.Text())
		}
	}
}

// monitors look at the farm by TLS, and say why when they cannot.
func (f *secureFarm) monitors() {
	t := f.t
	creds := write(t, f.dir, "desk.creds", must(t, f.env, f.p.master, "enroll", "desk", "--role", "monitor"))
	look := func(ca string) result {
		args := []string{f.p.monitor, "--once", "--json", "--nats-url", f.at.NATS, "--creds", creds}
		if ca != "" {
			args = append(args, "--tls-ca", ca)
		}
		return run(t, environment(f.dir), args...)
	}
	if r := look(f.ca.File); r.code != 0 || !strings.Contains(r.stdout, `"slaves"`) {
		t.Errorf("a monitor that trusts the farm ends with %d:\n%s%s", r.code, r.stdout, r.stderr)
	}
	refuses(t, look(""), 1, "with --tls-ca")
	refuses(t, look(filepath.Join(f.dir, "none")), 1, "--tls-ca", "none")
}

func (f *secureFarm) slaveTLS(state, nats, ca string) []string {
	args := []string{f.p.slave, "run", "--nats-url", nats, "--creds", f.cred, "--state-dir", filepath.Join(f.dir, state),
		"--python", f.py.Path, "--allow-network", "127.0.0.0/8"}
	if ca != "" {
		args = append(args, "--tls-ca", ca)
	}
	return args
}

// pip installs from the farm as its users do.
func (f *secureFarm) pip(version string, more ...string) {
	f.t.Helper()
	if r := f.tryPip(version, more...); r.code != 0 || !strings.Contains(r.stdout, f.at.URL+"/simple/"+project+"/") {
		f.t.Errorf("pip ends with %d:\n%s%s", r.code, r.stdout, r.stderr)
	}
}

func (f *secureFarm) tryPip(version string, more ...string) result {
	return run(f.t, environment(f.dir), append([]string{f.py.Path, "-m", "pip", "install", "--isolated", "--disable-pip-version-check",
		"--no-cache-dir", "--no-deps", "--root-user-action=ignore", "--retries=0", "--target", filepath.Join(f.dir, "installed", version),
		"--index-url", f.at.URL + "/simple/", project + "==" + version}, more...)...)
}

func (f *secureFarm) pipRefuses() {
	f.t.Helper()
	r := f.tryPip("1.0")
	if r.code == 0 || !strings.Contains(r.stdout+r.stderr, "certificate verify failed") && !strings.Contains(r.stdout+r.stderr, "CERTIFICATE_VERIFY_FAILED") {
		f.t.Errorf("pip without the authority ends with %d:\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// renew puts another certificate where the first one was. Nobody is started again.
func (f *secureFarm) renew() {
	t := f.t
	before := f.serial(f.at.URL)
	f.ca.Issue("farm", time.Now().AddDate(0, 0, 10), localhost)
	for _, where := range []string{f.at.URL, f.at.NATS} {
		if f.serial(where).Cmp(before) == 0 {
			t.Errorf("%s shows the old certificate", where)
		}
	}
	f.master.log.Await(t, "the certificates were read again")
	if err := f.index.Add(pypitest.Release{Name: project, Version: "2.0"}); err != nil {
		t.Fatal(err)
	}
	f.add("2.0")
	f.built("2.0")
	f.pip("2.0", "--cert", f.ca.File)
	if strings.Contains(f.slave.log.Text(), "NATS is lost") {
		t.Error("the renewal cut the slave off")
	}
	f.doctor("warning", "9 days from now")
	f.ca.Issue("farm", time.Now().AddDate(1, 0, 0), localhost)
	f.doctor("ok", "good until")
}

// doctor tells of the farm's certificates.
func (f *secureFarm) doctor(level, words string) {
	f.t.Helper()
	r := run(f.t, environment(f.dir), f.p.slave, "doctor", "--json", "--state-dir", filepath.Join(f.dir, "slave"), "--python", f.py.Path,
		"--nats-url", f.at.NATS, "--creds", f.cred, "--tls-ca", f.ca.File, "--upstream", f.index.URL())
	var told struct {
		Findings []struct{ Name, Level, Detail, Remedy string }
	}
	if err := json.Unmarshal([]byte(r.stdout), &told); err != nil {
		f.t.Fatalf("%v: %+v", err, r)
	}
	seen := map[string]string{}
	for _, one := range told.Findings {
		seen[one.Name] = one.Level + ": " + one.Detail
	}
	if got := seen["certificate"]; !strings.HasPrefix(got, level+": ") || !strings.Contains(got, words) {
		f.t.Errorf("doctor says of certificates %q, want %s, %s", got, level, words)
	}
	for _, name := range []string{"nats", "master"} {
		if !strings.HasPrefix(seen[name], "ok: ") {
			f.t.Errorf("doctor says of %s: %s", name, seen[name])
		}
	}
}

// testSecureNATS: an external server with TLS; a master that does not trust it says so
// and waits.
func testSecureNATS(t *testing.T, p programs) {
	dir, err := proc.SharedTempDir("pinwheel-nats-", proc.BuildUser())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	dsn, env := pgtest.New(t), environment(dir)
	ca := certstest.NewAuthority(t, dir, "ca")
	pair := ca.Issue("nats", time.Now().AddDate(1, 0, 0), localhost)
	told := must(t, env, p.master, "nats-config", "--state-dir", dir) +
		fmt.Sprintf("\ntls { cert_file: %q, key_file: %q, timeout: 10 }\n", pair.Cert, pair.Key)
	url := startNATS(t, "127.0.0.1:0", told)
	creds := prepare(t, p, env, dir, dsn)

	d := start(t, nil, env, serve(p, dir, dsn, "--nats-url", url)...)
	d.log.Await(t, "not signed by an authority that is trusted here")
	d.stop()

	d = start(t, nil, env, serve(p, dir, dsn, "--nats-url", url, "--tls-ca", ca.File)...)
	if r := d.ready(); !strings.HasPrefix(r.URL, "http://") {
		t.Errorf("an authority alone makes the site %s", r.URL)
	}
	slave := start(t, nil, env, p.slave, "run", "--nats-url", url, "--creds", write(t, dir, "pi-1.creds", string(creds)),
		"--state-dir", filepath.Join(dir, "slave"), "--sandbox", "none", "--tls-ca", ca.File)
	slave.log.Await(t, "the master refuses this slave") // it builds for another target than the farm's
	slave.stop()
	d.stop()
}

// serial is of the certificate that a server shows to a client that trusts the farm's authority.
func (f *secureFarm) serial(where string) *big.Int {
	f.t.Helper()
	scheme, host, _ := strings.Cut(where, "://")
	conn, err := net.Dial("tcp", host)
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close()
	if scheme == "tls" { // NATS says a line first
		if line, err := bufio.NewReaderSize(conn, 16<<10).ReadString('\n'); err != nil || !strings.HasPrefix(line, "INFO ") {
			f.t.Fatalf("NATS says %q, %v", line, err)
		}
	}
	c := tls.Client(conn, &tls.Config{RootCAs: f.ca.Pool(), ServerName: localhost})
	if err := c.HandshakeContext(f.t.Context()); err != nil {
		f.t.Fatalf("%s: %v", where, err)
	}
	return c.ConnectionState().PeerCertificates[0].SerialNumber
}

// TestOpenSSL does what the manual says about an authority of one's own. Python is
// stricter than most about such certificates, from 3.13 on by default.
func TestOpenSSL(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "\n## TLS\n")
	section, _, whole := strings.Cut(section, "\n## ")
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(section, -1)
	if !ok || !whole || len(blocks) != 2 {
		t.Fatalf("the manual has %d blocks about TLS", len(blocks))
	}
	dir := t.TempDir()
	for _, b := range blocks {
		cmd := exec.Command("sh", "-ec", b[1])
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s\n%s", err, b[1], out)
		}
	}
	c, err := certs.Open(certs.Files{Cert: dir + "/farm.pem", Key: dir + "/farm.key", CA: dir + "/ca.pem", Signed: true}, time.Now, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"farm.example", "192.0.2.10"} {
		if err := c.CheckHost(name); err != nil {
			t.Error(err)
		}
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", c.Server())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	shaken := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			err = conn.(*tls.Conn).HandshakeContext(t.Context())
			conn.Close()
		}
		shaken <- err
	}()
	const strict = `
import socket, ssl, sys
c = ssl.create_default_context(cafile=sys.argv[1])
c.verify_flags |= ssl.VERIFY_X509_STRICT
c.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[2]))), server_hostname="farm.example")`
	port := fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
	if out, err := exec.Command("/usr/bin/python3", "-c", strict, dir+"/ca.pem", port).CombinedOutput(); err != nil {
		t.Errorf("Python does not believe it: %v\n%s", err, out)
	}
	if err := <-shaken; err != nil {
		t.Error(err)
	}
}
