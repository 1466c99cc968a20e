package certs

import (
	"crypto/x509"
	"time"
)

// soon is how long before its end a certificate is worth a word.
const soon = 14 * 24 * time.Hour

// Certificate is what people want to know of one.
type Certificate struct {
	From     string // the file, or the server that showed it
	Subject  string
	NotAfter time.Time
}

func certificateOf(from string, c *x509.Certificate) Certificate {
	return Certificate{From: from, Subject: c.Subject.String(), NotAfter: c.NotAfter}
}

// Shown is what a server showed first: its own certificate.
func Shown(server string, chain []*x509.Certificate) (Certificate, bool) {
	if len(chain) == 0 {
		return Certificate{}, false
	}
	return certificateOf(server, chain[0]), true
}

// Soon says whether it ends within 14 days, or has ended.
func (c Certificate) Soon(now time.Time) bool {
	return !c.NotAfter.IsZero() && c.NotAfter.Sub(now) < soon
}

// Dates lists the certificates of the files as they are now.
func (c *Certs) Dates() []Certificate {
	if c == nil {
		return nil
	}
	return c.current().list
}

// earliest is the one that ends first; the zero Certificate if there is none.
func earliest(list []Certificate) Certificate {
	var first Certificate
	for _, one := range list {
		if first.NotAfter.IsZero() || one.NotAfter.Before(first.NotAfter) {
			first = one
		}
	}
	return first
}
