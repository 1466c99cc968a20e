package proxy

import (
	"net"
	"net/netip"
	"testing"
)

// TestPublic goes through IANA's special-purpose registries, both edges of each block
// and what lies beside them, and through the ways to write one address as another.
func TestPublic(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		// IPv4: this network, private use, shared address space, loopback, link-local
		"0.0.0.0": false, "0.255.255.255": false, "1.0.0.0": true,
		"9.255.255.255": true, "10.0.0.0": false, "10.255.255.255": false, "11.0.0.0": true,
		"100.63.255.255": true, "100.64.0.0": false, "100.127.255.255": false, "100.128.0.0": true,
		"126.255.255.255": true, "127.0.0.0": false, "127.0.0.1": false, "127.255.255.255": false, "128.0.0.0": true,
		"169.253.255.255": true, "169.254.0.0": false, "169.254.169.254": false, "169.254.255.255": false, "169.255.0.0": true,
		"172.15.255.255": true, "172.16.0.0": false, "172.31.255.255": false, "172.32.0.0": true,
		// IETF assignments with PCP, TURN, NAT64 discovery, and DS-Lite in them
		"191.255.255.255": true, "192.0.0.0": false, "192.0.0.9": false, "192.0.0.10": false, "192.0.0.170": false, "192.0.0.255": false, "192.0.1.0": true,
		// documentation, AS112, AMT, the old relays of 6to4, private use
		"192.0.2.0": false, "192.0.2.255": false, "192.0.3.0": true,
		"192.31.195.255": true, "192.31.196.0": false, "192.31.196.255": false, "192.31.197.0": true,
		"192.52.192.255": true, "192.52.193.0": false, "192.52.193.255": false, "192.52.194.0": true,
		"192.88.98.255": true, "192.88.99.0": false, "192.88.99.255": false, "192.88.100.0": true,
		"192.167.255.255": true, "192.168.0.0": false, "192.168.255.255": false, "192.169.0.0": true,
		"192.175.47.255": true, "192.175.48.0": false, "192.175.48.255": false, "192.175.49.0": true,
		// benchmarking, documentation, multicast, reserved, broadcast
		"198.17.255.255": true, "198.18.0.0": false, "198.19.255.255": false, "198.20.0.0": true,
		"198.51.99.255": true, "198.51.100.0": false, "198.51.100.255": false, "198.51.101.0": true,
		"203.0.112.255": true, "203.0.113.0": false, "203.0.113.255": false, "203.0.114.0": true,
		"223.255.255.255": true, "224.0.0.0": false, "239.255.255.255": false, "240.0.0.0": false, "255.255.255.254": false, "255.255.255.255": false,
		"8.8.8.8": true,
		// IPv6: unspecified, loopback, IPv4-compatible, -mapped and -translated
		"::": false, "::1": false, "::8.8.8.8": false, "::ffff:127.0.0.1": false, "::ffff:8.8.8.8": false, "::ffff:0:8.8.8.8": false,
		// NAT64: as what it stands for; its local prefix never
		"64:ff9b::8.8.8.8": true, "64:ff9b::127.0.0.1": false, "64:ff9b::10.0.0.1": false, "64:ff9b::169.254.169.254": false,
		"64:ff9b:0:0:1::8.8.8.8": false, "64:ff9b:1::8.8.8.8": false, "64:ff9b:1:ffff:ffff:ffff:ffff:ffff": false,
		// discard-only, dummy prefix
		"100::": false, "100::ffff": false, "100:0:0:1::1": false,
		// IETF assignments: Teredo, anycast of PCP, TURN and DNS-SD, benchmarking, AMT, AS112, ORCHID, DRIP
		"2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff": true, "2001::": false, "2001::1": false, "2001:1::1": false, "2001:1::2": false, "2001:1::3": false,
		"2001:2::1": false, "2001:3::1": false, "2001:4:112::1": false, "2001:10::1": false, "2001:20::1": false, "2001:30::1": false,
		"2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff": false, "2001:200::1": true,
		// documentation, 6to4 (of whatever address), AS112
		"2001:db7:ffff::1": true, "2001:db8::": false, "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff": false, "2001:db9::": true,
		"2001:ffff::1": true, "2002::": false, "2002:7f00:1::": false, "2002:808:808::1": false, "2003::1": true,
		"2620:4f:7fff::1": true, "2620:4f:8000::1": false, "2620:4f:8000:ffff::": false, "2620:4f:8001::": true,
		"3fff::1": false, "3fff:fff:ffff::": false, "3fff:1000::": true, "2606:4700:4700::1111": true,
		// nothing beyond global unicast: segment routing, unique-local, link-local, site-local, multicast
		"1fff:ffff::1": false, "4000::1": false, "5f00::1": false, "fc00::1": false, "fd12:3456::1": false,
		"fe80::1": false, "fe80::1%eth0": false, "febf::1": false, "fec0::1": false, "ff02::1": false, "ff0e::1": false,
		"2606:4700:4700::1111%eth0": false,
	} {
		if got := Public(netip.MustParseAddr(text)); got != want {
			t.Errorf("Public(%s) = %v, want %v", text, got, want)
		}
	}
	if Public(netip.Addr{}) {
		t.Error("the zero address is public")
	}
}

// FuzzPublic: the standard library's own notions of special addresses never
// contradict.
func FuzzPublic(f *testing.F) {
	f.Add([]byte{127, 0, 0, 1})
	f.Add([]byte(net.ParseIP("::ffff:10.0.0.1")))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, ok := netip.AddrFromSlice(b)
		if !ok || !Public(a) {
			return
		}
		if !a.IsGlobalUnicast() || a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast() {
			t.Errorf("%s is public", a)
		}
	})
}
