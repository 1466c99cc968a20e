package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"

	"pinwheel/internal/farm"
)

// barred says why a build may not go anywhere but to the indexes; nil: it may.
func (d *Door) barred() error {
	if d.network == farm.NetworkPublic {
		return nil
	}
	return fmt.Errorf("the build's network is %q", d.network)
}

// connect serves CONNECT (RFC 9110, 9.3.6).
func (d *Door) connect(w http.ResponseWriter, r *http.Request) {
	if err := d.barred(); err != nil {
		d.note(r.Host, true, err)
		refuse(w, http.StatusForbidden, err.Error())
		return
	}
	out, err := d.p.tunnel(r.Context(), r.Host)
	d.note(r.Host, isForbidden(err), err)
	if err != nil {
		status := http.StatusBadGateway
		if isForbidden(err) {
			status = http.StatusForbidden
		}
		refuse(w, status, told(err))
		return
	}
	in, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		out.Close()
		return
	}
	_, err = io.WriteString(in, "HTTP/1.1 200 Connection established\r\n\r\n")
	if err != nil {
		in.Close()
		out.Close()
		return
	}
	join(r.Context(), in, out, buffered.Reader)
}

// join copies both ways until both have ended, or ctx has.
func join(ctx context.Context, in, out net.Conn, said io.Reader) {
	stop := context.AfterFunc(ctx, func() { in.Close(); out.Close() })
	var both sync.WaitGroup
	both.Go(func() { pour(out, said) })
	both.Go(func() { pour(in, out) })
	both.Wait()
	if stop() {
		in.Close()
		out.Close()
	}
}

// pour copies until the end of from, and passes that end on. Broken connections end
// both ways: what would be said into them is lost anyway.
func pour(to net.Conn, from io.Reader) {
	_, err := io.Copy(to, from)
	if c, ok := to.(interface{ CloseWrite() error }); ok && err == nil {
		_ = c.CloseWrite() // fails if it is closed already
		return
	}
	to.Close()
}

// CloseWrite passes on that no more will be said.
func (c *counted) CloseWrite() error { return closeWrite(c.Conn) }

// CloseWrite passes on that no more will be said.
func (c *readAhead) CloseWrite() error { return closeWrite(c.Conn) }

func closeWrite(c net.Conn) error {
	if w, ok := c.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return errors.ErrUnsupported
}

// forward serves a request for a whole URL (RFC 9112, 3.2.2).
func (d *Door) forward(w http.ResponseWriter, r *http.Request) {
	if err := d.barred(); err != nil {
		d.note(r.URL.Host, true, err)
		refuse(w, http.StatusForbidden, err.Error())
		return
	}
	if r.URL.Scheme != "http" {
		refuse(w, http.StatusBadRequest, "only http is passed on like this; ask for the others by CONNECT")
		return
	}
	rp := httputil.ReverseProxy{
		Rewrite:       func(*httputil.ProxyRequest) {}, // as it came, but for what was meant for us
		Transport:     d.p.out,
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0),
		ModifyResponse: func(*http.Response) error {
			d.note(r.URL.Host, false, nil)
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			d.note(r.URL.Host, isForbidden(err), err)
			status := http.StatusBadGateway
			if isForbidden(err) {
				status = http.StatusForbidden
			}
			refuse(w, status, told(err))
		},
	}
	rp.ServeHTTP(w, r)
}
