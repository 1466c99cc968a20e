package ingest

import (
	"maps"
	"sync"

	"pinwheel/internal/pypi"
)

// spelled is how events write the names of projects that are to be read. Pages may tell
// the normalized name only, as PyPI's JSON does. It is in memory: what is lost with
// the process, another event tells, or the next list of names.
type spelled struct {
	mu sync.Mutex
	by map[string]heard
}

// heard is how an event writes a name. The serial tells it from a later one that writes
// it alike.
type heard struct {
	name   string
	serial int64
	gone   bool // the project; an old page may have said so
}

// hear takes down what events say, in their order.
func (s *spelled) hear(events []pypi.Event, since int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range events {
		if e.Serial > since {
			s.by[e.Name] = heard{name: e.Display, serial: e.Serial}
		}
	}
}

// of is the newest spelling of a name; empty: it was not heard.
func (s *spelled) of(name string) heard {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.by[name]
}

// forget is for what is in the database, unless something newer was heard since.
func (s *spelled) forget(name string, h heard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.by[name] == h {
		delete(s.by, name)
	}
}

// remember keeps how a project is written that has left the database: if only an old page
// said that it is gone, no event will tell it anew.
func (s *spelled) remember(it *task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch h := s.by[it.name()]; {
	case h != heard{}:
		h.gone = true
		s.by[it.name()] = h
	case it.known.Display != "" && it.known.Display != it.name():
		s.by[it.name()] = heard{it.known.Display, max(it.known.Serial, it.reading.Serial), true}
	}
}

// listed forgets projects that are gone, once a list of all names is newer than that, or
// tells no serial: what is gone must not fill the memory.
func (s *spelled) listed(serial int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.by, func(_ string, h heard) bool { return h.gone && (serial == 0 || h.serial < serial) })
}

// spell completes a page that does not tell how its project is written.
func (s *spelled) spell(it *task, p *pypi.Project) {
	if it.heard = s.of(it.name()); it.heard.name != "" && !p.Spelled {
		p.Display, p.Spelled = it.heard.name, true
	}
}
