package agent

import (
	"net/url"

	"pinwheel/internal/bus"
	"pinwheel/internal/proxy"
)

// newProxy makes the way of all builds to the network. It must hold the lock: the
// cache is one process's.
func (a *Agent) newProxy() (*proxy.Proxy, error) {
	cfg := proxy.Config{
		CacheDir: a.paths.cache, KeepFree: a.cfg.Fitness.enoughDisk(), Statfs: a.cfg.Sensors.DiskUsage,
		Allow: a.cfg.Allow, Deny: a.cfg.Deny, ParentNames: a.cfg.ProxyNames, CA: a.cfg.Certs.CA(), Log: a.log,
	}
	for _, t := range a.cfg.Targets { // the certificates that pip here is told to trust
		if cfg.Bundle == "" {
			cfg.Bundle = t.Python.Bundle
		}
	}
	return proxy.New(cfg)
}

// spare has the cache make room when the disk is short: before anything else is
// concluded from that.
func (a *Agent) spare() {
	if a.cfg.Sensors.DiskFree(a.paths.build) >= a.cfg.Fitness.enoughDisk() {
		return
	}
	if err := a.proxy.Spare(); err != nil {
		a.log.Warn().Err(err).Msg("the disk is short, and the cache cannot be made smaller")
	}
}

// farmHosts are the farm's own machines, which builds reach by its index only.
func (a *Agent) farmHosts(w bus.Welcome) []string {
	hosts := a.cfg.Conn.Hosts()
	for _, text := range []string{w.HTTP, w.Index} {
		if u, err := url.Parse(text); err == nil && u.Hostname() != "" {
			hosts = append(hosts, u.Hostname())
		}
	}
	return hosts
}
