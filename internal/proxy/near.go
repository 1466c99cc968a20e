package proxy

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// near says whether an address lies on one of the machine's links, or is its own. IPv4
// behind the prefix of NAT64 is as near as itself.
func near(a netip.Addr, links []netip.Prefix) bool {
	if nat64().Contains(a) {
		b := a.As16()
		a = netip.AddrFrom4([4]byte(b[12:]))
	}
	return slices.ContainsFunc(links, func(p netip.Prefix) bool { return p.Contains(a) })
}

// nat64 is the well-known prefix (RFC 6052).
func nat64() netip.Prefix { return netip.MustParsePrefix("64:ff9b::/96") }

// face is one network interface of a machine.
type face struct {
	name  string
	point bool           // a line to one other end: what is routed through it may be anywhere
	addrs []netip.Prefix // its addresses, with the networks that they are in
}

// ownLinks are the networks that this machine's interfaces are in, its own addresses
// among them, and those that it reaches without a gateway: an address that DHCPv6 gave
// tells nothing of its network, but the route does.
func ownLinks() ([]netip.Prefix, error) {
	list, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list this machine's networks: %w", err)
	}
	var faces []face
	for _, i := range list {
		f := face{name: i.Name, point: i.Flags&net.FlagPointToPoint != 0}
		addrs, err := i.Addrs()
		if err != nil {
			return nil, fmt.Errorf("list the addresses of %s: %w", i.Name, err)
		}
		for _, addr := range addrs {
			if p, err := netip.ParsePrefix(addr.String()); err == nil {
				f.addrs = append(f.addrs, p)
			}
		}
		faces = append(faces, f)
	}
	var routes [2]string
	for i, path := range []string{"/proc/net/route", "/proc/net/ipv6_route"} {
		text, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // without IPv6 there is none
			return nil, fmt.Errorf("read this machine's routes: %w", err)
		}
		routes[i] = string(text)
	}
	return linksOf(faces, routes[0], routes[1]), nil
}

// linksOf puts together what lies on the links of a machine with these interfaces and
// tables of routes, as the kernel writes those.
func linksOf(faces []face, routes4, routes6 string) []netip.Prefix {
	var links []netip.Prefix
	points := map[string]bool{}
	for _, f := range faces {
		points[f.name] = f.point
		for _, p := range f.addrs {
			own := netip.PrefixFrom(p.Addr().Unmap(), p.Addr().Unmap().BitLen())
			links = append(links, own)
			if !f.point && p.Bits() > 0 {
				links = append(links, p.Masked())
			}
		}
	}
	for line := range strings.Lines(routes4) {
		if name, p, ok := route4(line); ok && !points[name] {
			links = append(links, p)
		}
	}
	for line := range strings.Lines(routes6) {
		if name, p, ok := route6(line); ok && !points[name] {
			links = append(links, p)
		}
	}
	return links
}

// Of a route, as the kernel writes it (linux/route.h).
const (
	routeUp      = 0x1
	routeGateway = 0x2
	routeReject  = 0x200
)

// leadsToLink says whether a route leads to neighbours.
func leadsToLink(flags uint64) bool {
	return flags&routeUp != 0 && flags&(routeGateway|routeReject) == 0
}

// route4 reads a line of /proc/net/route: name, destination, gateway, flags, …, mask, in
// hex of the machine's byte order. All that Linux runs Go on here is little-endian.
func route4(line string) (name string, p netip.Prefix, ok bool) {
	f := strings.Fields(line)
	if len(f) < 8 {
		return "", p, false
	}
	to, err1 := strconv.ParseUint(f[1], 16, 32)
	flags, err2 := strconv.ParseUint(f[3], 16, 32)
	mask, err3 := strconv.ParseUint(f[7], 16, 32)
	if errors.Join(err1, err2, err3) != nil || !leadsToLink(flags) || mask == 0 {
		return "", p, false
	}
	b := func(n uint64) [4]byte { return [4]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)} }
	m := b(mask)
	ones, _ := net.IPMask(m[:]).Size()
	p, err := netip.AddrFrom4(b(to)).Prefix(ones)
	return f[0], p, err == nil && ones > 0
}

// route6 reads a line of /proc/net/ipv6_route: destination, its length, source, its
// length, next hop, metric, counts, flags, name.
func route6(line string) (name string, p netip.Prefix, ok bool) {
	f := strings.Fields(line)
	if len(f) < 10 {
		return "", p, false
	}
	to, err1 := hex.DecodeString(f[0])
	bits, err2 := strconv.ParseUint(f[1], 16, 8)
	flags, err3 := strconv.ParseUint(f[8], 16, 32)
	a, whole := netip.AddrFromSlice(to)
	if errors.Join(err1, err2, err3) != nil || !whole || !leadsToLink(flags) || bits == 0 {
		return "", p, false
	}
	p, err := a.Prefix(int(bits))
	return f[9], p, err == nil
}
