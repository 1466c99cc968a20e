package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"

	"pinwheel/internal/service"
)

// supervised tells whoever started this program how it is: that it has begun, signs of
// life, that it ends. The loops that run below ctx are those whose life counts.
func (m *Master) supervised(drain, abandon context.Context, boss *service.Supervisor) (ctx context.Context, end func()) {
	vitals := &service.Vitals{}
	// Begun, though an external NATS may be away yet: the site is served, and to be
	// started again would not bring it.
	boss.Ready("waiting for NATS at " + m.NATSURL)
	stop := boss.Feed(abandon, func(ctx context.Context) error {
		if err := vitals.Check(); err != nil || drain.Err() != nil { // the site ends first
			return err
		}
		return m.answersItself(ctx)
	})
	quiet := context.AfterFunc(drain, func() { boss.Stopping("finishing what is being written") })
	return service.WithVitals(drain, vitals), func() { quiet(); stop() }
}

// answersItself asks the site for what needs neither database nor disk.
func (m *Master) answersItself(ctx context.Context) error {
	addr := m.listener.Addr().(*net.TCPAddr)
	scheme := "http://"
	if m.certs.Serves() {
		scheme = "https://"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+reachable(addr)+"/simple", nil)
	if err != nil {
		return err
	}
	t := &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // it is us, under whatever name
	}
	resp, err := t.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("the site does not answer its own master: %w", err)
	}
	return resp.Body.Close()
}
