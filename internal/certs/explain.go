package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Explain adds the remedy to an error of a connection, if TLS is what went wrong; all
// else comes back as it is.
func Explain(err error) error {
	if remedy := Remedy(err); remedy != "" {
		return fmt.Errorf("%w: %s", err, remedy)
	}
	return err
}

// Remedy is what to do about an error of TLS; empty for all others.
func Remedy(err error) string {
	var (
		unknown x509.UnknownAuthorityError
		host    x509.HostnameError
		invalid x509.CertificateInvalidError
		record  tls.RecordHeaderError
		alert   tls.AlertError
	)
	switch {
	case err == nil:
	case errors.As(err, &unknown):
		return "the server's certificate is not signed by an authority that is trusted here: name that authority's certificate with --tls-ca"
	case errors.As(err, &host):
		return "use one of its names in the URL, or give the server a certificate for this one (subjectAltName)"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "renew the server's certificate, or set this machine's clock right"
	case errors.As(err, &invalid):
		return "the server's certificate cannot be used: make another one"
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return "no TLS is spoken on that port: use http:// or nats:// without --tls-ca, or give the server --tls-cert and --tls-key"
	case errors.As(err, &alert) && strings.Contains(alert.Error(), "certificate"):
		return "the other side does not take our certificate, or wants one: name one that it trusts with --tls-cert and --tls-key"
	}
	return ""
}

// PlainToTLS says whether an answer is that of a server which speaks TLS to a client
// that does not: net/http and nginx answer so.
func PlainToTLS(status int, words string) bool {
	return status == http.StatusBadRequest &&
		(strings.Contains(words, "HTTP request to an HTTPS server") || strings.Contains(words, "plain HTTP request was sent to HTTPS port"))
}

// ErrPlain is what to say then.
var ErrPlain = errors.New("that port speaks TLS: use https://, with --tls-ca for an authority of your own; on the master, --public-url")
