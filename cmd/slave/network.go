package main

import (
	"net/netip"
	"strings"

	"pinwheel/internal/cli"
	"pinwheel/internal/pip"
	"pinwheel/internal/proxy"
)

// allowed reads --allow-network.
func (s settings) allowed() ([]netip.Prefix, error) {
	var list []netip.Prefix
	for _, text := range strings.FieldsFunc(s.Allow, func(r rune) bool { return r == ',' || r == ' ' }) {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, cli.Usage("--allow-network %q: want networks such as 10.1.0.0/16, with commas between them", text)
		}
		list = append(list, p.Masked())
	}
	return list, nil
}

// way is the way to the network of one build, without a cache: it would not outlive
// the build.
func (s settings) way(py pip.Python) (*proxy.Proxy, error) {
	allow, err := s.allowed()
	if err != nil {
		return nil, err
	}
	return proxy.New(proxy.Config{Bundle: py.Bundle, Allow: allow, CA: s.TLSCA})
}
