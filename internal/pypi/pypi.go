// Package pypi reads the upstream index: what changed in it, which projects there are, and which releases a project
// has, with which files.
//
// Input: the base URL of a simple index (PEP 503, PEP 691) and of the changelog beside it (XML-RPC), serials and
// project names. Output: [Project] values, [Event] values and names in which every name, version and address has
// been parsed; what does not parse is left out and counted, because an index is written by strangers and its words
// end up in file names, queries and pages of ours.
//
// The package owns nothing but counts of what went wrong ([Client.Stats]), so a crash loses nothing: the question is
// simply asked again. It never writes, never downloads a distribution, and never believes an answer that merely
// looks like one: a truncated page or a maintenance notice is an error, not a project without releases, for the farm
// removes what upstream removed.
package pypi

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
)

var (
	// ErrNotFound says that the index has no such project; asking again later is of little use.
	ErrNotFound = errors.New("no such project upstream")

	// ErrUnavailable says that the index could not be asked at all: network, certificate, status 429 or 5xx,
	// after all tries. It tells nothing about the project; ask again later.
	ErrUnavailable = errors.New("upstream unavailable")

	// ErrUnchanged is the answer to a conditional question: what the caller has seen is still true.
	ErrUnchanged = errors.New("unchanged upstream")

	// ErrStale says that the answer came from a cache which has not heard of a change announced elsewhere. Such an
	// error is [ErrUnavailable] as well: ask again later.
	ErrStale = errors.New("the index's answer is stale")

	// ErrNoChangelog says that the index has no changelog, or no longer; asking again is of little use.
	ErrNoChangelog = errors.New("the index has no changelog")
)

// Config says which index to read, and how patiently. Zero fields take the defaults named here.
type Config struct {
	// Simple is the base URL of the simple index, ending in /simple or /simple/; it may hold user:password@.
	// Without it, JSON alone is read.
	Simple string

	// JSON is the base URL of the per-project JSON API (BASE/NAME/json), which completes pages that exist in
	// HTML only with sizes and upload times. Default: [Siblings] of Simple. An index without it does no harm.
	JSON string

	// NoJSON asks no JSON API, whatever JSON is.
	NoJSON bool

	// Changelog is where XML-RPC is spoken. Default: [Siblings] of Simple, without the slash.
	Changelog string

	// Form allows only this one form of pages: "json" (PEP 691), "html" (PEP 503) or "details" (the JSON API).
	// Default: the best that the index offers, HTML being completed from the details.
	Form string

	// Version and Contact, a web or mail address, introduce us to the index. UserAgent replaces the whole.
	Version, Contact, UserAgent string

	// HTTP sends the requests. Default: [NewHTTPClient] without a certificate bundle of its own.
	HTTP *http.Client

	// MaxBytes bounds one answer, uncompressed, but those of Names and of the changelog. Default: 64 MB; the largest
	// real page has about 30.
	MaxBytes int64

	// MaxList bounds the list of all names, uncompressed; it is never held whole. Default: 1 GB.
	MaxList int64

	// Timeout bounds one try, body included; with Names, any one wait for more of it. Default: 60 s.
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
	cfg    Config
	counts *counts
}

// New makes a client; it asks nothing yet.
func New(cfg Config) *Client {
	if cfg.Simple == "" && cfg.JSON != "" {
		setDefault(&cfg.Form, formDetails)
	}
	cfg.Simple = strings.TrimRight(cfg.Simple, "/") + "/"
	setDefault(&cfg.JSON, Siblings(cfg.Simple))
	if cfg.NoJSON {
		cfg.JSON = ""
	}
	if cfg.JSON != "" {
		cfg.JSON = strings.TrimRight(cfg.JSON, "/") + "/"
	}
	setDefault(&cfg.Changelog, strings.TrimRight(Siblings(cfg.Simple), "/"))
	setDefault(&cfg.HTTP, newHTTPClient(nil))
	if cfg.HTTP.CheckRedirect == nil {
		strict := *cfg.HTTP
		strict.CheckRedirect = checkRedirect
		cfg.HTTP = &strict
	}
	setDefault(&cfg.UserAgent, introduce(cfg.Version, cfg.Contact))
	setDefault(&cfg.MaxBytes, 64<<20)
	setDefault(&cfg.MaxList, 1<<30)
	setDefault(&cfg.Timeout, time.Minute)
	setDefault(&cfg.Tries, 4)
	setDefault(&cfg.Pause, 500*time.Millisecond)
	setDefault(&cfg.Patience, 2*time.Minute)
	return &Client{cfg: cfg, counts: &counts{faults: map[Fault]int64{}, borne: map[Fault]string{}}}
}

// introduce makes a User-Agent by which the people of an index can find the people of a farm.
func introduce(version, contact string) string {
	agent := "pinwheel"
	if version = clean(version); version != "" {
		agent += "/" + strings.ReplaceAll(version, " ", "-")
	}
	if contact = clean(contact); contact != "" {
		agent += " (+" + strings.NewReplacer("(", "", ")", "").Replace(contact) + ")"
	}
	return agent
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

// withoutUser is the address as it may be shown and stored.
func withoutUser(u *url.URL) *url.URL {
	bare := *u
	bare.User = nil
	return &bare
}
