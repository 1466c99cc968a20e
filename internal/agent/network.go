package agent

import "pinwheel/internal/proxy"

// newProxy makes the way of all builds to the network. It must hold the lock: the
// cache is one process's.
func (a *Agent) newProxy() (*proxy.Proxy, error) {
	cfg := proxy.Config{CacheDir: a.paths.cache, Allow: a.cfg.Allow, CA: a.cfg.Certs.CA()}
	for _, t := range a.cfg.Targets { // the certificates that pip here is told to trust
		if cfg.Bundle == "" {
			cfg.Bundle = t.Python.Bundle
		}
	}
	return proxy.New(cfg)
}
