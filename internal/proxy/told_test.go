package proxy

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"pinwheel/internal/farm"
)

// house is a resolver that tells where it was asked, as the system's does.
type house struct{ names }

func (h house) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	switch host {
	case "gone.example":
		return nil, &net.DNSError{Err: "no such host", Name: host, Server: "10.255.255.53:53", IsNotFound: true}
	case "late.example":
		return nil, &net.DNSError{Err: "read udp 10.255.255.7:4321->10.255.255.53:53: i/o timeout", Name: host, Server: "10.255.255.53:53", IsTimeout: true}
	}
	return h.names.LookupNetIP(ctx, network, host)
}

// TestToldNoAddress: what names of the house resolve to, and where they are looked up, no
// build learns by asking, nor who reads its record; the slave's log has it.
func TestToldNoAddress(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	p := newProxy(t, Config{Resolver: house{names{"vm.example": "10.255.255.9", "mirror.example": "10.77.0.1", "master.example": "9.9.9.9"}},
		Allow: []netip.Prefix{netip.MustParsePrefix("10.77.0.0/16")}, Log: zerolog.New(&log)})
	p.connect = func(_ context.Context, network, address string) (net.Conn, error) {
		a, err := net.ResolveTCPAddr(network, address)
		must(t, err)
		return nil, &net.OpError{Op: "dial", Net: network, Addr: a, Err: io.ErrUnexpectedEOF}
	}
	p.out = p.newWay(p.dialOutside, p.judgeBuild)
	p.Shield("master.example")
	b := newBuild(t, p, farm.NetworkPublic)
	want := map[string]string{"vm.example": "builds may not reach it", "gone.example": "it does not resolve", "late.example": "it could not be looked up",
		"mirror.example": "unexpected EOF", "master.example": "builds may not reach it"}
	for host, why := range want {
		if said := b.connect(host + ":80"); said != "pinwheel: "+why+"\n" {
			t.Errorf("CONNECT %s says %q", host, said)
		}
		resp, err := b.client().Get("http://" + host + "/")
		must(t, err)
		said, err := io.ReadAll(resp.Body)
		must(t, err)
		resp.Body.Close()
		if string(said) != "pinwheel: "+why+"\n" {
			t.Errorf("GET http://%s/ says %q", host, said)
		}
	}
	got := map[string]string{}
	for _, c := range b.Close().Contacts {
		got[strings.TrimSuffix(c.Host, ":80")] = c.Why
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the record (-want +got):\n%s", diff)
	}
	for _, known := range []string{"vm.example is 10.255.255.9", "on 10.255.255.53:53: no such host", "10.255.255.7:4321", "dial tcp 10.77.0.1:80", "9.9.9.9"} {
		if !strings.Contains(log.String(), known) {
			t.Errorf("the log does not tell %q:\n%s", known, &log)
		}
	}
}

// connect asks for a tunnel, and gives the body of what is said instead.
func (b *build) connect(hostport string) string {
	b.t.Helper()
	c, err := net.Dial("tcp", b.addr)
	must(b.t, err)
	defer c.Close()
	r := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: hostport}, Host: hostport, Header: http.Header{"Connection": {"close"}}}
	must(b.t, r.Write(c))
	said, err := io.ReadAll(c)
	must(b.t, err)
	_, body, _ := strings.Cut(string(said), "\r\n\r\n")
	return body
}

// TestToldNoParent: where this machine's own proxy is, no build learns when it is away.
func TestToldNoParent(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	away := &url.URL{Scheme: "http", Host: "127.0.0.1:1"}
	p := newProxy(t, Config{Resolver: names{"mirror.example": "10.77.0.1"}, Allow: []netip.Prefix{netip.MustParsePrefix("10.77.0.0/16")},
		Parent: func(*http.Request) (*url.URL, error) { return away, nil }, Log: zerolog.New(&log)})
	b := newBuild(t, p, farm.NetworkPublic, Index{"upstream", "http://mirror.example/simple/"})
	const want = "this machine's proxy cannot be reached"
	if said := b.connect("mirror.example:443"); said != "pinwheel: "+want+"\n" {
		t.Errorf("CONNECT says %q", said)
	}
	resp, err := b.client().Get("http://mirror.example/")
	must(t, err)
	defer resp.Body.Close()
	if said, err := io.ReadAll(resp.Body); err != nil || string(said) != "pinwheel: "+want+"\n" {
		t.Errorf("GET says %q, %v", said, err)
	}
	if code, text := b.get("/upstream/simple/foo/"); code == http.StatusOK {
		t.Errorf("the index says %q", text)
	}
	taken := b.Close()
	for _, c := range taken.Contacts {
		if c.Why != want {
			t.Errorf("the record says of %s %q", c.Host, c.Why)
		}
	}
	if taken.Fault != "mirror.example: "+want {
		t.Errorf("the fault is %q", taken.Fault)
	}
	if n := strings.Count(log.String(), "127.0.0.1:1"); n < 3 || !strings.Contains(log.String(), "an index did not answer a build") {
		t.Errorf("the log does not tell where it is:\n%s", &log)
	}
}
