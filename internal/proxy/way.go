package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"pinwheel/internal/certs"
)

type dialer func(ctx context.Context, network, hostport string) (net.Conn, error)

// way carries requests out: directly, where the dialer judges each address, or
// through the machine's own proxy, which resolves the names. For the latter a host is
// judged by what can be found out here.
type way struct {
	p           *Proxy
	direct, via *certs.Transport
}

func (p *Proxy) newWay(direct dialer) *way {
	return &way{p: p, direct: p.transport(direct, nil), via: p.transport(p.connect, p.cfg.Parent)}
}

func (w *way) close() {
	w.direct.CloseIdleConnections()
	w.via.CloseIdleConnections()
}

// RoundTrip implements http.RoundTripper.
func (w *way) RoundTrip(r *http.Request) (*http.Response, error) {
	parent, err := w.p.cfg.Parent(r)
	if err != nil {
		return nil, err
	}
	if parent == nil {
		return w.direct.RoundTrip(r)
	}
	if err := w.p.judge(r.Context(), r.URL.Hostname()); err != nil {
		return nil, err
	}
	return w.via.RoundTrip(r)
}

// judge refuses a host of which all that is known here is not outside. A name that
// only the machine's own proxy can resolve is left to it.
func (p *Proxy) judge(ctx context.Context, host string) error {
	addrs, err := p.resolve(ctx, host)
	if err != nil {
		return nil
	}
	for _, a := range addrs {
		if p.outside(a) {
			return nil
		}
		err = fmt.Errorf("%w: %s is %s", errForbidden, host, a)
	}
	return err
}

// tunnel opens a connection to host:port for CONNECT.
func (p *Proxy) tunnel(ctx context.Context, hostport string) (net.Conn, error) {
	parent, err := p.cfg.Parent(&http.Request{URL: &url.URL{Scheme: "https", Host: hostport}})
	if err != nil {
		return nil, err
	}
	if parent == nil {
		return p.dialOutside(ctx, "tcp", hostport)
	}
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		return nil, err
	}
	if err := p.judge(ctx, host); err != nil {
		return nil, err
	}
	c, err := p.dialParent(ctx, parent)
	if err != nil {
		return nil, err
	}
	t, err := askParent(c, parent, hostport)
	if err != nil {
		c.Close()
		return nil, err
	}
	return t, nil
}

func (p *Proxy) dialParent(ctx context.Context, parent *url.URL) (net.Conn, error) {
	d := &net.Dialer{Timeout: dialWithin}
	switch parent.Scheme {
	case "http":
		return d.DialContext(ctx, "tcp", withPort(parent))
	case "https":
		return (&tls.Dialer{NetDialer: d, Config: p.certs.Client()}).DialContext(ctx, "tcp", withPort(parent))
	}
	return nil, fmt.Errorf("this machine's proxy %s: builds cannot go through one of that kind; want http or https", parent.Redacted())
}

// askParent has the parent connect c to hostport.
func askParent(c net.Conn, parent *url.URL, hostport string) (net.Conn, error) {
	r := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: hostport}, Host: hostport, Header: http.Header{}}
	if u := parent.User; u != nil {
		password, _ := u.Password()
		r.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(u.Username()+":"+password)))
	}
	if err := errors.Join(c.SetDeadline(time.Now().Add(answerWithin)), r.Write(c)); err != nil {
		return nil, err
	}
	read := bufio.NewReader(c)
	resp, err := http.ReadResponse(read, r)
	if err != nil {
		return nil, fmt.Errorf("ask this machine's proxy: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("this machine's proxy says %s", resp.Status)
	}
	return &readAhead{Conn: c, r: read}, c.SetDeadline(time.Time{})
}

// readAhead is a connection of which some was read already.
type readAhead struct {
	net.Conn
	r io.Reader
}

func (c *readAhead) Read(p []byte) (int, error) { return c.r.Read(p) }

// withPort is a URL's host:port.
func withPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}
