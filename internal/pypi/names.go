package pypi

import (
	"cmp"
	"context"
	"fmt"

	"pinwheel/internal/pep"
)

// Listed is a project in the index's list of names.
type Listed struct {
	Name    string // normalized (PEP 503)
	Display string // as the list spells it
	Serial  int64  // of its last change; 0: not told
}

// NamesInfo is what the index says of its list of names, and what became of it.
type NamesInfo struct {
	Serial  int64  // of the last change that the list includes; 0: not told
	ETag    string // for the next question; empty: not told
	Serials bool   // projects come with the serials of their last changes
	Count   int    // names visited
	LeftOut int    // entries left out: no project can have that name, or they have another shape
}

// Names visits all projects, in the index's order. A name may come twice, in two spellings. The list is read as it
// comes and never held, whatever its length. etag is a former answer's; empty, or [ErrUnchanged] is possible.
//
// An error may come after visits: the list was incomplete then, and what is not in it may exist all the same. An
// error of visit ends the reading and is returned, wrapped. What is returned beside an error says how far it went.
func (c *Client) Names(ctx context.Context, etag string, visit func(Listed) error) (NamesInfo, error) {
	l := &listing{visit: visit}
	accept := map[string]string{formJSON: typeJSON, formHTML: acceptHTML}[c.cfg.Form]
	setDefault(&accept, acceptSimple)
	q := question{address: c.cfg.Simple, accept: accept, seen: Seen{ETag: etag}, max: c.cfg.MaxList, list: true}
	err := c.ask(ctx, q, func(a answer) error {
		l.info = NamesInfo{Serial: a.serial, ETag: a.etag}
		return l.read(a, c.cfg.Form)
	})
	if l.info.LeftOut > 0 {
		c.counts.fault(BadName)
	}
	if err != nil {
		return l.info, fmt.Errorf("read the names of all projects: %w", err)
	}
	return l.info, nil
}

// listing is the list of names while it is read.
type listing struct {
	info  NamesInfo
	visit func(Listed) error
	ended error // what visit ended it with
}

func (l *listing) read(a answer, form string) error {
	var err error
	switch {
	case isJSONType(a.kind) && form != formHTML:
		err = l.json(a.body)
	case isHTMLType(a.kind) && form != formJSON:
		err = l.html(a.url, a.body)
	default:
		err = troubled(NotIndex, "not a list of names: Content-Type is %q", a.kind)
	}
	return cmp.Or(l.ended, err) // what it was ended with may look like the network's end
}

func (l *listing) add(name string, serial int64) error {
	if !possible(name) {
		l.info.LeftOut++
		return nil
	}
	serial = max(serial, 0)
	l.info.Count++
	l.info.Serials = l.info.Serials || serial > 0
	l.ended = l.visit(Listed{Name: pep.NormalizeName(name), Display: name, Serial: serial})
	return l.ended
}
