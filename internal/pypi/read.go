package pypi

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"pinwheel/internal/pep"
)

const (
	typeJSON = "application/vnd.pypi.simple.v1+json"

	// acceptSimple prefers JSON, which holds more, and takes the HTML that every index has (PEP 691).
	acceptSimple = typeJSON + ", application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
	acceptHTML   = "application/vnd.pypi.simple.v1+html, text/html;q=0.5"
	acceptJSON   = "application/json"

	formJSON, formHTML, formDetails = "json", "html", "details"
)

// Seen is what a former answer said of itself, so that the next need only tell what is new. The zero Seen is
// nothing.
type Seen struct {
	ETag   string
	Serial int64
}

// Project reads one project, whatever spelling of its name (PEP 503) is given. Errors name the project and the
// address asked, on one line; they wrap [ErrNotFound] or [ErrUnavailable] where one of these is the reason.
func (c *Client) Project(ctx context.Context, name string) (Project, error) {
	return c.read(ctx, name, Seen{}, 0)
}

// ProjectIf is Project, or [ErrUnchanged] when the index says that what was seen is still true.
func (c *Client) ProjectIf(ctx context.Context, name string, seen Seen) (Project, error) {
	return c.read(ctx, name, seen, 0)
}

// ProjectAt is ProjectIf for a project of which a change with this serial was announced, past all caches. An answer
// that says itself that it is older is [ErrStale]. An index without serials is believed, and so is a 404 that tells
// no serial.
func (c *Client) ProjectAt(ctx context.Context, name string, seen Seen, serial int64) (Project, error) {
	return c.read(ctx, name, seen, serial)
}

func (c *Client) read(ctx context.Context, name string, seen Seen, wanted int64) (Project, error) {
	if !pep.ValidName(name) {
		return Project{}, fmt.Errorf("read project %q: not a valid project name (PEP 508)", name)
	}
	r := reading{c: c, normal: pep.NormalizeName(name), seen: seen, wanted: wanted}
	p, err := r.page(ctx)
	if err != nil {
		return Project{}, fmt.Errorf("read project %s: %w", r.normal, err)
	}
	return assemble(r.normal, p), nil
}

// reading is one project while it is read.
type reading struct {
	c      *Client
	normal string
	seen   Seen
	wanted int64 // the serial that an answer must include; 0: any
}

// page reads the project in the best form that the index offers and the configuration allows.
func (r *reading) page(ctx context.Context) (page, error) {
	switch r.c.cfg.Form {
	case "", formJSON, formHTML:
	case formDetails:
		return r.details(ctx)
	default:
		return page{}, fmt.Errorf("there is no form of pages called %q, only json, html and details", r.c.cfg.Form)
	}
	p, err := r.simple(ctx)
	var status *statusError
	switch {
	case err == nil && p.partial && r.c.cfg.Form == "":
		return p, r.complete(ctx, &p)
	case errors.As(err, &status) && status.unserved() && r.c.cfg.Form == "" && r.c.cfg.JSON != "":
		return r.details(ctx)
	}
	return p, err
}

// unserved says that an index does not serve this form of pages, to anybody.
func (e *statusError) unserved() bool {
	switch e.status {
	case http.StatusMethodNotAllowed, http.StatusNotAcceptable, http.StatusGone, http.StatusNotImplemented:
		return true
	}
	return false
}

// question is about this project.
func (r *reading) question(address, accept string) question {
	return question{address: address, accept: accept, seen: r.seen, wanted: r.wanted, max: r.c.cfg.MaxBytes,
		gone: []int{http.StatusNotFound}, absent: ErrNotFound, maybe: true}
}

// simple reads the simple page.
func (r *reading) simple(ctx context.Context) (p page, err error) {
	accept := map[string]string{"": acceptSimple, formJSON: typeJSON, formHTML: acceptHTML}[r.c.cfg.Form]
	q := r.question(r.c.cfg.Simple+r.normal+"/", accept)
	err = r.c.ask(ctx, q, func(a answer) error {
		if p, err = parseSimple(r.normal, r.c.cfg.Form, a); err != nil {
			return err
		}
		return q.stale(p.serial)
	})
	return p, err
}

// details reads the JSON API alone.
func (r *reading) details(ctx context.Context) (p page, err error) {
	q := r.question(r.c.cfg.JSON+r.normal+"/json", acceptJSON)
	err = r.askDetails(ctx, q, func(a answer, d details) error {
		if p, err = d.page(a.url); err != nil {
			return err
		}
		p.etag = a.etag
		setDefault(&p.serial, a.serial)
		return q.stale(p.serial)
	})
	return p, err
}

// complete adds what an HTML page cannot say. That the index has no JSON API, or not for this project, is no
// error; that it is broken at the moment is one, or releases would enter the farm half known. Many fronts answer what
// they do not serve with a page for people, such as a login's, and status 200.
func (r *reading) complete(ctx context.Context, p *page) error {
	if r.c.cfg.JSON == "" {
		return nil
	}
	q := r.question(r.c.cfg.JSON+r.normal+"/json", acceptJSON)
	q.seen, q.gone = Seen{}, nil // what was seen is a page
	err := r.askDetails(ctx, q, func(_ answer, d details) error {
		if err := q.stale(d.serial); err != nil {
			return err
		}
		d.addTo(p)
		return nil
	})
	var status *statusError
	switch {
	case errors.Is(err, errPage):
		p.etag = "" // the page for people may be a notice that passes: the next time all is read again
	case errors.As(err, &status) && status.absent():
	default:
		return err
	}
	if !isKind(err, NotFound) {
		r.c.counts.bear(fmt.Errorf("read project %s: %w", r.normal, err))
	}
	return nil
}

func (r *reading) askDetails(ctx context.Context, q question, take func(answer, details) error) error {
	return r.c.ask(ctx, q, func(a answer) error {
		d, err := parseDetails(r.normal, a.body)
		if err != nil {
			return err
		}
		return take(a, d)
	})
}

// parseSimple chooses the parser by what the index says it sent, and refuses what is no project page.
func parseSimple(normal, form string, a answer) (page, error) {
	var p page
	var err error
	switch {
	case isJSONType(a.kind) && form != formHTML:
		p, err = parseJSON(normal, a.url, a.body)
	case isHTMLType(a.kind) && form != formJSON:
		p, err = parseHTML(normal, a.url, a.body)
	default:
		err = troubled(NotIndex, "not an index page: Content-Type is %q", a.kind)
	}
	p.etag = a.etag
	setDefault(&p.serial, a.serial)
	return p, err
}

func isJSONType(kind string) bool {
	switch kind {
	case typeJSON, "application/vnd.pypi.simple.latest+json", "application/json":
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
