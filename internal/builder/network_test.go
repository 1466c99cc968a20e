package builder

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/farm"
	"pinwheel/internal/proxy"
)

// escape tries, from inside a build, every way out that there is, and tells on one
// line what came of it. Arguments: the port of a server on the host's loopback, and
// the name of an abstract socket of the host.
const escape = `
import json, socket, urllib.request, ssl
PORT, ABSTRACT = %s, "%s"
def attempt(f):
    try: return "OUT: %%r" %% (f(),)
    except Exception as e: return str(getattr(e, "reason", e))
def tcp(host): return socket.create_connection((host, PORT), 5)
def unix(path):
    s = socket.socket(socket.AF_UNIX); s.connect(path); return s
def udp():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); return s.sendto(b"x", ("8.8.8.8", 53))
def web(url): return urllib.request.urlopen(url, timeout=10).read()
print("TRIED " + json.dumps({
    "interfaces": [n for _, n in socket.if_nameindex()],
    "loopback": attempt(lambda: tcp("127.0.0.1")), "loopback6": attempt(lambda: tcp("::1")),
    "abstract": attempt(lambda: unix("\0" + ABSTRACT)), "datagram": attempt(udp),
    "name": attempt(lambda: socket.getaddrinfo("public.example", 80)),
    "http loopback": attempt(lambda: web("http://public.example:%%d/" %% PORT)),
    "connect loopback": attempt(lambda: web("https://public.example:%%d/" %% PORT)),
    "metadata": attempt(lambda: web("http://169.254.169.254/latest/meta-data/")),
    "metadata name": attempt(lambda: web("https://metadata.example/")),
}))
`

type names map[string]string

func (n names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if a, ok := n[host]; ok {
		return []netip.Addr{netip.MustParseAddr(a)}, nil
	}
	return nil, errors.New("no such host")
}

// TestNoWayButTheProxy: a fenced build reaches neither what listens on this machine,
// by whatever name, nor the network, and says so in its record.
func TestNoWayButTheProxy(t *testing.T) {
	t.Parallel()
	bwrapOnly(t)
	var conns atomic.Int64
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ConnState = func(net.Conn, http.ConnState) { conns.Add(1) }
	s.Start()
	t.Cleanup(s.Close)
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	must(t, err)
	name := "pinwheel-test-" + port
	abstract, err := net.Listen("unix", "@"+name)
	must(t, err)
	t.Cleanup(func() { abstract.Close() })

	code := strings.NewReplacer("%s, ", port+", ", `"%s"`, `"`+name+`"`, "%%", "%").Replace(escape)
	b := newBuild(t, Bwrap, "escape", index(t, map[string][]byte{"escape": sdist(t, "escape", code+"return wheel(d)\n")}))
	b.Proxy, err = proxy.New(proxy.Config{Resolver: names{"public.example": "127.0.0.1", "metadata.example": "169.254.169.254"}})
	must(t, err)
	t.Cleanup(b.Proxy.Close)
	r := build(t, b)
	if r.Outcome != farm.OutcomeBuilt {
		t.Fatalf("%+v\n%s", r.Failure, r.Excerpt)
	}
	_, line, _ := strings.Cut(readLog(t, b), "TRIED ")
	line, _, _ = strings.Cut(line, "\n")
	var tried map[string]any
	must(t, json.Unmarshal([]byte(line), &tried))
	if diff := cmp.Diff([]any{"lo"}, tried["interfaces"]); diff != "" {
		t.Errorf("interfaces (-want +got):\n%s", diff)
	}
	delete(tried, "interfaces")
	for what, came := range tried {
		if came, ok := came.(string); !ok || strings.HasPrefix(came, "OUT") {
			t.Errorf("%s: %s", what, came)
		}
	}
	if conns.Load() != 0 {
		t.Errorf("%d connections to a server on loopback", conns.Load())
	}
	want := []farm.Contact{
		{Host: "public.example:" + port, Times: 2, Refused: true, Why: "builds may not reach it"},
		{Host: "169.254.169.254", Times: 1, Refused: true, Why: "builds may not reach it"},
		{Host: "metadata.example:443", Times: 1, Refused: true, Why: "builds may not reach it"},
	}
	if diff := cmp.Diff(want, r.Record.Contacts); diff != "" {
		t.Errorf("contacts (-want +got):\n%s", diff)
	}
}

// TestRecordOfWhatWasTaken: the sdist as it came, and what it was built with.
func TestRecordOfWhatWasTaken(t *testing.T) {
	t.Parallel()
	for _, mode := range modes() {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			url := index(t, map[string][]byte{"needy": sdistRequiring(t, "needy", "sd-ok", "import sd_ok\nreturn wheel(d)\n")})
			b := newBuild(t, mode, "needy", url)
			r := build(t, b)
			if r.Outcome != farm.OutcomeBuilt {
				t.Fatalf("%+v\n%s", r.Failure, r.Excerpt)
			}
			sum, size := fileSum(t, filepath.Join("testdata", "badsdists", "sd_ok-1.0.tar.gz"))
			want := []farm.Requirement{{Name: "sd-ok", Version: "1.0", File: "sd_ok-1.0.tar.gz", SHA256: sum}}
			if diff := cmp.Diff(want, r.Record.Requires); diff != "" || size == 0 {
				t.Errorf("requires (-want +got):\n%s", diff)
			}
			s := r.Record.Sdist
			if s.Filename != "needy-1.0.tar.gz" || s.URL != strings.TrimSuffix(url, "simple/")+"files/needy-1.0.tar.gz" || len(s.SHA256) != 64 || s.Size == 0 {
				t.Errorf("sdist %+v", s)
			}
		})
	}
}

func fileSum(t *testing.T, path string) (string, int) {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), len(data)
}

// TestNetworks: what a build may reach, by its network; that it tried is the cause.
func TestNetworks(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("hello")) }))
	t.Cleanup(s.Close)
	ask := `
import urllib.request
assert urllib.request.urlopen(URL).read()
return wheel(d)
`
	sdists := map[string][]byte{
		"outside": sdist(t, "outside", strings.Replace(ask, "URL", `"`+strings.Replace(s.URL, "127.0.0.1", "public.example", 1)+`"`, 1)),
		"asks":    sdist(t, "asks", strings.Replace(ask, "URL", `os.environ["PIP_INDEX_URL"] + "asks/"`, 1)),
		"quiet":   sdist(t, "quiet", "return wheel(d)\n"),
	}
	for name, built := range map[string]map[string]bool{
		"outside": {"public": true}, "asks": {"public": true, "index": true}, "quiet": {"public": true, "index": true, "none": true},
	} {
		for _, network := range farm.Networks() {
			for _, mode := range modes() {
				if name == "quiet" && network != farm.NetworkNone || mode == None && network == farm.NetworkPublic {
					continue // as in every other test
				}
				t.Run(name+"/"+network+"/"+string(mode), func(t *testing.T) {
					t.Parallel()
					b := newBuild(t, mode, name, index(t, sdists))
					b.Recipe.Network = network
					var err error
					b.Proxy, err = proxy.New(proxy.Config{Resolver: names{"public.example": "127.0.0.1"}, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
					must(t, err)
					t.Cleanup(b.Proxy.Close)
					r := build(t, b)
					if (r.Outcome == farm.OutcomeBuilt) != built[network] {
						t.Errorf("%+v\n%s", r.Failure, r.Excerpt)
					}
					if r.Outcome == farm.OutcomeFailed && (!r.Failure.Fenced() || r.Record.CauseFrom != farm.FromBuilder) {
						t.Errorf("%+v, from %s", r.Failure, r.Record.CauseFrom)
					}
					if refused := refusedHost(r.Record); r.Outcome == farm.OutcomeFailed {
						for what, text := range map[string]string{"detail": r.Failure.Detail, "excerpt": r.Excerpt, "log": readLog(t, b)} {
							if refused == "" || !strings.Contains(text, "refused by the fence: "+refused+": ") {
								t.Errorf("the %s does not name the host %q: %s", what, refused, text)
							}
						}
					}
				})
			}
		}
	}
}

// TestPastTheProxy: a build that does not heed the proxy has no way out of any slave's
// fence, and its failure says so. Without a fence it was the network that did not answer.
func TestPastTheProxy(t *testing.T) {
	t.Parallel()
	for _, mode := range modes() {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			// Without a fence this stays on the machine all the same: nobody listens there.
			host, from, want := "127.0.0.1", farm.FromLog, "Connection refused"
			if mode == Bwrap {
				host, from, want = "192.0.2.1", farm.FromBuilder, "refused by the fence: past the proxy: Network is unreachable"
			}
			sd := sdist(t, "deaf", "import socket\nsocket.create_connection((\""+host+"\", 1), 5)\nreturn wheel(d)\n")
			r := build(t, newBuild(t, mode, "deaf", index(t, map[string][]byte{"deaf": sd})))
			if r.Failure.Cause != farm.Network || r.Failure.Detail != want || r.Record.CauseFrom != from {
				t.Errorf("%+v from %s, want %s from %s\n%s", r.Failure, r.Record.CauseFrom, want, from, r.Excerpt)
			}
		})
	}
}

// refusedHost is the first host that a build was refused.
func refusedHost(r farm.Record) string {
	for _, c := range r.Contacts {
		if c.Refused {
			return c.Host
		}
	}
	return ""
}

// TestRefusalsAreFew: a build that wants to go everywhere does not fill its excerpt with
// that, nor the reader's terminal.
func TestRefusalsAreFew(t *testing.T) {
	t.Parallel()
	contacts := []farm.Contact{{Host: "ok.example:443"}, {Host: "down.example:443", Why: "connection refused"}}
	if said := refusals(contacts); said != nil {
		t.Errorf("%q", said)
	}
	for i := range 9 {
		contacts = append(contacts, farm.Contact{Host: fmt.Sprintf("a%d.example:443", i), Refused: true, Why: "no\n\x1b[2J" + strings.Repeat("x", 5000)})
	}
	lines := strings.Split(strings.TrimSpace(string(refusals(contacts))), "\n")
	if len(lines) != mostRefusals+1 || !strings.HasPrefix(lines[0], "[refused by the fence: a0.example:443: no x") || lines[3] != "[refused by the fence: 6 hosts more]" {
		t.Errorf("%q", lines)
	}
	if n := len(strings.Join(lines, "\n")); n > 1100 {
		t.Errorf("%d bytes", n)
	}
}

// TestIndexAway: that the index did not answer is the upstream's fault, not the
// package's.
func TestIndexAway(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	t.Cleanup(s.Close)
	r := build(t, newBuild(t, None, "sd_ok", s.URL+"/simple/"))
	want := farm.Failure{Cause: farm.UpstreamFault, Detail: strings.TrimPrefix(s.URL, "http://") + ": HTTP 503"}
	if r.Failure != want {
		t.Errorf("%+v, want %+v\n%s", r.Failure, want, r.Excerpt)
	}
}

// TestHelperThatIsNone: a program that does not open the way out is our fault, with
// its own words.
func TestHelperThatIsNone(t *testing.T) {
	t.Parallel()
	bwrapOnly(t)
	b := newBuild(t, Bwrap, "sd_ok", index(t, nil))
	b.Helper = "/bin/ls"
	_, err := Run(t.Context(), b)
	if err == nil || !strings.Contains(err.Error(), "way out") || !strings.Contains(err.Error(), "unrecognized option") || strings.Contains(err.Error(), "\n") {
		t.Errorf("Run = %v", err)
	}
	nothingLeft(t, b)
}

// TestLoaderOfTheRoot: a program that needs a loader opens no way out of a root that
// does not have it, and that is said before anything is built.
func TestLoaderOfTheRoot(t *testing.T) {
	t.Parallel()
	bare := &box{mode: Bwrap, root: t.TempDir(), dir: t.TempDir()}
	err := bare.opens("/bin/ls")
	if !errors.Is(err, ErrRoot) || !strings.Contains(err.Error(), "CGO_ENABLED=0") {
		t.Errorf("in an empty root: %v", err)
	}
	if err := bare.opens("/etc/passwd"); err != nil {
		t.Errorf("what needs no loader: %v", err)
	}
	if err := (&box{mode: Bwrap, root: HostRoot}).opens("/bin/ls"); err != nil {
		t.Errorf("in the machine's own root: %v", err)
	}
}
