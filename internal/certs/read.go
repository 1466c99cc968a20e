package certs

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// ErrHalf says that of certificate and key only one is named.
var ErrHalf = errors.New("--tls-cert and --tls-key go together: name both files, or none")

// maxFile is far more than any chain, or all authorities of a system.
const maxFile = 4 << 20 // bytes

// read reads all files as of a time.
func (f Files) read(now time.Time) (held, error) {
	var h held
	if f.Cert != "" {
		pair, err := f.readPair(now)
		if err != nil {
			return held{}, err
		}
		h.pair = pair
		h.list = append(h.list, certificateOf(f.Cert, pair.Leaf))
	}
	if !f.trusts() {
		return h, nil
	}
	var list []*x509.Certificate
	var err error
	if f.CA != "" {
		if list, err = readAuthorities("--tls-ca", f.CA, now); err != nil {
			return held{}, err
		}
	}
	for _, a := range list {
		h.list = append(h.list, certificateOf(f.CA, a))
	}
	if h.roots, err = f.pool(list); err != nil {
		return held{}, err
	}
	return h, f.checkSigned(h, now)
}

// pool has the authorities that are trusted.
func (f Files) pool(list []*x509.Certificate) (*x509.CertPool, error) {
	roots := x509.NewCertPool()
	if f.Beside {
		if system, err := x509.SystemCertPool(); err == nil {
			roots = system
		}
	}
	for _, a := range list {
		roots.AddCert(a)
	}
	if f.Beside && f.Bundle != "" {
		text, err := readFile("read the certificate bundle of pip's settings", f.Bundle)
		if err != nil {
			return nil, err
		}
		if !roots.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("read the certificate bundle of pip's settings: no certificate in %s", f.Bundle)
		}
	}
	return roots, nil
}

// checkSigned finds out before any client does that nobody would believe us.
func (f Files) checkSigned(h held, now time.Time) error {
	if !f.Signed || h.pair == nil {
		return nil
	}
	between := x509.NewCertPool()
	for _, der := range h.pair.Certificate[1:] {
		if c, err := x509.ParseCertificate(der); err == nil {
			between.AddCert(c)
		}
	}
	_, err := h.pair.Leaf.Verify(x509.VerifyOptions{Roots: h.roots, Intermediates: between, CurrentTime: now})
	if err != nil {
		return fmt.Errorf("--tls-cert %s is not one that --tls-ca %s signed for servers: name the authority of this certificate, or add those between them to it: %w",
			f.Cert, f.CA, err)
	}
	return nil
}

func readFile(flag, path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && (!info.Mode().IsRegular() || info.Size() > maxFile) {
		return nil, fmt.Errorf("%s %s: not a file of certificates", flag, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	return text, nil
}

// readPair reads certificate and key, and holds them together.
func (f Files) readPair(now time.Time) (*tls.Certificate, error) {
	cert, err := readFile("--tls-cert", f.Cert)
	if err != nil {
		return nil, err
	}
	key, err := readFile("--tls-key", f.Key)
	if err != nil {
		return nil, err
	}
	list, err := parse("--tls-cert", f.Cert, cert)
	if err != nil {
		return nil, err
	}
	if strings.Contains(string(key), "ENCRYPTED") {
		return nil, fmt.Errorf("--tls-key %s: the key has a password, which nobody is there to type: `openssl pkey` writes it without", f.Key)
	}
	pair, err := tls.X509KeyPair(cert, key)
	switch {
	case err != nil && strings.Contains(err.Error(), "private key does not match public key"):
		return nil, fmt.Errorf("--tls-key %s is not the key of --tls-cert %s: name the two that were made together", f.Key, f.Cert)
	case err != nil:
		return nil, fmt.Errorf("--tls-key %s: no private key that can be used, want one in PEM: %w", f.Key, err)
	}
	pair.Leaf = list[0]
	return &pair, inTime("--tls-cert", f.Cert, list[0], now)
}

// readAuthorities reads a bundle. One that has expired is no fault while another is
// good: bundles are changed by adding the next.
func readAuthorities(flag, path string, now time.Time) ([]*x509.Certificate, error) {
	text, err := readFile(flag, path)
	if err != nil {
		return nil, err
	}
	list, err := parse(flag, path, text)
	if err != nil {
		return nil, err
	}
	var expired error
	for _, a := range list {
		if expired = inTime(flag, path, a, now); expired == nil {
			return list, nil
		}
	}
	return nil, expired
}

// parse gives the certificates of a PEM text, at least one.
func parse(flag, path string, text []byte) ([]*x509.Certificate, error) {
	var list []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		one, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s %s: certificate %d in it: %w", flag, path, len(list)+1, err)
		}
		list = append(list, one)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s %s: no certificate in it, want PEM (-----BEGIN CERTIFICATE-----)", flag, path)
	}
	return list, nil
}

func inTime(flag, path string, c *x509.Certificate, now time.Time) error {
	switch {
	case now.After(c.NotAfter):
		return fmt.Errorf("%s %s: the certificate expired on %s: put a renewed one there, or set this machine's clock right", flag, path, day(c.NotAfter))
	case now.Before(c.NotBefore):
		return fmt.Errorf("%s %s: the certificate is good from %s on only: set this machine's clock right", flag, path, c.NotBefore.UTC().Format(time.RFC3339))
	}
	return nil
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// names are those that a certificate is for.
func names(c *x509.Certificate) string {
	list := append([]string(nil), c.DNSNames...)
	for _, a := range c.IPAddresses {
		list = append(list, a.String())
	}
	if len(list) == 0 {
		return "no name at all (subjectAltName is missing)"
	}
	return strings.Join(list, ", ")
}
