package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// origin is an index that an operator chose, wherever it lies: its host is reached
// also on loopback and in private networks, with the credentials of its URL, which
// stay here.
type origin struct {
	*way
	base   *url.URL // ends in a slash; without credentials
	user   *url.Userinfo
	client *http.Client
}

func (p *Proxy) newOrigin(index string) (*origin, error) {
	u, err := url.Parse(index)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errSettings // without the URL: it may hold a password
	}
	o := &origin{base: &url.URL{Scheme: u.Scheme, Host: u.Host, Path: strings.TrimSuffix(u.Path, "/") + "/"}, user: u.User}
	o.way = p.newWay(o.dial, p.judgeFile)
	o.client = &http.Client{Transport: o, CheckRedirect: o.redirect}
	return o, nil
}

// dial connects to the index's own host, wherever that is; to others outside; and to
// those that are where the index is, under another name.
func (o *origin) dial(ctx context.Context, _, hostport string) (net.Conn, error) {
	home := withPort(o.base)
	if hostport == home {
		return o.p.dial(ctx, hostport, func(netip.Addr) bool { return true })
	}
	return o.p.dial(ctx, hostport, func(a netip.Addr) bool { return o.p.reachable(a) || o.atHome(ctx, a, hostport) })
}

func (o *origin) atHome(ctx context.Context, a netip.Addr, hostport string) bool {
	if _, port, err := net.SplitHostPort(hostport); err != nil || port != portOf(o.base) {
		return false
	}
	addrs, err := o.p.resolve(ctx, o.base.Hostname())
	return err == nil && slices.Contains(addrs, a)
}

func portOf(u *url.URL) string {
	_, port, _ := net.SplitHostPort(withPort(u)) // withPort joined it
	return port
}

// RoundTrip implements http.RoundTripper: the credentials go to the index's own host
// and nobody else, whatever the redirects.
func (o *origin) RoundTrip(r *http.Request) (*http.Response, error) {
	if !o.isHome(r.URL) {
		return o.way.RoundTrip(r)
	}
	r = r.Clone(r.Context())
	if o.user != nil {
		password, _ := o.user.Password()
		r.SetBasicAuth(o.user.Username(), password)
	}
	parent, err := o.p.cfg.Parent(r)
	if err != nil {
		return nil, err
	}
	if parent != nil {
		return o.via.RoundTrip(r)
	}
	return o.direct.RoundTrip(r)
}

func (o *origin) isHome(u *url.URL) bool { return u.Scheme == o.base.Scheme && u.Host == o.base.Host }

const maxRedirects = 10

func (o *origin) redirect(next *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return fmt.Errorf("more than %d redirects", maxRedirects)
	}
	if last := via[len(via)-1].URL; last.Scheme == "https" && next.URL.Scheme != "https" {
		return errors.New("a redirect from https to http")
	}
	return nil
}

// get asks for u with exactly these header fields. The body's reader fails when nothing
// comes for stallAfter.
func (o *origin) get(ctx context.Context, method string, u *url.URL, header http.Header) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	r, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	r.Header = header
	resp, err := o.client.Do(r)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	stall := time.AfterFunc(stallAfter, func() { cancel(errStalled) })
	resp.Body = &body{from: resp.Body, ctx: ctx, end: cancel, stall: stall}
	return resp, nil
}

var errStalled = fmt.Errorf("nothing came for %s", stallAfter)

// body ends its request when it is closed, or when nothing comes any more.
type body struct {
	from  io.ReadCloser
	ctx   context.Context
	end   context.CancelCauseFunc
	stall *time.Timer
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	if err != nil && errors.Is(context.Cause(b.ctx), errStalled) {
		return n, errStalled
	}
	b.stall.Reset(stallAfter)
	return n, err
}

func (b *body) Close() error {
	b.stall.Stop()
	b.end(nil)
	return b.from.Close()
}
