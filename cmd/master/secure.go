package main

import (
	"context"
	"crypto/tls"
	"errors"
	stdlog "log"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"pinwheel/internal/certs"
	"pinwheel/internal/cli"
)

// certificates reads the files of TLS.
func (s settings) certificates(now func() time.Time, log zerolog.Logger) (*certs.Certs, error) {
	c, err := certs.Open(certs.Files{Cert: s.TLSCert, Key: s.TLSKey, CA: s.TLSCA, Signed: s.NATSURL == ""}, now, log)
	if errors.Is(err, certs.ErrHalf) {
		return nil, cli.Usage("%w", err)
	}
	return c, err
}

// serverTLS is what the embedded NATS server speaks; nil: not TLS.
func (m *Master) serverTLS() *tls.Config {
	if !m.certs.Serves() {
		return nil
	}
	return m.certs.Server()
}

// siteURL is the base by which slaves and pip reach the site. One that nobody named is
// held against the certificate: clients would do so, and refuse.
func (m *Master) siteURL() (string, error) {
	named := strings.TrimRight(m.Settings.PublicURL, "/")
	here := reachable(m.listener.Addr().(*net.TCPAddr))
	switch {
	case named == "" && m.certs.Serves():
		host, _, _ := net.SplitHostPort(here) // reachable joined them
		if err := m.certs.CheckHost(host); err != nil {
			return "", cli.Usage("%w: say by which name the site is reached: --public-url https://NAME:PORT", err)
		}
		return "https://" + here, nil
	case named == "":
		return "http://" + here, nil
	}
	if u, err := url.Parse(named); err == nil && u.Scheme == "http" && m.certs.Serves() {
		m.log.Warn().Str("url", named).Msg("slaves and pip are told a URL without TLS, though --listen speaks TLS: " +
			"--public-url is to begin with https://, unless something in front of it speaks plainly")
	}
	return named, nil
}

// accept serves until the listener or the server is closed.
func (m *Master) accept() error {
	if !m.certs.Serves() {
		return m.httpd.Serve(m.listener)
	}
	m.httpd.TLSConfig = m.certs.Server()
	return m.httpd.ServeTLS(m.listener, "", "")
}

// watchCertificates says in time when one ends.
func (m *Master) watchCertificates(ctx context.Context) error {
	if m.certs == nil {
		<-ctx.Done()
	} else {
		m.certs.Watch(ctx.Done())
	}
	return ctx.Err()
}

// webLog takes what the web server has to say of its visitors, a line each.
func webLog(log zerolog.Logger) *stdlog.Logger {
	return stdlog.New(visitors{log.With().Str("part", "web").Logger()}, "", 0)
}

type visitors struct{ log zerolog.Logger }

// Write takes one line. A visitor's fault is a warning at most; the commonest has its
// remedy beside it.
func (v visitors) Write(line []byte) (int, error) {
	text := cli.OneLine(string(line))
	event := v.log.Warn()
	switch {
	case strings.Contains(text, "client sent an HTTP request to an HTTPS server"):
		event = event.Str("remedy", "use https://, with the certificate of the authority: pip --cert, slave run --tls-ca")
	case strings.Contains(text, "remote error: tls: "):
		event = event.Str("remedy", "the visitor does not trust our certificate: pip --cert, slave run --tls-ca")
	}
	event.Msg(text)
	return len(line), nil
}
