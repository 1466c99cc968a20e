package certs_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"pinwheel/internal/certs"
	"pinwheel/internal/certstest"
)

const localhost = "127.0.0.1"

func inAYear() time.Time { return time.Now().AddDate(1, 0, 0) }

func mustOpen(t *testing.T, f certs.Files, log io.Writer) *certs.Certs {
	t.Helper()
	c, err := certs.Open(f, time.Now, zerolog.New(log))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func files(a *certstest.Authority, p certstest.Pair) certs.Files {
	return certs.Files{Cert: p.Cert, Key: p.Key, CA: a.File, Signed: true}
}

// TestBadFiles: one line, with the file that is wrong and what to do.
func TestBadFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, other := certstest.NewAuthority(t, dir, "farm"), certstest.NewAuthority(t, dir, "other")
	good, second := a.Issue("good", inAYear(), localhost), a.Issue("second", inAYear(), localhost)
	old := a.Issue("old", time.Now().Add(-time.Hour), localhost)
	locked, text := filepath.Join(dir, "locked.key"), filepath.Join(dir, "text")
	for path, words := range map[string]string{locked: "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMA==\n-----END ENCRYPTED PRIVATE KEY-----\n", text: "nothing"} {
		if err := os.WriteFile(path, []byte(words), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		f    certs.Files
		want []string
	}{
		"half":                {certs.Files{Cert: good.Cert}, []string{"--tls-cert and --tls-key go together"}},
		"no certificate":      {certs.Files{Cert: dir + "/none", Key: good.Key}, []string{"--tls-cert", dir + "/none", "no such file"}},
		"no key":              {certs.Files{Cert: good.Cert, Key: dir + "/none"}, []string{"--tls-key", dir + "/none", "no such file"}},
		"key of another":      {certs.Files{Cert: good.Cert, Key: second.Key}, []string{second.Key + " is not the key of --tls-cert " + good.Cert, "name the two"}},
		"key with a password": {certs.Files{Cert: good.Cert, Key: locked}, []string{locked, "password", "openssl pkey"}},
		"text as key":         {certs.Files{Cert: good.Cert, Key: text}, []string{"--tls-key " + text, "want one in PEM"}},
		"text as certificate": {certs.Files{Cert: text, Key: good.Key}, []string{"--tls-cert " + text, "want PEM"}},
		"folder":              {certs.Files{CA: dir}, []string{"--tls-ca " + dir, "not a file of certificates"}},
		"text as authority":   {certs.Files{CA: text}, []string{"--tls-ca " + text, "want PEM"}},
		"expired":             {certs.Files{Cert: old.Cert, Key: old.Key}, []string{"--tls-cert " + old.Cert, "expired on", "renewed one"}},
		"expired authority":   {certs.Files{CA: old.Cert}, []string{"--tls-ca " + old.Cert, "expired on"}},
		"wrong authority":     {files(other, good), []string{"--tls-cert " + good.Cert, "--tls-ca " + other.File, "name the authority"}},
	} {
		_, err := certs.Open(c.f, time.Now, zerolog.Nop())
		if err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want one line", name, err)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: no %q in: %v", name, w, err)
			}
		}
	}
	early := func() time.Time { return time.Now().AddDate(-3, 0, 0) }
	if _, err := certs.Open(certs.Files{Cert: good.Cert, Key: good.Key}, early, zerolog.Nop()); err == nil || !strings.Contains(err.Error(), "clock") {
		t.Errorf("not good yet: %v", err)
	}
	if c, err := certs.Open(certs.Files{}, time.Now, zerolog.Nop()); c != nil || err != nil {
		t.Errorf("nothing named: %v, %v", c, err)
	}
}

// server answers over TLS with the certificates of the moment.
func server(t *testing.T, c *certs.Certs) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.Config.ErrorLog = nil
	s.Listener = tls.NewListener(s.Listener, c.Server())
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// shown is the name in the certificate that a new connection gets.
func shown(t *testing.T, s *httptest.Server, client *certs.Certs) (string, error) {
	t.Helper()
	cfg := client.Client()
	cfg.ServerName = localhost
	conn, err := tls.Dial("tcp", s.Listener.Addr().String(), cfg)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].Subject.CommonName, nil
}

// TestRenewal: what lies on disk counts for the next handshake, and what is wrong
// there does not.
func TestRenewal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := certstest.NewAuthority(t, dir, "farm")
	p := a.Issue("first", inAYear(), localhost)
	var log bytes.Buffer
	c := mustOpen(t, files(a, p), &log)
	s, client := server(t, c), mustOpen(t, certs.Files{CA: a.File}, io.Discard)
	see := func(want string) {
		t.Helper()
		if got, err := shown(t, s, client); got != want || err != nil {
			t.Errorf("the server shows %q, %v, want %s\n%s", got, err, want, &log)
		}
	}
	see("first")
	next := a.Issue("next", inAYear(), localhost)
	move(t, next.Key, p.Key) // only one of the two so far
	see("first")
	if !strings.Contains(log.String(), "as they were before") {
		t.Errorf("a key without its certificate is not told: %s", &log)
	}
	move(t, next.Cert, p.Cert)
	see("next")
	old := a.Issue("old", time.Now().Add(-time.Minute), localhost)
	move(t, old.Key, p.Key)
	move(t, old.Cert, p.Cert)
	see("next")
	if n := strings.Count(log.String(), "expired on"); n != 1 {
		t.Errorf("told %d times that the new one has expired: %s", n, &log)
	}
	if err := os.Remove(p.Cert); err != nil {
		t.Fatal(err)
	}
	see("next")
	later := a.Issue("later", inAYear(), localhost)
	move(t, later.Key, p.Key)
	move(t, later.Cert, p.Cert)
	see("later")
}

func move(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// TestTransportFollowsTheAuthority: a client that runs for months sees its farm's
// authority change.
func TestTransportFollowsTheAuthority(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, second := certstest.NewAuthority(t, dir, "first"), certstest.NewAuthority(t, dir, "second")
	s := server(t, mustOpen(t, files(second, second.Issue("site", inAYear(), localhost)), io.Discard))
	trust := mustOpen(t, certs.Files{CA: first.File}, io.Discard)
	tr := trust.Transport(func(cfg *tls.Config) *http.Transport { return &http.Transport{TLSClientConfig: cfg} })
	defer tr.CloseIdleConnections()
	client := http.Client{Transport: tr}
	ask := func() error {
		resp, err := client.Get(strings.Replace(s.URL, "http:", "https:", 1))
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	if err := ask(); certs.Remedy(err) == "" || !strings.Contains(certs.Explain(err).Error(), "--tls-ca") {
		t.Errorf("an authority that is not trusted: %v", certs.Explain(err))
	}
	move(t, second.File, first.File)
	if err := ask(); err != nil {
		t.Errorf("after the authority changed: %v", err)
	}
}

// TestRemedies: what a peer does wrong has one line with what to do.
func TestRemedies(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := certstest.NewAuthority(t, dir, "farm")
	trust := mustOpen(t, certs.Files{CA: a.File}, io.Discard)
	elsewhere := server(t, mustOpen(t, files(a, a.Issue("elsewhere", inAYear(), "farm.example")), io.Discard))
	if _, err := shown(t, elsewhere, trust); !strings.Contains(certs.Remedy(err), "subjectAltName") {
		t.Errorf("another name: %v", certs.Explain(err))
	}
	// A clock that is a year behind lets an expired one be served.
	old := a.Issue("old", time.Now().Add(-time.Minute), localhost)
	behind, err := certs.Open(certs.Files{Cert: old.Cert, Key: old.Key}, func() time.Time { return time.Now().Add(-time.Hour) }, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := shown(t, server(t, behind), trust); !strings.Contains(certs.Remedy(err), "renew") {
		t.Errorf("expired: %v", certs.Explain(err))
	}
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	tr := trust.Transport(func(cfg *tls.Config) *http.Transport { return &http.Transport{TLSClientConfig: cfg} })
	_, err = (&http.Client{Transport: tr}).Get(strings.Replace(plain.URL, "http:", "https:", 1))
	if !strings.Contains(certs.Remedy(err), "no TLS is spoken") {
		t.Errorf("TLS to a plain port: %v", certs.Explain(err))
	}
	tr.CloseIdleConnections()
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	resp, err := http.Get(strings.Replace(secure.URL, "https:", "http:", 1))
	if err != nil {
		t.Fatal(err)
	}
	words, err := io.ReadAll(resp.Body)
	if resp.Body.Close(); err != nil || !certs.PlainToTLS(resp.StatusCode, string(words)) {
		t.Errorf("plain to a port of TLS: %s %q", resp.Status, words)
	}
	if err := errors.New("x"); certs.Explain(err) != err || certs.Explain(nil) != nil || certs.Explain(net.ErrClosed) != net.ErrClosed {
		t.Error("an error that has nothing to do with TLS has changed")
	}
}

func TestSoon(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for days, want := range map[int]bool{-1: true, 13: true, 15: false} {
		if got := (certs.Certificate{NotAfter: now.AddDate(0, 0, days)}).Soon(now); got != want {
			t.Errorf("%d days: %v", days, got)
		}
	}
	if (certs.Certificate{}).Soon(now) {
		t.Error("no certificate ends soon")
	}
}
