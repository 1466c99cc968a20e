package proxy

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"pinwheel/internal/certs"
)

// Config is the manual of New. The zero Config is a proxy without a cache.
type Config struct {
	CacheDir  string         // of files from indexes, made if need be, nobody else's; empty: no cache
	CacheSize int64          // bytes that the cache may take; 0 is DefaultCacheSize
	Bundle    string         // file of certificates that are trusted beside the system's, PEM; empty: none
	CA        string         // file of authorities that are trusted beside those, PEM; empty: none
	Allow     []netip.Prefix // networks that builds may reach although they are not public
	Deny      []netip.Prefix // networks that they may not reach in any case

	// KeepFree is what the cache leaves of its disk, in bytes; 0 is DefaultKeepFree.
	// Statfs asks for that; nil is statfs(2).
	KeepFree int64
	Statfs   func(dir string, st *syscall.Statfs_t) error

	// Log tells the operator what builds are not told: which addresses they wanted. Zero:
	// nobody is.
	Log zerolog.Logger

	// Links are the networks of this machine's neighbours and its own addresses; nil
	// asks the machine.
	Links func() ([]netip.Prefix, error)

	// Resolver looks names up; nil is the system's.
	Resolver Resolver
	// Parent is the proxy by which this machine itself gets out to a request's
	// URL; nil is http.ProxyFromEnvironment. Names are then resolved there.
	// ParentNames has it asked for names that do not resolve here.
	Parent      func(*http.Request) (*url.URL, error)
	ParentNames bool
}

const (
	DefaultCacheSize = 2 << 30   // holds the build requirements of thousands of packages
	DefaultKeepFree  = 256 << 20 // is a build of some size
)

// Proxy serves builds, one after another or at once. It holds no connection and runs
// no goroutine while there is no build, but for connections to indexes that are kept
// for some seconds.
type Proxy struct {
	cfg   Config
	certs *certs.Certs // whom it trusts
	cache *cache       // nil: none
	out   *way         // to all but the indexes

	connect dialer // to one address; tests look at which
	farm    farmHosts

	mu      sync.Mutex
	origins map[string]*origin // by URL, credentials included
}

// New makes a proxy and looks through its cache's folder. The error names what is
// wrong with the settings.
func New(cfg Config) (*Proxy, error) {
	if cfg.Resolver == nil {
		cfg.Resolver = net.DefaultResolver
	}
	if cfg.Parent == nil {
		cfg.Parent = http.ProxyFromEnvironment
	}
	if cfg.Links == nil {
		cfg.Links = ownLinks
	}
	p := &Proxy{cfg: cfg, origins: map[string]*origin{}, connect: (&net.Dialer{Timeout: dialWithin}).DialContext}
	var err error
	if p.certs, err = certs.Open(certs.Files{CA: cfg.CA, Bundle: cfg.Bundle, Beside: true}, time.Now, zerolog.Nop()); err != nil {
		return nil, err
	}
	if cfg.CacheDir != "" {
		if p.cache, err = openCache(cfg); err != nil {
			return nil, err
		}
	}
	p.out = p.newWay(p.dialOutside, p.judgeBuild)
	return p, nil
}

// Close ends the connections that are kept. Doors are to be closed before.
func (p *Proxy) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out.close()
	for _, o := range p.origins {
		o.close()
	}
	if p.cache != nil {
		p.cache.close()
	}
}

// Spare has the cache give up what was not used for longest until its disk has
// Config.KeepFree again, or nothing is left of it.
func (p *Proxy) Spare() error {
	if p.cache == nil {
		return nil
	}
	return p.cache.spare(0)
}

// origin gives the one of a URL: connections are shared by all builds.
func (p *Proxy) origin(index string) (*origin, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if o := p.origins[index]; o != nil {
		return o, nil
	}
	o, err := p.newOrigin(index)
	if err != nil {
		return nil, err
	}
	p.origins[index] = o
	return o, nil
}

// transport is what requests go out by: directly, through dial, or by the parent.
func (p *Proxy) transport(dial dialer, parent func(*http.Request) (*url.URL, error)) *certs.Transport {
	return p.certs.Transport(func(trust *tls.Config) *http.Transport {
		return &http.Transport{
			DialContext: dial, Proxy: parent, TLSClientConfig: trust,
			ForceAttemptHTTP2:   false, // the slave is linked without it (Makefile)
			TLSHandshakeTimeout: dialWithin, ResponseHeaderTimeout: answerWithin,
			IdleConnTimeout: 30 * time.Second, MaxIdleConnsPerHost: 8,
		}
	})
}

// errSettings says what of a door's settings cannot be.
var errSettings = errors.New("not the URL of an index")
