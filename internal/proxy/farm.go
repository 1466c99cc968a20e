package proxy

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// farmHosts are the machines of the farm itself: where its NATS server and its site
// are, there may be more that is not for builds, also on public addresses.
type farmHosts struct {
	mu    sync.Mutex
	hosts map[string]resolved
}

// resolved are the addresses of a host as they were at a time. Those of before stay
// when it cannot be looked up.
type resolved struct {
	addrs []netip.Addr
	until time.Time
}

// resolvedFor is how long the addresses of a host of the farm are taken for right.
const resolvedFor = time.Minute

// Shield keeps builds from these hosts, names or addresses, whatever ports; those of an
// earlier call count no more. An index there is reached as an index all the same.
func (p *Proxy) Shield(hosts ...string) {
	f := &p.farm
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.hosts
	f.hosts = map[string]resolved{}
	for _, h := range hosts {
		h = strings.ToLower(strings.TrimSuffix(h, "."))
		f.hosts[h] = before[h]
	}
}

// names says whether a host is called as one of the farm.
func (f *farmHosts) named(host string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.hosts[strings.ToLower(strings.TrimSuffix(host, "."))]
	return ok
}

// has says whether an address is that of a machine of the farm.
func (f *farmHosts) has(ctx context.Context, a netip.Addr, resolve func(context.Context, string) ([]netip.Addr, error)) bool {
	f.mu.Lock()
	var stale []string
	for h, r := range f.hosts {
		if time.Now().After(r.until) {
			stale = append(stale, h)
		}
	}
	f.mu.Unlock()
	for _, h := range stale {
		addrs, err := resolve(ctx, h)
		f.mu.Lock()
		if r, ok := f.hosts[h]; ok && err == nil {
			r.addrs, r.until = addrs, time.Now().Add(resolvedFor)
			f.hosts[h] = r
		}
		f.mu.Unlock()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.hosts {
		if slices.ContainsFunc(r.addrs, func(b netip.Addr) bool {
			return near(a, []netip.Prefix{netip.PrefixFrom(b.Unmap(), b.Unmap().BitLen())})
		}) {
			return true
		}
	}
	return false
}
