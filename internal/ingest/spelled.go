package ingest

import (
	"sync"

	"pinwheel/internal/pypi"
)

// spelled is how events write the names of projects that are to be read. Pages may tell
// the normalized name only, as PyPI's JSON does. It is in memory: what is lost with
// the process, another event tells, or the next list of names.
type spelled struct {
	mu sync.Mutex
	by map[string]string
}

// hear takes down what events say, in their order.
func (s *spelled) hear(events []pypi.Event, since int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range events {
		if e.Serial > since {
			s.by[e.Name] = e.Display
		}
	}
}

// of is the newest spelling of a name; empty: it was not heard.
func (s *spelled) of(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.by[name]
}

// forget is for what is in the database, unless something newer was heard since.
func (s *spelled) forget(name, spelling string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.by[name] == spelling {
		delete(s.by, name)
	}
}

// spell completes a page that does not tell how its project is written.
func (s *spelled) spell(it *task, p *pypi.Project) {
	if it.spelling = s.of(it.name()); it.spelling != "" && !p.Spelled {
		p.Display, p.Spelled = it.spelling, true
	}
}
