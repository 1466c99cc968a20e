package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"pinwheel/internal/bus"
	"pinwheel/internal/certs"
)

// errStalled is why an upload that does not move is ended.
var errStalled = errors.New("no progress")

// uploader PUTs files where the master wants them. It has connections of its
// own, so that they end with the agent.
type uploader struct {
	client *http.Client
	stall  time.Duration
}

func newUploader(stall time.Duration, trust *certs.Certs) *uploader {
	transport := trust.Transport(func(cfg *tls.Config) *http.Transport {
		return &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			TLSClientConfig:     cfg,
			TLSHandshakeTimeout: 10 * time.Second,
			IdleConnTimeout:     30 * time.Second,
			ForceAttemptHTTP2:   true,
		}
	})
	return &uploader{stall: stall, client: &http.Client{
		Transport: transport,
		// The token is for the address that the master named, for no other.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (u *uploader) close() { u.client.CloseIdleConnections() }

// put sends the file at path, which has size bytes. Sending one twice is
// harmless. There is no limit on the whole time, for a slow link is no fault;
// only standing still is one.
func (u *uploader) put(ctx context.Context, base string, need bus.Need, path string, size int64) error {
	target, err := resolve(base, need.URL)
	if err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	defer f.Close()
	ctx, watch := newWatch(ctx, u.stall)
	defer watch.stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, target, watch.reader(f))
	if err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	req.ContentLength = size
	if size == 0 {
		req.Body = http.NoBody // else the length would count as unknown
	}
	req.Header.Set("Authorization", "Bearer "+need.Token)
	req.Header.Set("Content-Type", "application/octet-stream")
	if err := u.do(req); err != nil {
		if cause := context.Cause(ctx); errors.Is(cause, errStalled) {
			err = fmt.Errorf("%w for %v", cause, u.stall)
		}
		return fmt.Errorf("upload %s to %s: %w", f.Name(), target, err)
	}
	return nil
}

func (u *uploader) do(req *http.Request) error {
	resp, err := u.client.Do(req)
	if err != nil {
		var wrapped *url.Error // says method and URL once more
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return certs.Explain(err)
	}
	defer resp.Body.Close()
	words, _ := io.ReadAll(io.LimitReader(resp.Body, 200)) // the status says enough without them
	if certs.PlainToTLS(resp.StatusCode, string(words)) {
		return certs.ErrPlain
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s %q", resp.Status, strings.TrimSpace(string(words)))
	}
	return nil
}

// resolve makes the master's address absolute: a master behind a proxy names
// only the path, and hello has told where it is.
func resolve(base, ref string) (string, error) {
	b, err := url.Parse(base)
	if err != nil {
		return "", fmt.Errorf("the master's HTTP address: %w", err)
	}
	u, err := b.Parse(ref)
	if err != nil {
		return "", fmt.Errorf("the master's upload address: %w", err)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return "", fmt.Errorf("the master's upload address %q is not one of HTTP", u)
	}
	return u.String(), nil
}

// watch ends a context when nothing has moved for a while.
type watch struct {
	timer *time.Timer
	limit time.Duration
	end   context.CancelCauseFunc
}

func newWatch(ctx context.Context, limit time.Duration) (context.Context, *watch) {
	ctx, end := context.WithCancelCause(ctx)
	w := &watch{limit: limit, end: end}
	w.timer = time.AfterFunc(limit, func() { end(errStalled) })
	return ctx, w
}

func (w *watch) stop() {
	w.timer.Stop()
	w.end(nil)
}

// reader counts each read of r as progress: the transport reads on only when the
// other side has taken what came before.
func (w *watch) reader(r io.Reader) io.Reader { return watchedReader{r, w} }

type watchedReader struct {
	r io.Reader
	w *watch
}

func (r watchedReader) Read(p []byte) (int, error) {
	r.w.timer.Reset(r.w.limit)
	return r.r.Read(p)
}
