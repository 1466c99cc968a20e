package main

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"

	"github.com/rs/zerolog"

	"pinwheel/internal/agent"
	"pinwheel/internal/cli"
	"pinwheel/internal/pip"
	"pinwheel/internal/proxy"
)

// networks reads --allow-network and --deny-network.
func (s settings) networks() (allow, deny []netip.Prefix, err error) {
	if allow, err = readNetworks("--allow-network", s.Allow); err != nil {
		return nil, nil, err
	}
	deny, err = readNetworks("--deny-network", s.Deny)
	return allow, deny, err
}

func readNetworks(flag, list string) (networks []netip.Prefix, err error) {
	for _, text := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' }) {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, cli.Usage("%s %q: want networks such as 10.1.0.0/16, with commas between them", flag, text)
		}
		networks = append(networks, p.Masked())
	}
	return networks, nil
}

// way is the way to the network of one build, with a cache if there is a folder for it.
// While a slave works in that, there is none.
func (s settings) way(py pip.Python, log zerolog.Logger) (*proxy.Proxy, error) {
	allow, deny, err := s.networks()
	if err != nil {
		return nil, err
	}
	cfg := proxy.Config{Bundle: py.Bundle, Allow: allow, Deny: deny, ParentNames: s.Names, CacheDir: s.CacheDir, CA: s.TLSCA, Log: log}
	p, err := proxy.New(cfg)
	if errors.Is(err, proxy.ErrInUse) {
		log.Warn().Err(err).Msg("nothing is taken from the cache")
		cfg.CacheDir = ""
		p, err = proxy.New(cfg)
	}
	if err == nil {
		p.Shield(s.farmHosts()...)
	}
	return p, err
}

// farmHosts are the farm's own machines, as far as the settings and the slave of this
// state folder know of them.
func (s settings) farmHosts() []string {
	var hosts []string
	for _, text := range append(servers(s.NATSURL), agent.LastTold(s.StateDir).HTTP) {
		if u, err := url.Parse(text); err == nil && u.Hostname() != "" {
			hosts = append(hosts, u.Hostname())
		}
	}
	return hosts
}
