package pypi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	// acceptSimple prefers JSON, which holds more, and takes the HTML that every index has (PEP 691).
	acceptSimple = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
	acceptJSON   = "application/json"
)

// answer is a whole body and where it really came from.
type answer struct {
	url    *url.URL // after redirects
	kind   string   // media type without parameters
	serial int64    // X-PyPI-Last-Serial; 0: none
	body   []byte
}

// statusError is an answer that is no answer to the question.
type statusError struct {
	status int
}

func (e *statusError) Error() string {
	return fmt.Sprintf("status %d %s", e.status, http.StatusText(e.status))
}

// absent says that the address is not served at all, as opposed to not served well.
func (e *statusError) absent() bool {
	return e.status >= 400 && e.status < 500 && !e.transient()
}

func (e *statusError) transient() bool {
	return e.status == http.StatusTooManyRequests || e.status == http.StatusRequestTimeout || e.status >= 500
}

// passing is a fault that may be gone at the next try. It shows itself to backoff as a RetryAfterError when the
// index has named a pause.
type passing struct {
	cause error
	after *backoff.RetryAfterError
}

func (p *passing) Error() string { return p.cause.Error() }

func (p *passing) Unwrap() []error {
	if p.after == nil {
		return []error{p.cause}
	}
	return []error{p.cause, p.after}
}

// get asks for one address until there is an answer or patience ends.
func (c *Client) get(ctx context.Context, address, accept string) (answer, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return answer{}, fmt.Errorf("GET %q: not an http or https address", address)
	}
	tries := 0
	try := func() (answer, error) {
		tries++
		a, err := c.try(ctx, u, accept)
		var p *passing
		if err != nil && !errors.As(err, &p) {
			err = backoff.Permanent(err)
		}
		return a, err
	}
	a, err := backoff.Retry(ctx, try, backoff.WithBackOff(c.pauses()),
		backoff.WithMaxTries(uint(c.cfg.Tries)), backoff.WithMaxElapsedTime(c.cfg.Patience))
	return a, explain(u, tries, err)
}

func (c *Client) pauses() backoff.BackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval = c.cfg.Pause
	b.Multiplier = 2
	return b
}

// explain puts an error into words, on one line, with the address and the sentinel that it deserves.
func explain(u *url.URL, tries int, err error) error {
	var permanent *backoff.PermanentError // comes through unopened when the last try was the permanent one
	if errors.As(err, &permanent) {
		err = permanent.Unwrap()
	}
	var p *passing
	var status *statusError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &p):
		return fmt.Errorf("GET %s: %w after %d tries: %w", u.Redacted(), ErrUnavailable, tries, p.cause)
	case errors.As(err, &status) && status.status == http.StatusNotFound:
		return fmt.Errorf("GET %s: %w: %w", u.Redacted(), ErrNotFound, err)
	}
	return fmt.Errorf("GET %s: %w", u.Redacted(), err)
}

// try asks once. The deadline holds for headers and body together: a body that drips is as bad as none.
func (c *Client) try(ctx context.Context, u *url.URL, accept string) (answer, error) {
	once, cancel := context.WithTimeoutCause(ctx, c.cfg.Timeout, fmt.Errorf("no whole answer within %s", c.cfg.Timeout))
	defer cancel()
	req, err := http.NewRequestWithContext(once, http.MethodGet, u.String(), nil)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Accept", accept)
	req.Header.Set("User-Agent", c.cfg.UserAgent)
	resp, err := c.cfg.HTTP.Do(req)
	if err != nil {
		return answer{}, c.networkError(ctx, once, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return answer{}, badStatus(resp)
	}
	body, err := c.readBody(resp.Body)
	if err != nil {
		return answer{}, c.networkError(ctx, once, err)
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	serial := parseSerial(resp.Header.Get("X-PyPI-Last-Serial"))
	return answer{url: resp.Request.URL, kind: kind, serial: serial, body: body}, nil
}

// errTooBig is not retried: the next answer would be as big.
var errTooBig = errors.New("the answer is too big")

func (c *Client) readBody(r io.Reader) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, c.cfg.MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if int64(len(body)) > c.cfg.MaxBytes {
		return nil, fmt.Errorf("%w: more than %d bytes", errTooBig, c.cfg.MaxBytes)
	}
	return body, nil
}

// badStatus makes the error of an answer other than 200, with the pause that the index asks for.
func badStatus(resp *http.Response) error {
	err := &statusError{status: resp.StatusCode}
	if !err.transient() {
		return err
	}
	p := &passing{cause: err}
	if wait, ok := retryAfter(resp.Header.Get("Retry-After"), time.Now()); ok {
		p.after = &backoff.RetryAfterError{Duration: wait}
	}
	return p
}

// retryAfter reads both forms of RFC 9110 section 10.2.3: seconds, or a date.
func retryAfter(value string, now time.Time) (time.Duration, bool) {
	if seconds, err := strconv.ParseInt(value, 10, 32); err == nil && seconds >= 0 {
		return time.Duration(seconds) * time.Second, true
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(at.Sub(now), 0), true
	}
	return 0, false
}

// networkError tells our own end from the try's and from the network's.
func (c *Client) networkError(ctx, once context.Context, err error) error {
	var wrapped *url.Error // it would name the address a second time
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	var untrusted *tls.CertificateVerificationError
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case once.Err() != nil:
		return &passing{cause: context.Cause(once)}
	case errors.Is(err, errTooBig), errors.Is(err, errRedirect):
		return err
	case errors.As(err, &untrusted):
		return fmt.Errorf("%w: %w (name the certificate bundle of this network in SSL_CERT_FILE)", ErrUnavailable, err)
	}
	return &passing{cause: err}
}

func isJSONType(kind string) bool {
	switch kind {
	case "application/vnd.pypi.simple.v1+json", "application/vnd.pypi.simple.latest+json", "application/json":
		return true
	}
	return false
}

func isHTMLType(kind string) bool {
	switch kind {
	case "application/vnd.pypi.simple.v1+html", "application/vnd.pypi.simple.latest+html", "text/html":
		return true
	}
	return false
}
