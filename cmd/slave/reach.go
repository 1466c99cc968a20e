package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"pinwheel/internal/agent"
	"pinwheel/internal/bus"
	"pinwheel/internal/certs"
	"pinwheel/internal/cli"
	"pinwheel/internal/config"
	"pinwheel/internal/pip"
)

// askWithin bounds each question to a neighbour.
const askWithin = 5 * time.Second

// asked is what a neighbour answered.
type asked struct {
	finding
	skew  time.Duration // of our clock before its, at least
	timed bool          // it told the time
}

// examineNetwork asks the neighbours, and compares the clock with theirs.
func (d *doctor) examineNetwork(ctx context.Context) []finding {
	told := agent.LastTold(d.set.StateDir)
	if d.masterURL == "" {
		d.masterURL = told.HTTP
	}
	if d.upstream == "" {
		d.upstream = told.Upstream
	}
	if d.upstream == "" && d.python.Path != "" {
		d.upstream, _ = pip.Upstream(ctx, d.python) // without one it is not asked
	}
	upstream := d.ask(ctx, "upstream", d.upstream, http.MethodHead, "no master told it, and pip here knows none: --upstream")
	if d.trustTrouble != nil { // asked without them, all would be wrong for the same reason
		return []finding{d.names(ctx), upstream.finding, d.certificates(), d.clock(upstream, asked{})}
	}
	master := d.ask(ctx, masterName, health(d.masterURL), http.MethodGet, "no master told its address yet: --master-url")
	list := []finding{d.names(ctx), upstream.finding, d.nats(ctx), master.finding, d.clock(upstream, master)}
	if d.trust != nil || len(d.shown) > 0 {
		list = append(list, d.certificates())
	}
	return list
}

func health(base string) string {
	if base == "" {
		return ""
	}
	return strings.TrimRight(base, "/") + "/healthz"
}

// names looks up the hosts of all neighbours.
func (d *doctor) names(ctx context.Context) finding {
	var hosts []string
	for _, text := range append(servers(d.set.NATSURL), d.upstream, d.masterURL) {
		u, err := url.Parse(text)
		if err == nil && u.Hostname() != "" && net.ParseIP(u.Hostname()) == nil && !slices.Contains(hosts, u.Hostname()) {
			hosts = append(hosts, u.Hostname())
		}
	}
	if len(hosts) == 0 {
		return finding{Name: "names", Level: fine, Detail: "none to look up"}
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	var errs []error
	for _, h := range hosts {
		if _, err := net.DefaultResolver.LookupHost(ctx, h); err != nil {
			errs = append(errs, err)
		}
	}
	return verdict("names", errors.Join(errs...), "the name server in /etc/resolv.conf, or a line in /etc/hosts", "found %s", strings.Join(hosts, ", "))
}

// ask asks a web server. Any answer that it makes itself shows that it is there.
func (d *doctor) ask(ctx context.Context, name, where, method, unknown string) asked {
	if where == "" {
		return asked{finding: finding{Name: name, Level: warning, Detail: "not asked: " + unknown}}
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, where, nil)
	if err != nil {
		return asked{finding: verdict(name, errors.New("not a URL: "+hidden(where)), "", "")}
	}
	client, err := d.client(name)
	if err != nil {
		return asked{finding: verdict(name, err, "", "")}
	}
	defer client.CloseIdleConnections()
	before := d.now()
	resp, err := client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the address, which may hold a password
		}
		return asked{finding: verdict(name, fmt.Errorf("%s: %w", hidden(where), err),
			cmp.Or(certs.Remedy(err), "the network here, a proxy or firewall between, and whether it runs"), "")}
	}
	words, _ := io.ReadAll(io.LimitReader(resp.Body, 200)) // the status says enough without them
	resp.Body.Close()
	if certs.PlainToTLS(resp.StatusCode, string(words)) {
		return asked{finding: verdict(name, fmt.Errorf("%s: %w", hidden(where), certs.ErrPlain), "", "")}
	}
	if name == masterName && resp.TLS != nil {
		d.see(certs.Shown(hidden(where), resp.TLS.PeerCertificates))
	}
	a := asked{finding: verdict(name, nil, "", "%s answers", hidden(where))}
	if resp.StatusCode >= http.StatusInternalServerError {
		a.Level, a.Detail = warning, a.Detail+" "+resp.Status
	}
	if at, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		a.skew, a.timed = skew(before, at, d.now()), true
	}
	return a
}

// masterName is what the master is called in findings.
const masterName = "master"

// client trusts whom pip here trusts, and of the master whom --tls-ca names.
func (d *doctor) client(name string) (*http.Client, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	if name == masterName {
		t.TLSClientConfig = d.trust.Client()
	} else if d.python.Bundle != "" {
		pem, err := os.ReadFile(d.python.Bundle)
		if err != nil {
			return nil, fmt.Errorf("read the certificate bundle of pip's settings: %w", err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		t.TLSClientConfig = &tls.Config{RootCAs: roots}
	}
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, nil
}

// skew is how far our clock is before one that has whole seconds, at the least, if
// its answer came between two moments of ours.
func skew(before, at, after time.Time) time.Duration {
	switch {
	case at.Add(time.Second).Before(before):
		return before.Sub(at.Add(time.Second))
	case at.After(after):
		return after.Sub(at)
	}
	return 0
}

// servers are the URLs in --nats-url.
func servers(list string) []string {
	var all []string
	for one := range strings.SplitSeq(list, ",") {
		if one = strings.TrimSpace(one); one != "" && !strings.Contains(one, "://") {
			one = "nats://" + one
		}
		all = append(all, one)
	}
	return all
}

// natsPort is where a NATS server listens if its URL does not say.
const natsPort = "4222"

// nats logs in, where there are credentials; else it knocks only, at the first.
func (d *doctor) nats(ctx context.Context) finding {
	where := d.set.NATSURL
	switch {
	case where == "":
		return finding{Name: "nats", Level: warning, Detail: "not asked: no --nats-url"}
	case d.conn != nil:
		d.see(d.conn.Shown())
		return verdict("nats", nil, "", "%s lets us in", hidden(where))
	}
	const remedy = "whether the master runs and listens on that address, and a firewall between"
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	if d.set.Creds == "" {
		u, err := url.Parse(servers(where)[0])
		if err != nil {
			return verdict("nats", errors.New("not a URL: "+hidden(where)), "", "")
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), natsPort)))
		if err == nil {
			conn.Close()
		}
		return verdict("nats", err, remedy, "%s listens; not logged in: no --creds", hidden(where))
	}
	conn, err := bus.Connect(ctx, bus.Options{URL: where, CredsFile: d.set.Creds, TLS: d.trust, Label: "doctor", Log: zerolog.Nop()})
	if err != nil {
		if certs.Remedy(err) != "" { // its words have it
			return verdict("nats", err, "", "")
		}
		return verdict("nats", err, remedy, "")
	}
	defer conn.Close()
	d.see(conn.Shown())
	id := conn.Identity()
	return verdict("nats", nil, "", "%s lets us in as %s %s", hidden(where), id.Role, id.Name)
}

// clock compares the time of day with that of those who told it; the master's counts
// more.
func (d *doctor) clock(upstream, master asked) finding {
	from, off := "the master's", master.skew
	if !master.timed {
		from, off = "the upstream's", upstream.skew
	}
	f := finding{Name: "clock", Level: fine, Detail: "as " + from}
	const remedy = "timedatectl set-ntp true, and a time server that can be reached"
	switch {
	case !master.timed && !upstream.timed:
		f.Level, f.Detail = warning, "not compared: nobody told the time"
	case off == 0:
	default:
		word := "ahead of"
		if off < 0 {
			word = "behind"
		}
		f.Detail = fmt.Sprintf("%s %s %s", off.Abs().Round(time.Second), word, from)
		if d.set.MaxSkew > 0 && off.Abs() > d.set.MaxSkew {
			f.Level, f.Detail, f.Remedy = problem, f.Detail+", more than --max-skew: no job is asked for", remedy
		} else if off.Abs() > time.Minute {
			f.Level, f.Remedy = warning, remedy
		}
	}
	return f
}

func isWebURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}

// hidden is an address without its password, in one line.
func hidden(address string) string { return cli.OneLine(config.Hide(address)) }
