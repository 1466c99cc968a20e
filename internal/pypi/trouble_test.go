package pypi_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pinwheel/internal/pypi"
	"pinwheel/internal/pypitest"
)

// TestTroubles breaks the index in every way, in every form. No trouble may look like a project, and each must say
// where and what.
func TestTroubles(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name        string
		fault       pypitest.Fault
		says        string
		unavailable bool
		asked       int // how often
		kind        pypi.Fault
	}{
		{"500", pypitest.Fault{Trouble: pypitest.Status, Status: 500}, "after 2 tries: status 500 Internal Server Error", true, 2, pypi.Unavailable},
		{"429", pypitest.Fault{Trouble: pypitest.Status, Status: 429, RetryAfter: "0"}, "after 2 tries: status 429 Too Many Requests", true, 2, pypi.RateLimited},
		{"403", pypitest.Fault{Trouble: pypitest.Status, Status: 403}, "status 403 Forbidden", false, 1, pypi.Refused},
		{"dropped", pypitest.Fault{Trouble: pypitest.Dropped}, "EOF", true, 2, pypi.Network},
		{"truncated", pypitest.Fault{Trouble: pypitest.Truncated}, "read the answer: unexpected EOF", true, 2, pypi.Truncated},
		{"stalled", pypitest.Fault{Trouble: pypitest.Stalled}, "no whole answer within 1s", true, 2, pypi.Hang},
		{"cut", pypitest.Fault{Trouble: pypitest.Cut}, "", false, 1, pypi.Truncated},
		{"lying", pypitest.Fault{Trouble: pypitest.Lying}, "", false, 1, ""}, // not-json or not-index, by its form
		{"circle", pypitest.Fault{Trouble: pypitest.Circle}, "redirect refused: more than 5 in a row", false, 1, pypi.Redirect},
		{"bomb", pypitest.Fault{Trouble: pypitest.Bomb}, "than 8388608 bytes", false, 1, pypi.TooBig},
	} {
		for _, form := range []string{"json", "html", "details"} {
			if form == "details" && (c.fault.Status == 403 || c.fault.Trouble == pypitest.Lying) {
				continue // an index that hides its details is no broken one: see TestWithoutDetails
			}
			t.Run(c.name+" "+form, func(t *testing.T) {
				t.Parallel()
				s := pypitest.New(t, demo)
				path := "/simple/demo-pkg/"
				s.HTMLOnly(form != "json")
				if form == "details" {
					path = "/pypi/demo-pkg/json"
				}
				s.Break(path, c.fault)
				cfg := pypi.Config{Simple: s.URL(), Pause: time.Microsecond, Tries: 2}
				if c.fault.Trouble == pypitest.Stalled {
					cfg.Timeout = time.Second // for the others a busy machine must not look like a slow index
				}
				cl := pypi.New(cfg)
				_, err := cl.Project(t.Context(), "demo-pkg")
				checkTrouble(t, err, s.Base()+path, c.says, c.unavailable)
				if faults := cl.Stats().Faults; len(faults) != 1 || (c.kind != "" && faults[c.kind] != int64(c.asked)) {
					t.Errorf("counted %v, want %d of %s", faults, c.asked, c.kind)
				}
				if c.fault.Trouble == pypitest.Circle {
					return // every turn is a request
				}
				n := s.Requests(path)
				if c.fault.Trouble == pypitest.Dropped && n == c.asked+1 {
					n-- // net/http asks once more by itself when a kept connection ends
				}
				if n != c.asked {
					t.Errorf("asked %d times, want %d", n, c.asked)
				}
			})
		}
	}
}

func checkTrouble(t *testing.T, err error, address, says string, unavailable bool) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	if got := err.Error(); !strings.Contains(got, address) || !strings.Contains(got, says) || strings.Contains(got, "\n") {
		t.Errorf("error %q: want one line with %q and %q", got, address, says)
	}
	if errors.Is(err, pypi.ErrUnavailable) != unavailable || errors.Is(err, pypi.ErrNotFound) {
		t.Errorf("error %v: unavailable should be %t", err, unavailable)
	}
}

// TestRecovers sees one trouble of each passing kind, and then the project.
func TestRecovers(t *testing.T) {
	t.Parallel()
	for _, fault := range []pypitest.Fault{
		{Trouble: pypitest.Status, Status: 503, Times: 2},
		{Trouble: pypitest.Status, Status: 429, Times: 2, RetryAfter: "0"},
		{Trouble: pypitest.Truncated, Times: 2},
		{Trouble: pypitest.Dropped, Times: 2},
	} {
		s := pypitest.New(t, demo)
		s.Break("/", fault)
		p, err := client(s).Project(t.Context(), "demo-pkg")
		if err != nil || len(p.Releases) != 4 {
			t.Errorf("%s: %d releases, %v", fault.Trouble, len(p.Releases), err)
		}
	}
}

// TestSwollen: 5 MB of what nobody asked for are no trouble; the project is the same.
func TestSwollen(t *testing.T) {
	t.Parallel()
	for _, form := range []string{"json", "html", "details"} {
		s := pypitest.New(t, demo)
		s.Break("/", pypitest.Fault{Trouble: pypitest.Swollen, Bytes: 5_000_000})
		if p, err := inForm(s, form).Project(t.Context(), "demo-pkg"); err != nil || len(p.Releases) != 4 || p.LeftOut != 0 {
			t.Errorf("%s: %d releases, %v", form, len(p.Releases), err)
		}
	}
}

// TestCancel ends at once, and with the caller's own reason.
func TestCancel(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t, demo)
	s.Break("/", pypitest.Fault{Trouble: pypitest.Status, Status: 503, RetryAfter: "60"})
	reason := errors.New("going home")
	ctx, cancel := context.WithCancelCause(t.Context())
	cl := pypi.New(pypi.Config{Simple: s.URL(), HTTP: &http.Client{Transport: after{func() { cancel(reason) }}}})
	if _, err := cl.Project(ctx, "demo-pkg"); !errors.Is(err, reason) || errors.Is(err, pypi.ErrUnavailable) {
		t.Errorf("error is %v", err)
	}
}

// after calls a function after each answer.
type after struct{ f func() }

func (a after) RoundTrip(r *http.Request) (*http.Response, error) {
	defer a.f()
	return http.DefaultTransport.RoundTrip(r)
}

// TestTooBig is not asked again.
func TestTooBig(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t, demo)
	_, err := pypi.New(pypi.Config{Simple: s.URL(), MaxBytes: 100}).Project(t.Context(), "demo-pkg")
	checkTrouble(t, err, s.URL()+"demo-pkg/", "the answer is too big: more than 100 bytes", false)
	if n := s.Requests("/simple/demo-pkg/"); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// TestSecrets: a password in the index's address is in no error and in no file's address.
func TestSecrets(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t, demo)
	s.HTMLOnly(true)
	cl := pypi.New(pypi.Config{Simple: strings.Replace(s.URL(), "://", "://me:swordfish@", 1)})
	p, err := cl.Project(t.Context(), "demo-pkg")
	if err != nil {
		t.Fatal(err)
	}
	if u := p.Releases[0].Sdist.URL; !strings.HasPrefix(u, s.Base()+"/files/") {
		t.Errorf("file address %s", u)
	}
	_, err = cl.Project(t.Context(), "nothing")
	if err == nil || strings.Contains(err.Error(), "swordfish") {
		t.Errorf("error is %v", err)
	}
}

// TestAddresses: what is no address of an index is told at once.
func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, simple := range []string{"", "ftp://index.example/simple", "index.example/simple", "http://[::1/simple"} {
		_, err := pypi.New(pypi.Config{Simple: simple}).Project(t.Context(), "demo")
		if err == nil || !strings.Contains(err.Error(), "not an http or https address") {
			t.Errorf("%q: %v", simple, err)
		}
	}
}

func TestCertificateBundle(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, says := range map[string]string{empty: "no PEM certificate", empty + "x": "no such file"} {
		if _, err := pypi.NewHTTPClient(path); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if c, err := pypi.NewHTTPClient(""); err != nil || c == nil {
		t.Errorf("no bundle: %v", err)
	}
}
