package pypi_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/pypi"
	"pinwheel/internal/pypitest"
)

// TestChangelog reads page by page what a fake index has told, and finds every event once.
func TestChangelog(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t, demo)
	s.StartAt(1<<31 - 3) // from <int> on to <i8>
	s.Announce(pypitest.Event{Name: "Demo.Pkg", Action: "add Owner Жанна"}, pypitest.Event{Name: "demo_pkg", Version: "1.0", Action: `remove file <a>&"b"`})
	s.MustAdd(t, "-- other==1.0 --\n")
	s.ChangelogPage(4)
	c := client(s)
	var got []pypi.Event
	since := int64(0)
	for {
		page, err := c.Changes(t.Context(), since)
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Events) == 0 {
			break
		}
		got = append(got, page.Events...)
		if last := page.Events[len(page.Events)-1].Serial; page.Last != last || page.LeftOut != 0 || page.Full {
			t.Errorf("page until %d: %+v", last, page)
		}
		since = page.Last
	}
	var want []pypi.Event
	for _, e := range s.Events() {
		name := map[string]string{"Demo.Pkg": "demo-pkg", "demo_pkg": "demo-pkg", "other": "other"}[e.Name]
		want = append(want, pypi.Event{Name: name, Display: e.Name, Version: e.Version, At: e.Time.Truncate(time.Second).UTC(), Action: e.Action, Serial: e.Serial})
	}
	if diff := cmp.Diff(want, got); diff != "" || len(want) < 10 {
		t.Errorf("-told +read:\n%s", diff)
	}
	last, err := c.LastSerial(t.Context())
	if err != nil || last != since || last <= 1<<31 {
		t.Errorf("last serial %d, %v; want %d", last, err, since)
	}
	if faults := c.Stats().Faults; len(faults) > 0 {
		t.Errorf("counted %v", faults)
	}
}

// TestChangelogTroubles breaks the changelog in every way. Nothing of it may look like a quiet index, and only the
// index itself can say that it has no changelog.
func TestChangelogTroubles(t *testing.T) {
	t.Parallel()
	status := func(n int) pypitest.Fault {
		return pypitest.Fault{Trouble: pypitest.Status, Status: n, RetryAfter: "0"}
	}
	of := func(trouble pypitest.Trouble) pypitest.Fault { return pypitest.Fault{Trouble: trouble} }
	for _, c := range []struct {
		name  string
		fault pypitest.Fault
		is    error
		kind  pypi.Fault
		asked int64
	}{
		{"404", status(404), pypi.ErrNoChangelog, pypi.NotFound, 1},
		{"405", status(405), pypi.ErrNoChangelog, pypi.Refused, 1},
		{"410", status(410), pypi.ErrNoChangelog, pypi.Refused, 1},
		{"429", status(429), pypi.ErrUnavailable, pypi.RateLimited, 2},
		{"500", status(500), pypi.ErrUnavailable, pypi.Unavailable, 2},
		{"503", status(503), pypi.ErrUnavailable, pypi.Unavailable, 2},
		{"rate limit as a fault", of(pypitest.Refused), pypi.ErrUnavailable, pypi.RateLimited, 1}, // its pause of 1 s is beyond patience
		{"HTML", of(pypitest.Lying), pypi.ErrUnavailable, pypi.NotXML, 2},
		{"cut", of(pypitest.Cut), pypi.ErrUnavailable, pypi.Truncated, 2},
		{"truncated", of(pypitest.Truncated), pypi.ErrUnavailable, pypi.Truncated, 2},
		{"dropped", of(pypitest.Dropped), pypi.ErrUnavailable, pypi.Network, 2},
		{"silent", of(pypitest.Silent), pypi.ErrUnavailable, pypi.Hang, 2},
		{"stalled", of(pypitest.Stalled), pypi.ErrUnavailable, pypi.Hang, 2},
		{"circle", of(pypitest.Circle), nil, pypi.Redirect, 1},
		{"bomb", of(pypitest.Bomb), nil, pypi.TooBig, 1},
		{"swollen", of(pypitest.Swollen), nil, "", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := pypitest.New(t, demo)
			s.Break("/pypi", c.fault)
			cfg := pypi.Config{Simple: s.URL(), Pause: time.Microsecond, Tries: 2}
			if c.kind == pypi.Hang {
				cfg.Timeout = 200 * time.Millisecond
			}
			if c.fault.Trouble == pypitest.Refused {
				cfg.Patience = 900 * time.Millisecond
			}
			cl := pypi.New(cfg)
			page, err := cl.Changes(t.Context(), 0)
			checkTroubled(t, cl, page, err, c.is, c.kind)
			if n := cl.Stats().Requests; n != c.asked {
				t.Errorf("asked %d times, want %d", n, c.asked)
			}
		})
	}
}

func checkTroubled(t *testing.T, c *pypi.Client, page pypi.Changes, err, is error, kind pypi.Fault) {
	t.Helper()
	if kind == "" {
		if err != nil || len(page.Events) == 0 || len(c.Stats().Faults) > 0 {
			t.Errorf("%d events, %v, counted %v", len(page.Events), err, c.Stats().Faults)
		}
		return
	}
	if err == nil || page.Events != nil || page.Last != 0 {
		t.Fatalf("error is %v, page %+v", err, page)
	}
	for _, sentinel := range []error{pypi.ErrNoChangelog, pypi.ErrUnavailable, pypi.ErrNotFound} {
		if errors.Is(err, sentinel) != (sentinel == is) {
			t.Errorf("error %v; want it to be %v", err, is)
		}
	}
	if n := c.Stats().Faults[kind]; n != c.Stats().Requests {
		t.Errorf("of %d answers, counted %v", c.Stats().Requests, c.Stats().Faults)
	}
}

// TestChangelogIsAbsent: without an address nothing is asked.
func TestChangelogIsAbsent(t *testing.T) {
	t.Parallel()
	c := pypi.New(pypi.Config{Simple: "https://index.example/root/+simple/"})
	if _, err := c.Changes(t.Context(), 5); !errors.Is(err, pypi.ErrNoChangelog) {
		t.Errorf("changes: %v", err)
	}
	if _, err := c.LastSerial(t.Context()); !errors.Is(err, pypi.ErrNoChangelog) || c.Stats().Requests != 0 {
		t.Errorf("last serial: %v", err)
	}
	s := pypitest.New(t, demo)
	s.NoChangelog(true)
	if _, err := client(s).LastSerial(t.Context()); !errors.Is(err, pypi.ErrNoChangelog) {
		t.Errorf("405: %v", err)
	}
}

// TestChangelogLies: pages again, in disorder, from the past, with names that cannot be. What is returned is what a
// follower relies on: ascending, new, and a serial that never goes back.
func TestChangelogLies(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t, demo)
	s.Announce(pypitest.Event{Name: "evil\x01\x1b[31m", Action: "create"}, pypitest.Event{Name: "ol\xffd/../x", Action: "create"},
		pypitest.Event{Name: "demo-pkg", Version: "1\x00", Action: "add \x07file"})
	all := s.Events()
	last, middle := s.Serial(""), all[len(all)/2].Serial
	for _, c := range []struct {
		name    string
		fault   pypitest.Fault
		since   int64
		events  int
		leftOut int
		faults  map[pypi.Fault]int64
	}{
		{"odd names", pypitest.Fault{}, 0, len(all) - 2, 2, map[pypi.Fault]int64{pypi.BadName: 1}},
		{"again", pypitest.Fault{Trouble: pypitest.Repeated}, middle, 0, 0, map[pypi.Fault]int64{pypi.Repeated: 1}},
		{"disorder", pypitest.Fault{Trouble: pypitest.Shuffled}, 0, len(all) + (len(all)+1)/2 - 2, 2, map[pypi.Fault]int64{pypi.BadName: 1, pypi.Disorder: 1}},
		{"behind", pypitest.Fault{Trouble: pypitest.Behind, By: last}, last, 0, 0, map[pypi.Fault]int64{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.fault.Trouble != "" {
				s.Break("/pypi#", c.fault)
			}
			defer s.Mend("/pypi#")
			cl := client(s)
			page, err := cl.Changes(t.Context(), c.since)
			if err != nil || len(page.Events) != c.events || page.LeftOut != c.leftOut || page.Full {
				t.Errorf("%d events of %d, %d left out, full %t, %v", len(page.Events), c.events, page.LeftOut, page.Full, err)
			}
			at := c.since
			for _, e := range page.Events {
				if e.Serial < at || e.Serial <= c.since || e.Name != "demo-pkg" {
					t.Errorf("after %d comes %+v", at, e)
				}
				at = e.Serial
			}
			if page.Last < at || (c.leftOut > 0 && page.Last != last) {
				t.Errorf("last is %d after %d", page.Last, at)
			}
			if diff := cmp.Diff(c.faults, cl.Stats().Faults); diff != "" {
				t.Errorf("counted: -want +got\n%s", diff)
			}
		})
	}
}

// TestFaults reads what PyPI's faults mean.
func TestFaults(t *testing.T) {
	t.Parallel()
	for text, c := range map[string]struct {
		code  string
		is    error
		kind  pypi.Fault
		after time.Duration
	}{
		"HTTPTooManyRequests: The action could not be performed because there were too many requests by the client. Limit may reset in 7 seconds.": {"-32500", pypi.ErrUnavailable, pypi.RateLimited, 7 * time.Second},
		"RuntimeError: PyPI no longer supports the XMLRPC changelog_since_serial method.":                                                          {"-32500", pypi.ErrNoChangelog, pypi.NoChangelog, 0},
		"server error; requested method not found": {"-32601", pypi.ErrNoChangelog, pypi.NoChangelog, 0},
		"it hurts": {"-32601", pypi.ErrNoChangelog, pypi.NoChangelog, 0},
		"HTTPServiceUnavailable: the database is away": {"-32500", pypi.ErrUnavailable, pypi.Unavailable, 0},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`<?xml version="1.0"?><methodResponse><fault><value><struct><member><name>faultString</name><value>` + text +
				`</value></member><member><name>faultCode</name><value><int>` + c.code + `</int></value></member></struct></value></fault></methodResponse>`))
		}))
		cl := pypi.New(pypi.Config{Changelog: s.URL, Tries: 1})
		_, err := cl.LastSerial(t.Context())
		s.Close()
		if !errors.Is(err, c.is) || cl.Stats().Faults[c.kind] != 1 || pypi.After(err) != c.after || pypi.Busy(err) != c.after {
			t.Errorf("%s: %v, counted %v", text, err, cl.Stats().Faults)
		}
	}
}
