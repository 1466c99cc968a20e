package proxy

import "net/netip"

// special are the blocks within the addresses of hosts in which no public host is:
// IANA's special-purpose registries (RFC 6890, of IPv4 and of IPv6), with the ones
// that are routed but mean infrastructure (AS112, AMT, the anycast of PCP and TURN),
// IPv4 multicast (RFC 5771), and 6to4 and Teredo, which wrap any other address.
func special() []netip.Prefix {
	var list []netip.Prefix
	for _, s := range []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
		"192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24",
		"192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
		"224.0.0.0/4", "240.0.0.0/4",
		"2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20",
	} {
		list = append(list, netip.MustParsePrefix(s))
	}
	return list
}

// Public says whether an address is that of a host that everybody may reach. Of IPv6
// only global unicast is (2000::/3), and what stands for a public IPv4 host behind
// the well-known prefix of NAT64 (RFC 6052). An IPv4-mapped address is refused as
// such: who means IPv4 says so.
func Public(a netip.Addr) bool {
	if !a.IsValid() || a.Zone() != "" || a.Is4In6() {
		return false
	}
	if a.Is6() {
		b := a.As16()
		if nat64().Contains(a) {
			return Public(netip.AddrFrom4([4]byte(b[12:])))
		}
		if !netip.MustParsePrefix("2000::/3").Contains(a) {
			return false
		}
	}
	for _, p := range special() {
		if p.Contains(a) {
			return false
		}
	}
	return true
}
