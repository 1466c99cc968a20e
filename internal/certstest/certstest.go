// Package certstest makes certificate authorities for tests, and what they sign.
package certstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority signs certificates. Its own is in File.
type Authority struct {
	File string // PEM
	Cert *x509.Certificate
	t    *testing.T
	key  *ecdsa.PrivateKey
}

// NewAuthority makes one whose file lies in dir.
func NewAuthority(t *testing.T, dir, name string) *Authority {
	t.Helper()
	a := &Authority{File: filepath.Join(dir, name+".pem"), t: t, key: newKey(t)}
	text := a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:  x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0),
	}, a.key)
	block, _ := pem.Decode(text)
	var err error
	if a.Cert, err = x509.ParseCertificate(block.Bytes); err != nil {
		t.Fatal(err)
	}
	put(t, a.File, text)
	return a
}

// Pool trusts it.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.Cert)
	return pool
}

// Pair are the files of a certificate and its key.
type Pair struct{ Cert, Key string }

// Issue writes a certificate for hosts, names or addresses, to NAME.pem and NAME.key
// beside the authority's file, whole or not at all. It is good until then.
func (a *Authority) Issue(name string, until time.Time, hosts ...string) Pair {
	a.t.Helper()
	key := newKey(a.t)
	c := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		NotBefore:   until.AddDate(-1, 0, 0), NotAfter: until,
	}
	if now := time.Now(); c.NotBefore.After(now) {
		c.NotBefore = now.Add(-time.Hour)
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, h)
		}
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	base := filepath.Join(filepath.Dir(a.File), name)
	p := Pair{base + ".pem", base + ".key"}
	put(a.t, p.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	put(a.t, p.Cert, a.sign(c, key))
	return p
}

// sign gives a certificate for a key, in PEM.
func (a *Authority) sign(c *x509.Certificate, key *ecdsa.PrivateKey) []byte {
	a.t.Helper()
	var err error
	if c.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		a.t.Fatal(err)
	}
	parent := a.Cert
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// put replaces a file by rename, as programs that renew certificates do.
func put(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", text, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}
