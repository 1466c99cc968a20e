package pypi

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Fault is a kind of misbehaviour of the index. Its words are shown to people.
type Fault string

const (
	RateLimited Fault = "rate-limited" // status 429, or the changelog's fault that says the same
	Unavailable Fault = "unavailable"  // status 408 or 5xx, or a fault of the changelog that may pass
	Refused     Fault = "refused"      // another status: 403, 405 …
	NotFound    Fault = "not-found"    // status 404; of a project it is an answer, and not counted
	Network     Fault = "network"      // no connection, a connection that ended, a certificate
	Hang        Fault = "hang"         // no whole answer in time
	Truncated   Fault = "truncated"    // the answer ends before its end
	TooBig      Fault = "too-big"      // an answer, or one thing in it, beyond every bound
	Redirect    Fault = "redirect"     // in a circle, out of TLS, or in place of an answer
	NotXML      Fault = "not-xml"      // the changelog does not parse, or is no XML-RPC
	NotJSON     Fault = "not-json"     // promised as JSON, and none
	NotIndex    Fault = "not-index"    // parses, and is no page of an index, or of another project
	Stale       Fault = "stale"        // older than what is known already
	BadName     Fault = "bad-name"     // a name that no project can have; counted once per answer
	BadEvent    Fault = "bad-event"    // an event of the changelog of another shape; once per answer
	Disorder    Fault = "disorder"     // events that do not ascend; once per answer
	Repeated    Fault = "repeated"     // events that were asked to be left out; once per answer
	SerialBack  Fault = "serial-back"  // a changelog whose highest serial is below the known one
	NoChangelog Fault = "no-changelog" // the index says that it has none
)

// Stats is what a client has met since it was made.
type Stats struct {
	Requests int64            // sent, repetitions included
	Faults   map[Fault]int64  // answers that misbehaved, by kind
	Borne    map[Fault]string // the last words of those that became nobody's error, by kind
}

// counts is behind a pointer's lock because all goroutines of a client write it.
type counts struct {
	mu       sync.Mutex
	requests int64
	faults   map[Fault]int64
	borne    map[Fault]string
}

func (c *counts) request() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests++
}

func (c *counts) fault(kind Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults[kind]++
}

// bear keeps the words of an error that is borne: nobody else hears of it.
func (c *counts) bear(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.borne[FaultOf(err)] = err.Error()
}

// Stats returns a copy of the counts; it is safe to call at any time.
func (c *Client) Stats() Stats {
	c.counts.mu.Lock()
	defer c.counts.mu.Unlock()
	return Stats{Requests: c.counts.requests, Faults: maps.Clone(c.counts.faults), Borne: maps.Clone(c.counts.borne)}
}

// grade says what a trouble means for whoever asked.
type grade int

const (
	lasting grade = iota // the next answer would be the same
	passing              // may be gone at the next try
	later                // as passing, but not to be tried again by us
)

// trouble is an answer that is none, or no answer. It shows itself to backoff as a RetryAfterError when the index
// has named a pause.
type trouble struct {
	kind  Fault
	cause error
	grade grade
	after *backoff.RetryAfterError
}

func (t *trouble) Error() string { return t.cause.Error() }

func (t *trouble) Unwrap() []error {
	if t.after == nil {
		return []error{t.cause}
	}
	return []error{t.cause, t.after}
}

// troubled makes a lasting trouble in the manner of fmt.Errorf.
func troubled(kind Fault, format string, args ...any) error {
	return &trouble{kind: kind, cause: fmt.Errorf(format, args...)}
}

// After is how long the index asked to be left alone (Retry-After, or its changelog's words for it) in the answer
// that became this error; 0: it did not say.
func After(err error) time.Duration {
	var after *backoff.RetryAfterError
	if !errors.As(err, &after) {
		return 0
	}
	return after.Duration
}

// Busy is After where it is the index as a whole that wants to be left alone, and not a page of its: of a rate limit,
// and of status 503; else 0.
func Busy(err error) time.Duration {
	var status *statusError
	if FaultOf(err) == RateLimited || errors.As(err, &status) && status.status == http.StatusServiceUnavailable {
		return After(err)
	}
	return 0
}

// graded is a trouble as errors.As finds it, with another grade. Other errors stay as they are.
func graded(err error, g grade) error {
	var t *trouble
	if !errors.As(err, &t) {
		return err
	}
	changed := *t
	changed.grade = g
	return &changed
}

// FaultOf is the kind of misbehaviour that an error of this package is, or empty.
func FaultOf(err error) Fault {
	var t *trouble
	if errors.As(err, &t) {
		return t.kind
	}
	return ""
}

// isKind says whether an error is a trouble of this kind.
func isKind(err error, kind Fault) bool {
	var t *trouble
	return errors.As(err, &t) && t.kind == kind
}

// count takes down what kind of trouble an error is, if it is one, and not the answer to the question.
func (c *Client) count(q question, err error) {
	var t *trouble
	if errors.As(err, &t) && !(q.maybe && t.kind == NotFound) {
		c.counts.fault(t.kind)
	}
}

// statusError is a status that is no answer to the question.
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

func (e *statusError) kind() Fault {
	switch {
	case e.status == http.StatusTooManyRequests:
		return RateLimited
	case e.transient():
		return Unavailable
	case e.status == http.StatusNotFound:
		return NotFound
	case e.status >= 300 && e.status < 400:
		return Redirect
	}
	return Refused
}

// staleError is ErrStale with the facts. It is ErrUnavailable too, for what is to be done is the same.
type staleError struct {
	serial, wanted int64
}

func (e *staleError) Error() string {
	return fmt.Sprintf("%v: it includes serial %d, and %d was announced", ErrStale, e.serial, e.wanted)
}

func (e *staleError) Is(target error) bool { return target == ErrStale || target == ErrUnavailable }
