package certs

import (
	"crypto/tls"
	"net/http"
	"sync"
)

// Transport is an http.RoundTripper that trusts whom the files of the moment name:
// when they have changed, what follows goes out by new connections.
type Transport struct {
	certs *Certs
	build func(*tls.Config) *http.Transport

	mu  sync.Mutex
	now *http.Transport
	age int
}

// Transport makes one; build makes what it goes out by.
func (c *Certs) Transport(build func(*tls.Config) *http.Transport) *Transport {
	return &Transport{certs: c, build: build}
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	return t.current().RoundTrip(r)
}

func (t *Transport) current() *http.Transport {
	age := 0
	if t.certs != nil {
		age = t.certs.current().age
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now == nil || age != t.age {
		if t.now != nil {
			t.now.CloseIdleConnections()
		}
		t.now, t.age = t.build(t.certs.Client()), age
	}
	return t.now
}

// CloseIdleConnections is for whoever ends.
func (t *Transport) CloseIdleConnections() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now != nil {
		t.now.CloseIdleConnections()
	}
}
