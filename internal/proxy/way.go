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
	"net/netip"
	"net/url"
	"strings"
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
	judge       func(ctx context.Context, host string) error
}

func (p *Proxy) newWay(direct dialer, judge func(context.Context, string) error) *way {
	return &way{p: p, direct: p.transport(direct, nil), via: p.transport(p.connect, p.cfg.Parent), judge: judge}
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
	if err := w.judge(r.Context(), r.URL.Hostname()); err != nil {
		return nil, err
	}
	return w.via.RoundTrip(r)
}

// judgeBuild judges a host that a build wants to reach through the parent. The name is
// resolved once more there, so what it is told here may differ: what else the parent
// lets through is the parent's affair (decision 31).
func (p *Proxy) judgeBuild(ctx context.Context, host string) error {
	found, err := p.judge(ctx, host, func(a netip.Addr) bool { return p.outside(ctx, a) })
	switch {
	case err != nil:
		return err
	case found:
		return nil
	case p.farm.named(host):
		return forbid("%s is of the farm", host)
	case !p.cfg.ParentNames: // not forbidden: another slave may know it, or this one later
		return fmt.Errorf("%s does not resolve here, and this machine's proxy is not asked for names (--proxy-names)", host)
	}
	return nil
}

// judgeFile judges the host of a file that an index lists. Indexes are trusted as far as
// that: a name that does not resolve here is the parent's.
func (p *Proxy) judgeFile(ctx context.Context, host string) error {
	_, err := p.judge(ctx, host, p.reachable)
	return err
}

// judge refuses a host that has an address here which is not allowed, or that is no name
// and no plain address either: what other programs take for an address ("0x7f.1",
// "2130706433"). It says whether the host was found.
func (p *Proxy) judge(ctx context.Context, host string, allowed func(netip.Addr) bool) (found bool, err error) {
	if _, err := netip.ParseAddr(host); err != nil && !isName(host) {
		return false, fmt.Errorf("%w: %q is neither a name nor an address in its usual form", errForbidden, host)
	}
	addrs, err := p.resolve(ctx, host)
	if err != nil {
		return false, ctx.Err()
	}
	for _, a := range addrs {
		if !allowed(a) {
			return true, forbid("%s is %s", host, a)
		}
	}
	return len(addrs) > 0, nil
}

// isName says whether a host is a name and nothing else to anybody: letters, digits and
// hyphens of ASCII, and a last label that is no number.
func isName(host string) bool {
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	for _, l := range labels {
		if l == "" || strings.Trim(strings.ToLower(l), "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	last := strings.ToLower(labels[len(labels)-1])
	hex, isHex := strings.CutPrefix(last, "0x")
	return strings.Trim(last, "0123456789") != "" && !(isHex && strings.Trim(hex, "0123456789abcdef") == "")
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
	if err := p.judgeBuild(ctx, host); err != nil {
		return nil, err
	}
	c, err := p.dialParent(ctx, parent)
	if err != nil {
		return nil, parentAway(err)
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
