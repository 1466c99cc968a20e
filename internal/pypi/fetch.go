package pypi

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// question is one thing to be asked of the index.
type question struct {
	address string
	accept  string
	seen    Seen   // the answer that is known already
	wanted  int64  // the serial that the answer must include, past all caches; 0: any
	post    []byte // nil: a GET
	max     int64  // bytes of the answer, uncompressed
	list    bool   // the answer is long and taken piece by piece, so it is asked for once
	gone    []int  // statuses that mean that there is no such thing …
	absent  error  // … and the sentinel for that
	maybe   bool   // status 404 is an answer like any other: there may be no such thing
}

func (q question) method() string {
	if q.post != nil {
		return http.MethodPost
	}
	return http.MethodGet
}

// stale is an error if an answer with this serial is older than it must be. 0, no serial, is not.
func (q question) stale(serial int64) error {
	if serial <= 0 || serial >= q.wanted {
		return nil
	}
	return &trouble{kind: Stale, cause: &staleError{serial: serial, wanted: q.wanted}}
}

// answer is one with status 200.
type answer struct {
	url    *url.URL  // after redirects
	kind   string    // media type without parameters
	serial int64     // X-PyPI-Last-Serial; 0: none
	etag   string    // fit to be stored
	body   io.Reader // bounded; what goes wrong with it is the network's fault, whatever a parser says
}

// ask asks one question until there is an answer that read can take, or patience ends. What read returns is
// repeated only when it is a passing trouble.
func (c *Client) ask(ctx context.Context, q question, read func(answer) error) error {
	u, err := url.Parse(q.address)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return fmt.Errorf("%s %q: not an http or https address", q.method(), q.address)
	}
	tries := 0
	try := func() (struct{}, error) {
		tries++
		err := c.try(ctx, u, q, read)
		c.count(q, err)
		var t *trouble
		if err != nil && !(errors.As(err, &t) && t.grade == passing) {
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	}
	_, err = backoff.Retry(ctx, try, backoff.WithBackOff(c.pauses()),
		backoff.WithMaxTries(uint(c.cfg.Tries)), backoff.WithMaxElapsedTime(c.cfg.Patience))
	return explain(q, u, tries, err)
}

// pauses grow exponentially and jitter by half, so that many farms do not come back in step.
func (c *Client) pauses() backoff.BackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval = c.cfg.Pause
	b.Multiplier = 2
	return b
}

// explain puts an error into words, on one line, with the address and the sentinel that it deserves.
func explain(q question, u *url.URL, tries int, err error) error {
	var permanent *backoff.PermanentError // comes through unopened when the last try was the permanent one
	if errors.As(err, &permanent) {
		err = permanent.Unwrap()
	}
	if err == nil {
		return nil
	}
	asked := q.method() + " " + u.Redacted()
	var t *trouble
	var status *statusError
	switch {
	case errors.As(err, &t) && t.grade == passing:
		return fmt.Errorf("%s: %w after %d tries: %w", asked, ErrUnavailable, tries, t)
	case t != nil && t.grade == later:
		return fmt.Errorf("%s: %w: %w", asked, ErrUnavailable, t)
	case errors.As(err, &status) && slices.Contains(q.gone, status.status):
		return fmt.Errorf("%s: %w: %w", asked, q.absent, err)
	}
	return fmt.Errorf("%s: %w", asked, err)
}

// try asks once.
func (c *Client) try(ctx context.Context, u *url.URL, q question, read func(answer) error) error {
	w := newWatch(ctx, c.cfg.Timeout, q.list)
	defer w.end()
	req, err := c.request(w.ctx, u, q)
	if err != nil {
		return err
	}
	c.counts.request()
	resp, err := c.cfg.HTTP.Do(req)
	if err != nil {
		return networkError(ctx, w, err)
	}
	defer resp.Body.Close()
	serial := parseSerial(resp.Header.Get("X-PyPI-Last-Serial"))
	switch {
	case resp.StatusCode == http.StatusNotModified && q.seen.ETag != "":
		return cmp.Or(q.stale(max(serial, q.seen.Serial)), ErrUnchanged)
	case resp.StatusCode == http.StatusNotFound:
		return cmp.Or(q.stale(serial), badStatus(resp))
	case resp.StatusCode != http.StatusOK:
		return badStatus(resp)
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	b := &body{r: resp.Body, max: q.max, watch: w}
	err = read(answer{url: resp.Request.URL, kind: kind, serial: serial, etag: cleanETag(resp.Header.Get("ETag")), body: b})
	if err != nil && b.err != nil {
		err = networkError(ctx, w, b.err)
		if q.list { // what was taken of it cannot be taken back
			err = graded(err, later)
		}
	}
	return err
}

func (c *Client) request(ctx context.Context, u *url.URL, q question) (*http.Request, error) {
	var post io.Reader
	if q.post != nil {
		post = bytes.NewReader(q.post)
	}
	req, err := http.NewRequestWithContext(ctx, q.method(), u.String(), post)
	if err != nil {
		return nil, err
	}
	set := func(key, value string) {
		if value != "" {
			req.Header.Set(key, value)
		}
	}
	set("Accept", q.accept)
	set("User-Agent", c.cfg.UserAgent)
	set("If-None-Match", cleanETag(q.seen.ETag))
	if q.wanted > 0 {
		set("Cache-Control", "no-cache")
	}
	if q.post != nil {
		set("Content-Type", "text/xml")
	}
	return req, nil
}

// badStatus makes the error of an answer other than 200, with the pause that the index asks for.
func badStatus(resp *http.Response) error {
	status := &statusError{status: resp.StatusCode}
	t := &trouble{kind: status.kind(), cause: status}
	if !status.transient() {
		return t
	}
	t.grade = passing
	if wait, ok := retryAfter(resp.Header.Get("Retry-After"), time.Now()); ok {
		t.after = &backoff.RetryAfterError{Duration: wait}
	}
	return t
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
func networkError(ctx context.Context, w *watch, err error) error {
	var wrapped *url.Error // it would name the address a second time
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	var untrusted *tls.CertificateVerificationError
	var known *trouble
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case w.ctx.Err() != nil:
		return &trouble{kind: Hang, cause: context.Cause(w.ctx), grade: passing}
	case errors.As(err, &known):
		return known
	case errors.As(err, &untrusted):
		return &trouble{kind: Network, grade: later,
			cause: fmt.Errorf("%w (name the certificate bundle of this network in SSL_CERT_FILE)", err)}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &trouble{kind: Truncated, cause: err, grade: passing}
	}
	return &trouble{kind: Network, cause: err, grade: passing}
}

// cleanETag returns a validator that can be stored and sent again, or none.
func cleanETag(s string) string {
	if len(s) > 200 || s != clean(s) {
		return ""
	}
	return s
}
