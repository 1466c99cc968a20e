package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"pinwheel/internal/farm"
)

func prefixes(texts ...string) (list []netip.Prefix) {
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

// Routes as Linux writes them: a default by a gateway, the networks of eth0 and of a
// tunnel, and one that is refused.
const (
	routes4 = `Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	0101D05D	0003	0	0	100	00000000	0	0	0
eth0	0001D05D	00000000	0001	0	0	100	00FFFFFF	0	0	0
wg0	00000000	00000000	0001	0	0	0	00000080	0	0	0
eth0	0002D05D	0101D05D	0003	0	0	100	00FFFFFF	0	0	0
`
	routes6 = `2a000098000800010000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000002 00000000 00000003     eth0
20000000000000000000000000000000 03 00000000000000000000000000000000 00 00000000000000000000000000000000 00000400 00000002 00000000 00000001      wg0
2a000098000900000000000000000000 30 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000002 00000000 00000003     eth0
2a0000980008000100000000000000aa 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000000 00000002 00000000 80200001     eth0
`
)

// TestNear: neighbours on the link are not outside, though their addresses are public:
// by the interface's own prefix, or only by a route. Who is behind a gateway, or a line
// to one other end, is.
func TestNear(t *testing.T) {
	t.Parallel()
	faces := []face{
		{name: "lo", addrs: prefixes("127.0.0.1/8", "::1/128")},
		{name: "eth0", addrs: prefixes("93.208.1.7/24", "2a00:98:8:1::aa/128", "fe80::1/64")}, // by DHCPv6
		{name: "eth1", addrs: prefixes("2a00:98:7:3::1/64")},                                  // no route to be seen
		{name: "wg0", point: true, addrs: prefixes("45.9.9.2/24", "2a00:98:a::2/64")},
	}
	links := linksOf(faces, routes4, routes6)
	for text, want := range map[string]bool{
		"93.208.1.7": true, "93.208.1.8": true, "93.208.1.255": true, "93.208.2.1": false, "93.208.0.255": false,
		"2a00:98:8:1::aa": true, "2a00:98:8:1::bb": true, "2a00:98:8:1:ffff:ffff:ffff:ffff": true, "2a00:98:8:2::1": false,
		"2a00:98:7:3::99": true, "2a00:98:7:4::1": false, "2a00:98:9::1": false,
		"45.9.9.2": true, "45.9.9.3": false, "2a00:98:a::2": true, "2a00:98:a::3": false,
		"64:ff9b::93.208.1.8": true, "64:ff9b::93.208.2.1": false,
		"8.8.8.8": false, "2606:4700:4700::1111": false, "127.0.0.1": true, "::1": true,
	} {
		if got := near(netip.MustParseAddr(text), links); got != want {
			t.Errorf("near(%s) = %v, want %v", text, got, want)
		}
	}
	if own, err := ownLinks(); err != nil || !near(netip.MustParseAddr("127.0.0.1"), own) || near(netip.MustParseAddr("8.8.8.8"), own) {
		t.Errorf("this machine's own: %v, %v", own, err)
	}
}

func FuzzRoutes(f *testing.F) {
	f.Add(routes4, routes6)
	f.Add("eth0 zz 0 1 0 0 0 ffffffff", "00 200 0 0 0 0 0 0 1 eth0")
	f.Fuzz(func(t *testing.T, r4, r6 string) {
		for _, p := range linksOf(nil, r4, r6) {
			if !p.IsValid() || p.Bits() == 0 {
				t.Errorf("%v", p)
			}
		}
	})
}

// outer is a proxy on a machine with public addresses that dials nobody: where it would
// have connected is what it says.
func outer(t *testing.T, cfg Config) (*Proxy, func() string) {
	t.Helper()
	dialled := ""
	if cfg.Links == nil {
		cfg.Links = func() ([]netip.Prefix, error) { return prefixes("93.208.1.0/24", "2a00:98:8:1::/64"), nil }
	}
	p := newProxy(t, cfg)
	p.connect = func(_ context.Context, _, address string) (net.Conn, error) {
		dialled = address
		return nil, io.EOF
	}
	p.out = p.newWay(p.dialOutside, p.judgeBuild)
	return p, func() string { was := dialled; dialled = ""; return was }
}

// TestNeighboursAndFarm: what a build asks for by CONNECT, and where that leads.
func TestNeighboursAndFarm(t *testing.T) {
	t.Parallel()
	resolver := names{"neighbour.example": "2a00:98:8:1::5", "nats.example": "94.130.1.1", "site.example": "2a00:98:77::1",
		"alias.example": "94.130.1.1", "out.example": "94.130.1.2", "house.example": "10.1.2.3"}
	p, dialled := outer(t, Config{Resolver: resolver, Allow: prefixes("10.1.0.0/16"), Deny: prefixes("94.130.7.0/24", "10.1.9.0/24")})
	p.Shield("NATS.example.", "site.example", "94.130.3.3")
	for host, want := range map[string]string{
		"93.208.1.9:22": "", "[2a00:98:8:1::5]:22": "", "neighbour.example:443": "", "[64:ff9b::93.208.1.9]:443": "",
		"nats.example:4222": "", "alias.example:5432": "", "94.130.1.1:22": "", "[64:ff9b::94.130.1.1]:22": "",
		"site.example:443": "", "[2a00:98:77::1]:80": "", "94.130.3.3:443": "",
		"94.130.7.8:443": "", "10.1.9.1:80": "", "house.example:80": "10.1.2.3:80",
		"out.example:443": "94.130.1.2:443", "[2a00:98:77::2]:443": "[2a00:98:77::2]:443",
	} {
		_, err := p.tunnel(t.Context(), host)
		if got := dialled(); got != want || (want == "") != isForbidden(err) {
			t.Errorf("%s: dialled %q (%v), want %q", host, got, err, want)
		}
	}
	p.cfg.Links = func() ([]netip.Prefix, error) { return nil, errors.New("cannot tell") }
	if _, err := p.tunnel(t.Context(), "out.example:443"); !isForbidden(err) || dialled() != "" {
		t.Errorf("not knowing its neighbours, the proxy lets a build out: %v", err)
	}
}

// TestFarmIsRemembered: its addresses stay known when its name is not, and go when it is
// elsewhere.
func TestFarmIsRemembered(t *testing.T) {
	t.Parallel()
	resolver := names{"nats.example": "94.130.1.1"}
	p, dialled := outer(t, Config{Resolver: resolver})
	p.Shield("nats.example")
	refused := func(want bool) {
		t.Helper()
		if _, err := p.tunnel(t.Context(), "94.130.1.1:22"); isForbidden(err) != want || (dialled() == "") != want {
			t.Errorf("%v, want refused: %v", err, want)
		}
	}
	refused(true)
	delete(resolver, "nats.example")
	p.Shield("nats.example", "more.example")
	for h, r := range p.farm.hosts {
		r.until = r.until.Add(-2 * resolvedFor)
		p.farm.hosts[h] = r
	}
	refused(true)
	p.Shield("elsewhere.example")
	refused(false)
}

// TestFarmAsIndex: builds come to the farm by its index all the same, and to files that
// it lists.
func TestFarmAsIndex(t *testing.T) {
	t.Parallel()
	s := newServer(t, indexOf(nil), false)
	p := newProxy(t, Config{})
	p.Shield("127.0.0.1")
	b := newBuild(t, p, farm.NetworkPublic, Index{"farm", s.URL + "/simple/"})
	code, page := b.get(IndexPath("farm") + "foo/")
	if code != http.StatusOK {
		t.Fatalf("%d %s", code, page)
	}
	if code, text := b.get(href(t, page, "foo-1.tar.gz")); code != http.StatusOK || text != "the sdist" {
		t.Errorf("%d %s", code, text)
	}
}

// TestParent: with a proxy of the machine's own, which resolves names itself, all that
// can be judged here is judged before it is asked. Names that do not resolve here are
// refused, unless somebody chose to trust it with them.
func TestParent(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 1)
	parent := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Host
		if r.Method == http.MethodGet {
			fmt.Fprint(w, "from afar")
			return
		}
		w.WriteHeader(http.StatusTeapot) // the tunnel itself is of no interest
	}, false)
	to, err := url.Parse(parent.URL)
	must(t, err)
	resolver := names{"out.example": "94.130.1.2", "inside.example": "10.0.0.1", "nats.example": "94.130.1.1"}
	for _, trust := range []bool{false, true} {
		p := newProxy(t, Config{Resolver: resolver, ParentNames: trust,
			Links:  func() ([]netip.Prefix, error) { return prefixes("93.208.1.0/24"), nil },
			Parent: func(*http.Request) (*url.URL, error) { return to, nil }})
		p.Shield("nats.example", "hidden-nats.example")
		for host, want := range map[string]bool{
			"out.example": true, "94.130.1.2": true, "unknown.example": trust, "Unknown.example.": trust, "xn--bcher-kva.example": trust,
			"inside.example": false, "nats.example": false, "94.130.1.1": false, "hidden-nats.example": false, "93.208.1.9": false,
			"10.0.0.1": false, "127.0.0.1": false, "[::1]": false, "[::ffff:10.0.0.1]": false, "[fe80::1%25eth0]": false,
			"127.1": false, "2130706433": false, "0x7f000001": false, "0x7f.1": false, "0177.0.0.1": false, "127.0.0.1.": false,
			"010.0.0.1": false, "10.0.0.0x1": false, "10.0.0.１": false, "１0.0.0.1": false, "a..b": false, "a%2eb": false, "0x": false,
		} {
			for _, ask := range []func() error{
				func() error { _, err := p.tunnel(t.Context(), host+":443"); return err },
				func() error {
					r := &http.Request{Method: http.MethodGet, URL: &url.URL{Scheme: "http", Host: host, Path: "/"}, Header: http.Header{}}
					resp, err := p.out.RoundTrip(r.WithContext(t.Context()))
					if err == nil {
						resp.Body.Close()
					}
					return err
				},
			} {
				err := ask()
				came := ""
				select {
				case came = <-asked:
				default:
				}
				unknown := strings.Contains(strings.ToLower(host), "unknown") || strings.HasPrefix(host, "xn--")
				if (came != "") != want || !want && (err == nil || isForbidden(err) == unknown) {
					t.Errorf("trust %v: %s: the parent was asked for %q (%v), want %v", trust, host, came, err, want)
				}
			}
		}
	}
}

// TestParentFiles: the files of an index come through the parent also where no name
// resolves here, as pip's would; numbers lead nowhere.
func TestParentFiles(t *testing.T) {
	t.Parallel()
	parent := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/simple/") {
			fmt.Fprint(w, "a file from "+r.Host)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, `<a href="http://files.example/far-1.zip"></a><a href="http://0x7f.1/near-1.zip"></a><a href="http://10.0.0.1/in-1.zip"></a>`)
	}, false)
	to, err := url.Parse(parent.URL)
	must(t, err)
	p := newProxy(t, Config{Resolver: names{}, Parent: func(*http.Request) (*url.URL, error) { return to, nil }})
	b := newBuild(t, p, farm.NetworkPublic, Index{"upstream", "http://index.example/simple/"})
	_, page := b.get("/upstream/simple/foo/")
	for name, want := range map[string]int{"far-1.zip": 200, "near-1.zip": 403, "in-1.zip": 403} {
		if code, text := b.get(href(t, page, name)); code != want {
			t.Errorf("%s: %d %s", name, code, text)
		}
	}
}
