package pypi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	"pinwheel/internal/pep"
)

const (
	fullPage  = 50_000       // so many events the index gives at once, at most
	maxEvents = 2 * fullPage // from a changelog of another make, before it is too big

	// maxChangelog bounds a page of the changelog, in bytes. A full one has about 15 MB: far more than a project's page
	// may, where many of these are read at once. It is taken event by event, and never held as it came.
	maxChangelog = 64 << 20
)

// Event is one line of the changelog. It is a hint that something about a project changed, not what.
type Event struct {
	Name    string    // normalized (PEP 503)
	Display string    // as the index spells the name
	Version string    // empty: the event is about the project
	At      time.Time // zero: not told; may go back by minutes from one event to the next
	Action  string    // cleaned; "new release", "add source file …" and what else PyPI invents
	Serial  int64     // positive
}

// Changes is one page of the changelog.
type Changes struct {
	Events  []Event // serials ascend and are all above what was asked for
	Last    int64   // the highest serial, of events left out too; never below what was asked for
	LeftOut int     // events left out: no project can have the name, or they have another shape
	Full    bool    // there may be more: ask again at once, from Last on
}

// Changes reads the events after a serial, oldest first, one page of at most 50,000. It is [ErrNoChangelog] when the
// index has none.
func (c *Client) Changes(ctx context.Context, since int64) (Changes, error) {
	call := fmt.Appendf(nil, "<?xml version='1.0'?>\n<methodCall><methodName>changelog_since_serial</methodName>"+
		"<params><param><value><int>%d</int></value></param></params></methodCall>\n", since)
	var found changelog
	err := c.call(ctx, call, func(r *rpcReader) error {
		found = changelog{since: since} // of a try before, nothing stays
		if err := r.each(found.add); err != nil {
			return err
		}
		return r.end()
	})
	if err != nil {
		return Changes{}, fmt.Errorf("read the changelog after serial %d: %w", since, err)
	}
	return found.settle(c.counts), nil
}

// LastSerial is that of the newest event. Errors are as with Changes.
func (c *Client) LastSerial(ctx context.Context) (int64, error) {
	const call = "<?xml version='1.0'?>\n<methodCall><methodName>changelog_last_serial</methodName><params></params></methodCall>\n"
	var v rpcValue
	err := c.call(ctx, []byte(call), func(r *rpcReader) (err error) {
		if v, err = r.value(0); err != nil {
			return err
		}
		if v.kind != rpcInt || v.whole < 0 {
			return errors.New("the last serial is no number")
		}
		return r.end()
	})
	if err != nil {
		return 0, fmt.Errorf("read the changelog's last serial: %w", err)
	}
	return v.whole, nil
}

// call asks by XML-RPC. read begins where the answer's value does.
func (c *Client) call(ctx context.Context, call []byte, read func(*rpcReader) error) error {
	if c.cfg.Changelog == "" {
		return fmt.Errorf("%w: its address does not end in /simple, and the changelog's is not configured", ErrNoChangelog)
	}
	q := question{address: c.cfg.Changelog, accept: "text/xml", post: call, max: maxChangelog, absent: ErrNoChangelog,
		gone: []int{http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusGone, http.StatusNotImplemented}}
	return c.ask(ctx, q, func(a answer) error {
		r := newRPCReader(a.body)
		err := r.answer()
		if err == nil {
			err = read(r)
		}
		return judge(err)
	})
}

// judge says of what a reading of XML-RPC ended with whether it may pass. An answer that is no XML is a notice of
// some front, not the changelog's end; only the index can say that.
func judge(err error) error {
	var fault *rpcFault
	var known *trouble
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case errors.As(err, &fault):
		return fault.judge()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), strings.Contains(err.Error(), "unexpected EOF"):
		return &trouble{kind: Truncated, cause: errors.New("the XML is cut off"), grade: passing}
	}
	return &trouble{kind: NotXML, cause: err, grade: passing}
}

var (
	rateLimit  = regexp.MustCompile(`(?i)too ?many ?requests|rate.?limit`)
	rateResets = regexp.MustCompile(`(?i)\bin (\d{1,5}) seconds?\b`)
	retired    = regexp.MustCompile(`(?i)\bno longer\b|deprecated|disabled|removed|retired|not supported|unsupported|not found|unknown method|\bgone\b`)
)

// judge tells a changelog that is gone from one that is busy: the index has one code for both.
func (f *rpcFault) judge() error {
	const noSuchMethod = -32601
	switch {
	case rateLimit.MatchString(f.text):
		t := &trouble{kind: RateLimited, cause: f, grade: passing}
		if m := rateResets.FindStringSubmatch(f.text); m != nil {
			seconds, _ := strconv.Atoi(m[1]) // at most five digits
			t.after = &backoff.RetryAfterError{Duration: time.Duration(seconds) * time.Second}
		}
		return t
	case f.code == noSuchMethod, retired.MatchString(f.text):
		return troubled(NoChangelog, "%w: %w", ErrNoChangelog, f)
	}
	return &trouble{kind: Unavailable, cause: f, grade: passing}
}

// changelog is a page while it is read.
type changelog struct {
	since   int64
	rows    int
	highest int64
	events  []Event
	odd     int // rows of another shape
	unnamed int // rows about what can be no project
}

func (l *changelog) add(row rpcValue) error {
	if l.rows++; l.rows > maxEvents {
		return troubled(TooBig, "the changelog has more than %d events on a page", maxEvents)
	}
	e, ok := decodeEvent(row)
	if !ok {
		l.odd++
		return nil
	}
	l.highest = max(l.highest, e.Serial)
	if e.Name == "" {
		l.unnamed++
		return nil
	}
	l.events = append(l.events, e)
	return nil
}

// settle makes the page what callers rely on, and counts what it had to mend.
func (l *changelog) settle(counts *counts) Changes {
	bySerial := func(a, b Event) int { return cmp.Compare(a.Serial, b.Serial) }
	if !slices.IsSortedFunc(l.events, bySerial) {
		counts.fault(Disorder)
		slices.SortStableFunc(l.events, bySerial)
	}
	first, _ := slices.BinarySearchFunc(l.events, l.since, func(e Event, since int64) int { return cmp.Compare(e.Serial, since+1) })
	for kind, is := range map[Fault]bool{
		Repeated: first > 0, BadEvent: l.odd > 0, BadName: l.unnamed > 0, SerialBack: l.rows > l.odd && l.highest < l.since,
	} {
		if is {
			counts.fault(kind)
		}
	}
	return Changes{
		Events: l.events[first:], Last: max(l.highest, l.since), LeftOut: l.odd + l.unnamed,
		Full: l.rows >= fullPage && l.highest > l.since, // a page that brings nothing must not be asked for for ever
	}
}

// decodeEvent reads (name, version or nil, time, action, serial); false if it has another shape. What can be no
// project has no Name. More fields than these may come one day.
func decodeEvent(row rpcValue) (Event, bool) {
	if row.kind != rpcList || len(row.list) < 5 {
		return Event{}, false
	}
	name, version, at, action, serial := row.list[0], row.list[1], row.list[2], row.list[3], row.list[4]
	if serial.kind != rpcInt || serial.whole <= 0 || name.kind != rpcText {
		return Event{}, false
	}
	e := Event{Serial: serial.whole, Action: clean(references(action.text)), Version: clean(references(version.text))}
	if at.kind == rpcInt && at.whole > 0 && at.whole < 253_402_300_800 { // the year 10000: no database has it
		e.At = time.Unix(at.whole, 0).UTC()
	}
	if possible(name.text) {
		e.Name, e.Display = pep.NormalizeName(name.text), name.text
	}
	return e, true
}

var reference = regexp.MustCompile(`&#[0-9]{1,7};`)

// references undoes the second layer: the index writes what is not ASCII as character references, and then escapes
// their ampersands.
func references(s string) string {
	if !strings.Contains(s, "&#") { // nearly always
		return s
	}
	return reference.ReplaceAllStringFunc(s, func(ref string) string {
		n, err := strconv.ParseInt(ref[2:len(ref)-1], 10, 32)
		if err != nil {
			return ref
		}
		return string(rune(n))
	})
}
