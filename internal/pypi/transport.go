package pypi

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
)

// NewHTTPClient makes the client for an index. caFile is a PEM bundle to trust beside the system's roots, for
// networks that re-sign TLS; empty means none (SSL_CERT_FILE is honoured either way, by crypto/x509).
func NewHTTPClient(caFile string) (*http.Client, error) {
	if caFile == "" {
		return newHTTPClient(nil), nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("read certificate bundle: %w", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read certificate bundle %s: no PEM certificate in it", caFile)
	}
	return newHTTPClient(roots), nil
}

// newHTTPClient trusts the system's roots if roots is nil.
func newHTTPClient(roots *x509.CertPool) *http.Client {
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 4,
		IdleConnTimeout:     http.DefaultTransport.(*http.Transport).IdleConnTimeout,
		TLSHandshakeTimeout: http.DefaultTransport.(*http.Transport).TLSHandshakeTimeout,
		TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	}
	return &http.Client{Transport: transport, CheckRedirect: checkRedirect}
}

// checkRedirect follows to the normalized name and to mirrors, but never from https to http, nor where the
// question would be lost: after most redirects a POST becomes a GET. Asking again would lead to the same place.
func checkRedirect(req *http.Request, via []*http.Request) error {
	switch {
	case len(via) >= 5:
		return troubled(Redirect, "redirect refused: more than 5 in a row")
	case via[0].URL.Scheme == "https" && req.URL.Scheme != "https":
		return troubled(Redirect, "redirect refused: from https to %s", req.URL.Redacted())
	case req.Method != via[0].Method:
		return troubled(Redirect, "redirect refused: %s would become %s; ask at %s at once", via[0].Method, req.Method, req.URL.Redacted())
	}
	return nil
}
