package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"
)

// How long neighbours may take to answer. What is under way has no limit but its
// build's, as long as something moves.
const (
	dialWithin   = 15 * time.Second // for one address
	answerWithin = 60 * time.Second // from a request to its answer's head
	stallAfter   = 60 * time.Second // between two pieces of a body
)

// Resolver looks names up; *net.Resolver is one. It gives at least one address, or
// an error.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// errForbidden says that a build may not go there.
var errForbidden = errors.New("builds may not reach it")

// resolve gives the addresses of a host, as they are dialled.
func (p *Proxy) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	addrs, err := p.cfg.Resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	for i, a := range addrs {
		addrs[i] = a.Unmap() // resolvers write IPv4 in either form
	}
	return addrs, nil
}

// reachable says whether an address is one that the files of an index may lie at: not
// denied, and allowed or public and none of this machine's or its neighbours. When in
// doubt, it is not.
func (p *Proxy) reachable(a netip.Addr) bool {
	in := func(list []netip.Prefix) bool {
		return slices.ContainsFunc(list, func(n netip.Prefix) bool { return n.Contains(a.Unmap()) })
	}
	if in(p.cfg.Deny) {
		return false
	}
	if in(p.cfg.Allow) {
		return true
	}
	links, err := p.cfg.Links()
	return err == nil && Public(a) && !near(a, links)
}

// outside says whether builds may reach an address: the farm's own machines are for
// them only if they are allowed by name.
func (p *Proxy) outside(ctx context.Context, a netip.Addr) bool {
	if !p.reachable(a) {
		return false
	}
	allowed := slices.ContainsFunc(p.cfg.Allow, func(n netip.Prefix) bool { return n.Contains(a.Unmap()) })
	return allowed || !p.farm.has(ctx, a, p.resolve)
}

// dialOutside connects to host:port if that is outside. What is judged is the very
// address that is dialled, so a name that changes its mind gains nothing.
func (p *Proxy) dialOutside(ctx context.Context, _, hostport string) (net.Conn, error) {
	return p.dial(ctx, hostport, func(a netip.Addr) bool { return p.outside(ctx, a) })
}

// dial connects to the first address of hostport that is allowed and answers.
func (p *Proxy) dial(ctx context.Context, hostport string, allowed func(netip.Addr) bool) (net.Conn, error) {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return nil, err
	}
	addrs, err := p.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	err = fmt.Errorf("%s has no address", host)
	for _, a := range addrs {
		if !allowed(a) {
			err = forbid("%s is %s", host, a)
			continue
		}
		c, e := p.connect(ctx, "tcp", net.JoinHostPort(a.String(), port))
		if e == nil {
			return c, nil
		}
		err = e
	}
	return nil, err
}

func isForbidden(err error) bool { return errors.Is(err, errForbidden) }
