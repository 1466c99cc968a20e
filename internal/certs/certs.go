// Package certs holds the TLS certificates of a program. Input are PEM files: a
// certificate with its key, and those of the authorities that are trusted. Output are
// configurations of crypto/tls for servers and clients.
//
// It owns nothing and writes nothing. Files that change are read again at the next
// handshake, so a renewal needs no restart; what cannot be read then, does not fit
// together, or has expired is said once, and what was read before goes on to hold. It
// never leaves a check out: a peer's chain and name are verified each time.
package certs

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// Files are what an operator names. All empty: no TLS of our own, and the system's
// authorities are trusted.
type Files struct {
	Cert string // of this program, PEM: its own certificate first, then those between it and its authority
	Key  string // of Cert, PEM, without a password
	CA   string // the authorities that are trusted, PEM, several if need be; empty: the system's
	// Beside says that CA is trusted beside the system's authorities, and beside those
	// of the file Bundle, if one is named. Otherwise CA is trusted alone.
	Beside bool
	Bundle string
	// Signed says that those who will see Cert trust CA: one must have signed the other.
	Signed bool
}

// any says whether something is named.
func (f Files) any() bool { return f.Cert != "" || f.trusts() }

// trusts says whether others than the system's authorities are named.
func (f Files) trusts() bool { return f.CA != "" || f.Beside && f.Bundle != "" }

// Certs are the certificates of a program as they are now. The nil Certs has none of
// its own and trusts whom the system trusts.
type Certs struct {
	files Files
	log   zerolog.Logger
	now   func() time.Time

	mu     sync.Mutex
	stamps []os.FileInfo
	held   held
}

// held is what was read at one time.
type held struct {
	pair  *tls.Certificate // nil: none
	roots *x509.CertPool   // nil: the system's
	list  []Certificate    // of the files, for Dates
	age   int              // counts what was read
}

// Open reads the files. The error is one line that names the file and what to do. It
// returns nil if nothing is named.
func Open(f Files, now func() time.Time, log zerolog.Logger) (*Certs, error) {
	if (f.Cert == "") != (f.Key == "") {
		return nil, ErrHalf
	}
	if !f.any() {
		return nil, nil
	}
	c := &Certs{files: f, log: log.With().Str("part", "certs").Logger(), now: now}
	// Looked at before they are read: what changes in between is read once more.
	c.stamps = f.stamps()
	var err error
	c.held, err = f.read(now())
	return c, err
}

// stamps are by what changed files are known; nil is a file that cannot be looked at.
func (f Files) stamps() []os.FileInfo {
	var list []os.FileInfo
	for _, path := range []string{f.Cert, f.Key, f.CA, f.Bundle} {
		info, err := os.Stat(path)
		if err != nil {
			info = nil
		}
		list = append(list, info)
	}
	return list
}

// current is what holds now; files that have changed are read first. A certificate
// and its key are two files, so between their renewals they do not fit: what was read
// before holds until they do.
func (c *Certs) current() held {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := c.files.stamps()
	if equal(found, c.stamps) {
		return c.held
	}
	c.stamps = found
	next, err := c.files.read(c.now())
	if err != nil {
		c.log.Error().Err(err).Msg("the certificates are as they were before")
		return c.held
	}
	next.age = c.held.age + 1
	c.held = next
	c.log.Info().Time("until", earliest(next.list).NotAfter).Msg("the certificates were read again")
	return c.held
}

// equal says whether nothing has changed. A file that took another's place may have its
// size, and its time, which is told in steps of some milliseconds.
func equal(a, b []os.FileInfo) bool {
	return slices.EqualFunc(a, b, func(a, b os.FileInfo) bool {
		if a == nil || b == nil {
			return a == nil && b == nil
		}
		return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
	})
}

// Serves says whether there is a certificate of our own.
func (c *Certs) Serves() bool { return c != nil && c.files.Cert != "" }

// Server is the configuration of a listener. Each handshake gets the certificate of
// its moment.
func (c *Certs) Server() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.current().pair, nil
		},
	}
}

// Client is the configuration of one connection, or of several soon: it trusts whom
// the files of this moment name, and shows our certificate to a server that asks.
func (c *Certs) Client() *tls.Config {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if c == nil {
		return cfg
	}
	cfg.RootCAs = c.current().roots
	cfg.GetClientCertificate = c.show
	return cfg
}

func (c *Certs) show(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	if pair := c.current().pair; pair != nil {
		return pair, nil
	}
	return new(tls.Certificate), nil // none; the server says what it thinks of that
}

// CA is the file of the authorities that are trusted, or empty.
func (c *Certs) CA() string {
	if c == nil {
		return ""
	}
	return c.files.CA
}

// Roots are whom the files of this moment name; nil: the system's.
func (c *Certs) Roots() (*x509.CertPool, error) {
	if c == nil {
		return nil, nil
	}
	return c.current().roots, nil
}

// CheckHost says whether clients that use this name or address will believe us.
func (c *Certs) CheckHost(host string) error {
	leaf := c.current().pair.Leaf
	if err := leaf.VerifyHostname(host); err != nil {
		return fmt.Errorf("%s: the certificate is for %s, not for %s", c.files.Cert, names(leaf), host)
	}
	return nil
}

// Watch has the files looked at, and says in the log which certificate expires soon,
// until done. A server without visitors has handshakes too seldom for that.
func (c *Certs) Watch(done <-chan struct{}) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var said time.Time
	for {
		now := c.now()
		if soon := earliest(c.Dates()); soon.Soon(now) && now.Sub(said) >= remindEvery {
			said = now
			c.log.Warn().Str("file", soon.From).Str("subject", soon.Subject).Time("until", soon.NotAfter).
				Msg("a certificate expires soon: renew it; the files are read again by themselves")
		}
		select {
		case <-done:
			return
		case <-tick.C:
		}
	}
}

const (
	lookEvery   = time.Minute
	remindEvery = 24 * time.Hour
)
