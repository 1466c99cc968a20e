// Package pypi reads the upstream index: which releases a project has, with which files.
//
// Input: the base URL of a simple index (PEP 503, PEP 691) and project names. Output: [Project] values in which
// every name, version and address has been parsed; what does not parse is left out and counted, because an
// index is written by strangers and its words end up in file names, queries and pages of ours.
//
// The package owns no state, so a crash loses nothing: the question is simply asked again. It never writes,
// never downloads a distribution, and never believes an answer that merely looks like one: a truncated page or
// a maintenance notice is an error, not a project without releases, for the farm removes what upstream removed.
package pypi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"pinwheel/internal/pep"
)

var (
	// ErrNotFound says that the index has no such project; asking again later is of little use.
	ErrNotFound = errors.New("no such project upstream")

	// ErrUnavailable says that the index could not be asked at all: network, certificate, status 429 or 5xx,
	// after all tries. It tells nothing about the project; ask again later.
	ErrUnavailable = errors.New("upstream unavailable")
)

// Config says which index to read, and how patiently. Zero fields take the defaults named here.
type Config struct {
	// Simple is the base URL of the simple index, ending in /simple or /simple/; it may hold user:password@.
	Simple string

	// JSON is the base URL of the per-project JSON API (BASE/NAME/json), which completes pages that exist in
	// HTML only with sizes and upload times. Default: [Siblings] of Simple. An index without it does no harm.
	JSON string

	// UserAgent introduces us to the index. Default: pinwheel.
	UserAgent string

	// HTTP sends the requests. Default: [NewHTTPClient] without a certificate bundle of its own.
	HTTP *http.Client

	// MaxBytes bounds one answer, uncompressed. Default: 100 MB; the largest real page has about 30.
	MaxBytes int64

	// Timeout bounds one try, body included. Default: 60 s.
	Timeout time.Duration

	// Tries is how often one address is asked before giving up. Default: 4.
	Tries int

	// Pause comes before the second try and then grows. Default: 500 ms. An index that names its own pause
	// (Retry-After) is obeyed.
	Pause time.Duration

	// Patience bounds all tries with their pauses: a longer Retry-After is not waited for. Default: 2 min.
	Patience time.Duration
}

// Client reads one index. It is safe for concurrent use.
type Client struct {
	cfg Config
}

// New makes a client; it asks nothing yet.
func New(cfg Config) *Client {
	cfg.Simple = strings.TrimRight(cfg.Simple, "/") + "/"
	if cfg.JSON == "" {
		cfg.JSON = Siblings(cfg.Simple)
	}
	if cfg.JSON != "" {
		cfg.JSON = strings.TrimRight(cfg.JSON, "/") + "/"
	}
	if cfg.HTTP == nil {
		cfg.HTTP = newHTTPClient(nil)
	}
	setDefault(&cfg.UserAgent, "pinwheel")
	setDefault(&cfg.MaxBytes, 100<<20)
	setDefault(&cfg.Timeout, time.Minute)
	setDefault(&cfg.Tries, 4)
	setDefault(&cfg.Pause, 500*time.Millisecond)
	setDefault(&cfg.Patience, 2*time.Minute)
	return &Client{cfg: cfg}
}

func setDefault[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

// Siblings returns where an index of PyPI's shape keeps its JSON API: …/simple/ has it at …/pypi/.
// It is empty for an address that does not end in /simple.
func Siblings(simple string) (jsonBase string) {
	base, ok := strings.CutSuffix(strings.TrimRight(simple, "/"), "/simple")
	if !ok {
		return ""
	}
	return base + "/pypi/"
}

// Project reads one project, whatever spelling of its name (PEP 503) is given. Errors name the project and the
// address asked, on one line; they wrap [ErrNotFound] or [ErrUnavailable] where one of these is the reason.
func (c *Client) Project(ctx context.Context, name string) (Project, error) {
	if !pep.ValidName(name) {
		return Project{}, fmt.Errorf("read project %q: not a valid project name (PEP 508)", name)
	}
	normal := pep.NormalizeName(name)
	p, err := c.page(ctx, normal)
	if err == nil && p.partial {
		err = c.complete(ctx, normal, &p)
	}
	if err != nil {
		return Project{}, fmt.Errorf("read project %s: %w", normal, err)
	}
	return assemble(normal, p), nil
}

// page reads the simple page in the best form that the index offers.
func (c *Client) page(ctx context.Context, normal string) (page, error) {
	a, err := c.get(ctx, c.cfg.Simple+normal+"/", acceptSimple)
	if err != nil {
		return page{}, err
	}
	p, err := parseSimple(normal, a)
	if err != nil {
		return page{}, fmt.Errorf("GET %s: %w", a.url.Redacted(), err)
	}
	return p, nil
}

// complete adds what an HTML page cannot say. That the index has no JSON API, or not for this project, is no
// error; that it is broken at the moment is one, or releases would enter the farm half known.
func (c *Client) complete(ctx context.Context, normal string, p *page) error {
	if c.cfg.JSON == "" {
		return nil
	}
	a, err := c.get(ctx, c.cfg.JSON+normal+"/json", acceptJSON)
	var status *statusError
	if errors.As(err, &status) && status.absent() {
		return nil
	}
	if err != nil {
		return err
	}
	d, err := parseDetails(normal, a.body)
	if err != nil {
		return fmt.Errorf("GET %s: %w", a.url.Redacted(), err)
	}
	d.addTo(p)
	return nil
}

// parseSimple chooses the parser by what the index says it sent, and refuses what is no project page.
func parseSimple(normal string, a answer) (page, error) {
	var p page
	var err error
	switch {
	case isJSONType(a.kind):
		p, err = parseJSON(normal, a.url, a.body)
	case isHTMLType(a.kind):
		p, err = parseHTML(normal, a.url, a.body)
	default:
		err = fmt.Errorf("not an index page: Content-Type is %q", a.kind)
	}
	if p.serial == 0 {
		p.serial = a.serial
	}
	return p, err
}

// withoutUser is the address as it may be shown and stored.
func withoutUser(u *url.URL) *url.URL {
	bare := *u
	bare.User = nil
	return &bare
}
